#include "image/output.h"

#include "lib/error.h"

bool output_is_disk(const char *path)
{
    return str_ends(path, ".qcow2");
}

int output_fresh(struct bake *bake, struct error **err)
{
    (void)bake;
    (void)err;
    return 0;
}

int output_make(struct bake *bake, bool remove_root, struct error **err)
{
    (void)bake;
    (void)remove_root;
    return error_new(err, STATUS_USAGE, "not yet");
}

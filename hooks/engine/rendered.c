#include "hooks/engine/rendered.h"

void rendered_free(struct rendered *rendered)
{
    if (rendered == NULL) {
        return;
    }
    for (size_t i = 0; i < rendered->n_files; i++) {
        free(rendered->files[i].path);
        buffer_wipe(&rendered->files[i].content);
    }
    free(rendered->files);
    role_conf_free(rendered->conf);
    free(rendered);
}

void rendered_freep(struct rendered **rendered)
{
    rendered_free(*rendered);
    *rendered = NULL;
}

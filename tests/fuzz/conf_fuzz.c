/* Configuration files: read, or refused with the file's name in front. */
#include <stdint.h>

#include "lib/core/util.h"
#include "lib/text/conf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cfg_opt_t section[] = {CFG_STR("string", NULL, CFGF_NONE), CFG_STR_LIST("list", NULL, CFGF_NONE),
                           CFG_INT("number", 1, CFGF_NONE), CFG_BOOL("switch", cfg_true, CFGF_NONE), CFG_END()};
    cfg_opt_t file[] = {CFG_SEC("plain", section, CFGF_NONE),
                        CFG_SEC("named", section, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES), CFG_END()};
    cfg_t *cfg = cfg_init(file, CFGF_NONE);
    _cleanup_error_ struct error *err = NULL;
    int result = conf_text_parse(cfg, "name", (const char *)data, size, &err);
    if ((result < 0) != (err != NULL) || (err != NULL && !str_starts(err->message, "name:"))) {
        abort();
    }
    cfg_free(cfg);
    return 0;
}

/* What libconfuse lacks for image.conf: lines of values, ${names} that must be set, includes beside the including file.
 */
#ifndef BAKE_CONF_PARSE_H
#define BAKE_CONF_PARSE_H

#include <confuse.h>

#include "lib/core/error.h"

/* Callback of options whose value is a path: relative to the directory of the file it stands in. */
int parse_path(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);

/* The function include("FILE"). */
int parse_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv);

/* Callback of the option that names the Kubernetes version: sets ${kubernetes} for what follows. */
int parse_kubernetes(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);

/* Reads PATH into CFG: STATUS_CONFIG with file and line. */
int parse_file(cfg_t *cfg, const char *path, struct error **err);

/* "FILE:LINE" of the value of OPT, or of the first one set in SECTION. The caller frees. */
char *parse_where_option(const cfg_opt_t *opt);
char *parse_where_section(cfg_t *section);

#endif

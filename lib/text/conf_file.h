/* Reading a file of libconfuse's format. libconfuse by itself counts the lines of a comment several times, and takes a
 * section or a comment without an end for a whole one: a file cut short would be silently half of itself. */
#ifndef LIB_TEXT_CONF_FILE_H
#define LIB_TEXT_CONF_FILE_H

#include <stddef.h>

#include <confuse.h>

#include "lib/core/error.h"

/* Parses PATH into CFG, whose error function is set here; validators may call cfg_error. STATUS_CONFIG: "PATH:LINE:
 * ...". */
int conf_file_parse(cfg_t *cfg, const char *path, struct error **err);

/* Blanks the comments of TEXT, so that libconfuse counts its lines right, and refuses strings and comments without an
 * end: STATUS_CONFIG, with NAME and line. For those who call libconfuse themselves. */
int conf_text_clean(char *text, const char *name, struct error **err);

/* The same from LEN bytes at TEXT, which NAME stands for in messages. */
int conf_text_parse(cfg_t *cfg, const char *name, const char *text, size_t len, struct error **err);

/* The value of an option, NULL when it is empty; a list's values. The caller frees. */
char *conf_file_string(cfg_t *cfg, const char *name);
char **conf_file_list(cfg_t *cfg, const char *name);

#endif

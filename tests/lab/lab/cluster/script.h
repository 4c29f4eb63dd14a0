/* The lines of a scenario: a file, with the commands of the documents that it names in the place of their names. */
#ifndef LAB_SCRIPT_H
#define LAB_SCRIPT_H

#include "lib/core/error.h"
#include "tests/lab/lab/lab.h"

/* The lines of the file PATH in *LINES, which the caller frees (strv_free). "commands MACHINE DOCUMENT" stands for a
 * line "run MACHINE COMMAND" for each line of the blocks of DOCUMENT, a Markdown file below the source tree, that begin
 * with
 * "```sh MACHINE": so what a document tells people to type is run as it is written. STATUS_FILE, also for a document
 * without such a block. */
int script_load(const struct lab *lab, const char *path, char ***lines, struct error **err);

#endif

/* That `stop` or `destroy` ended what runs on this machine: until its kubelet is started, or the machine boots. */
#ifndef HOOKS_FILES_STOPPED_H
#define HOOKS_FILES_STOPPED_H

#include <stdbool.h>

bool stopped_noted(void);
/* Failing to write is a warning in the log: it never keeps a machine from being stopped. */
void stopped_note(void);
void stopped_forget(void);

#endif

#include "hooks/files/stopped.h"

#include <unistd.h>

#include "lib/core/error.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

/* Not on /data: that may be full, and a machine that booted is not stopped any more. */
#define STOPPED "/run/k8s-hooks-stopped"

bool stopped_noted(void)
{
    return access(STOPPED, F_OK) == 0;
}

void stopped_note(void)
{
    _cleanup_error_ struct error *err = NULL;
    if (file_put_private(STOPPED, "", &err) < 0) {
        log_warning("cannot note that this machine is stopped, `revive` would start it: %s", err->message);
    }
}

void stopped_forget(void)
{
    (void)unlink(STOPPED);
}

/* systemd over sd-bus: a unit's job is awaited by its signal; no polling, no systemctl. */
#ifndef LIB_SYSTEM_UNIT_H
#define LIB_SYSTEM_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct units; /* a connection to the system manager */

/* DEADLINE is of connecting, and of each call below that has none of its own, but for 25 s at most each. STATUS_UNIT,
 * STATUS_DEADLINE, STATUS_INTERRUPTED. */
int units_open(struct units **units, struct deadline deadline, struct error **err);
void units_free(struct units *units);
void units_freep(struct units **units);

struct unit_state {
    char load[16];   /* loaded, not-found, masked, ... */
    char active[16]; /* active, activating, inactive, failed, ... */
    char sub[24];    /* running, auto-restart, ... */
    char file[24];   /* enabled, disabled, masked, static, ... */
    uint32_t main_pid;
    uint64_t active_since_us; /* CLOCK_REALTIME; 0 when not active */
};

/* NAME is the full unit name ("docker.service"). An absent unit is not an error: load says not-found. */
int unit_state(struct units *units, const char *name, struct unit_state *state, struct error **err);
/* 1 when active, 0 when not. */
int unit_active(struct units *units, const char *name, struct error **err);

/* Each returns when the job is done and succeeded. STATUS_UNIT otherwise, with the job's result and the unit's last
 * journal lines; STATUS_DEADLINE, STATUS_INTERRUPTED. */
int unit_start(struct units *units, const char *name, struct deadline deadline, struct error **err);
int unit_stop(struct units *units, const char *name, struct deadline deadline, struct error **err);
int unit_restart(struct units *units, const char *name, struct deadline deadline, struct error **err);
int unit_kill(struct units *units, const char *name, int signal, struct error **err);
int unit_reset_failed(struct units *units, const char *name, struct error **err);

/* Waits until the unit is active, by PropertiesChanged. */
int unit_wait_active(struct units *units, const char *name, struct deadline deadline, struct error **err);

/* In /etc/systemd/system, over the bus: nothing is started or stopped. STATUS_UNIT. */
int unit_enable(struct units *units, const char *name, struct error **err);
int unit_disable(struct units *units, const char *name, struct error **err);
int unit_mask(struct units *units, const char *name, struct error **err);
int unit_unmask(struct units *units, const char *name, struct error **err);

/* daemon-reload. */
int units_reload(struct units *units, struct deadline deadline, struct error **err);

/* The last COUNT messages of the unit in the journal, one a line; "" when there are none. The caller frees. */
char *journal_tail(const char *unit, unsigned count);

#endif

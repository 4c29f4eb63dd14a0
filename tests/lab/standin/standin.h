/* What a machine has beside our programs, for tests without one: systemd's manager on its private socket, Docker's API
 * on its socket, and the health end points of kubelet, scheduler and controller manager.
 *
 * All it knows lies in files below a state directory and is read for each request, so that a test puts a machine back
 * by putting these back, and compares two machines by comparing them: units/NAME       "active HASH" or "inactive":
 * HASH is of what the unit read when it was started loaded/NAME      hash of the unit's files at the last daemon-reload
 *   enabled/NAME     there, when the unit is enabled
 *   images           a line an image: REFERENCE ID
 *   containers/ID    JSON as `GET /containers/json` lists it
 *   faults           a line a fault: SERVER KIND, SERVER being systemd, docker, kubelet or components, and KIND hang,
 *                    slow, nonsense or close
 */
#ifndef TESTS_LAB_STANDIN_STANDIN_H
#define TESTS_LAB_STANDIN_STANDIN_H

#include <stdbool.h>

#include "lib/core/error.h"

struct standin {
    const char *root; /* of the machine */
    const char *state;
    const char *run;        /* what is /run in the machine: sockets are made there */
    const char *cert, *key; /* PEM files, of the components' end points */
    const char *started;    /* a program run when a unit starts, with its name: what the unit does then; may be NULL */
};

enum fault { FAULT_NONE, FAULT_HANG, FAULT_SLOW, FAULT_NONSENSE, FAULT_CLOSE };

/* The fault that SERVER has now. A slow one has slept before this returns, and a hanging one never returns. */
enum fault standin_fault(const struct standin *standin, const char *server);

char *standin_state(const struct standin *standin, const char *directory, const char *name);
bool standin_unit_active(const struct standin *standin, const char *unit);
int standin_put(const char *path, const char *text, struct error **err);

/* Each serves in threads of its own until the process ends. */
int systemd_serve(const struct standin *standin, struct error **err);
int docker_serve(const struct standin *standin, struct error **err);
int health_serve(const struct standin *standin, struct error **err);

/* A listening socket at PATH, which is replaced; -1. */
int standin_listen(const char *path, struct error **err);

#endif

/* A role of three steps that note what is called, with a state directory of its own. */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "app/status.h"
#include "hooks/engine/history.h"
#include "hooks/engine/run.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char directory[32];
static struct conf conf = {.paths = {.state = directory}};
static const struct role role = {.name = "node", .state = "/nowhere"};
static struct run run;

static inline int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/engine-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    run = (struct run){.role = &role, .event = "start", .conf = &conf, .root = "", .deadline = deadline_in(600000)};
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    return 0;
}

static inline int leave(void **state)
{
    (void)state;
    return tree_remove(directory, NULL);
}

#endif

/* A reload that failed, on record until one succeeds: the agent calls it once for a change, and never again. */
#ifndef HOOKS_FILES_RELOAD_RECORD_H
#define HOOKS_FILES_RELOAD_RECORD_H

#include "hooks/engine/role.h"

#define RELOAD_RECORD "reload-owed.json" /* in the state directory */

/* FAILURE NULL: the reload succeeded, nothing is owed any more. Otherwise the record says since when a reload is owed
 * and why the last one failed. What cannot be recorded is a warning. */
void reload_record(const struct run *run, const struct error *failure);

/* 1 when a reload is owed, with *since (seconds since 1970, now where the record is damaged) and *why (the caller
 * frees); 0 when none is. */
int reload_record_read(const struct run *run, int64_t *since, char **why);

#endif

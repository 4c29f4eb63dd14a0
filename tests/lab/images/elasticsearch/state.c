#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

#define FILE_NAME "state.json"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *current;

json_t *state_get(void)
{
    (void)pthread_mutex_lock(&lock);
    json_t *state = json_incref(current);
    (void)pthread_mutex_unlock(&lock);
    return state;
}

void state_set(json_t *state)
{
    (void)pthread_mutex_lock(&lock);
    if (json_dump_file(state, FILE_NAME ".new", JSON_COMPACT) != 0 || rename(FILE_NAME ".new", FILE_NAME) != 0) {
        fail("writing %s: %s", FILE_NAME, strerror(errno));
    }
    json_decref(current);
    current = json_incref(state);
    (void)pthread_mutex_unlock(&lock);
}

/* Who was there before the start is not known; what there was is. */
void state_load(void)
{
    current = json_load_file(FILE_NAME, 0, NULL);
    if (current == NULL) {
        current = json_pack("{ss sI sI ss s{} sb s[] s[] s{} s{} s{}}", "uuid", "", "term", (json_int_t)0, "version",
                            (json_int_t)0, "master", "", "nodes", "recovered", 0, "voting", "exclusions", "settings",
                            "templates", "indices");
    }
    json_object_set_new(current, "master", json_string(""));
    json_object_set_new(current, "recovered", json_false());
}

bool state_is_mine(const json_t *state)
{
    return strcmp(text_at(state, "master"), node.name) == 0;
}

const char *address_of(const json_t *state, const char *name)
{
    return text_at(json_object_get(json_object_get(state, "nodes"), name), "address");
}

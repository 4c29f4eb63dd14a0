/* What may lie in the state directory after a full disk, an older release or a hand: every reader takes it or begins
 * anew, and `status` prints what it is. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/metadata/meta_tree.h"
#include "hooks/engine/history.h"
#include "hooks/engine/stamp.h"
#include "hooks/events/backoff.h"
#include "hooks/events/events.h"
#include "hooks/files/cloud_state.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char directory[] = "/dev/shm/state-fuzz.XXXXXX";
static struct conf conf = {.paths = {.state = (char *)"/"}};
static const struct role role = {.name = "node"};
static struct run run = {.role = &role, .conf = &conf, .event = "start", .root = directory};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    log_open("fuzz", NULL, NULL, 0);
    if (mkdtemp(directory) == NULL || freopen("/dev/null", "w", stdout) == NULL) {
        abort();
    }
    return 0;
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    _cleanup_free_ char *path = path_join(directory, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
}

static void print_status(void)
{
    for (int i = 0; i < 3; i++) {
        run.json = i == 1;
        run.blame = i == 2;
        if (event_status(&run, NULL) < 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"runs.json", "cloud.json", "metadata.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put(names[i], data, size);
    }
    print_status();
    struct history *history = history_begin(&run);
    history_step_begin(history, "step");
    history_step_end(history, "done", 1);
    history_end(history, NULL);
    print_status();

    struct cloud_state state = {0};
    if (cloud_state_load(&run, &state) && (state.message == NULL || state.inputs == NULL)) {
        abort();
    }
    cloud_state_clear(&state);
    _cleanup_json_ json_t *backoff = json_loadb((const char *)data, size, 0, NULL);
    if (backoff_wait(backoff, "kubelet", 1700000000) < 0) {
        abort();
    }
    _cleanup_json_ json_t *tree = NULL;
    _cleanup_free_ char *path = path_join(directory, "metadata.json");
    (void)meta_tree_load(path, &tree, NULL);
    return 0;
}

#include "tests/lab/lab/machine/leftovers.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/lab/machine/cgroup.h"

#define ENDING_MS 10000
#define SHARED "/run/systemd/nspawn/propagate" /* src/nspawn/nspawn.c, setup_propagate() */

static bool same_network(const struct stat *network, const char *pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%s/ns/net", pid);
    struct stat st;
    return stat(path, &st) == 0 && st.st_ino == network->st_ino && st.st_dev == network->st_dev;
}

/* Servers, and systemd-nspawn of each machine. A machine's own processes have a network of their own. */
static void end_in_network(const struct lab *lab)
{
    _cleanup_free_ char *path = xasprintf("/run/netns/k8s-lab-%s", lab->name);
    struct stat network;
    if (stat(path, &network) != 0) {
        return;
    }
    DIR *dir = opendir("/proc");
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        long pid = 0;
        if (str_number(e->d_name, 1, INT32_MAX, &pid) && pid != getpid() && same_network(&network, e->d_name)) {
            struct process process = process_of((pid_t)pid);
            process_end(&process, SIGTERM, deadline_in(ENDING_MS));
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

void leftovers_remove_shared(const struct lab *lab, const struct machine *machine)
{
    _cleanup_free_ char *path = xasprintf(SHARED "/%s-%s", lab->name, machine->name);
    (void)files_remove(path, NULL);
}

static void remove_all_shared(const struct lab *lab)
{
    _cleanup_free_ char *prefix = xasprintf("%s-", lab->name);
    DIR *dir = opendir(SHARED);
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        if (str_starts(e->d_name, prefix) && lab_is_machine_name(lab, e->d_name + strlen(prefix))) {
            _cleanup_free_ char *path = xasprintf(SHARED "/%s", e->d_name);
            (void)files_remove(path, NULL);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

void leftovers_end(const struct lab *lab)
{
    end_in_network(lab);
    cgroups_end(lab);
    remove_all_shared(lab); /* when nobody is left that could make one */
}

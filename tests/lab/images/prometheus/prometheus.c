/* Runs Debian's real Prometheus, which is built without Kubernetes discovery: its configuration gets the same targets
 * from files, and all else in it is as it is given. Where that would not be the same, it is refused. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/prometheus/discovery.h"
#include "tests/lab/images/shared/program.h"

#define REAL "/usr/bin/prometheus"
#define DIRECTORY "/tmp/discovery"
#define CONF "/tmp/prometheus.yml"
#define FLAG "--config.file="

static pid_t child;

static void pass_on(int signal)
{
    if (child == 0) {
        _exit(0); /* the targets are not there yet */
    }
    (void)kill(child, signal);
}

/* "- role: ROLE", alone in its section. */
static enum role role_of(const char *line)
{
    char name[32] = "";
    if (sscanf(line, " - role: %31s", name) == 1) {
        for (int role = 0; role < ROLES; role++) {
            if (strcmp(role_names[role], name) == 0) {
                return (enum role)role;
            }
        }
    }
    fail("kubernetes_sd_configs: '%s' is not known here", line);
}

static size_t indent(const char *line)
{
    return strspn(line, " ");
}

static void rewrite(const char *path, bool *wanted)
{
    _cleanup_free_ char *text = must_read(path);
    _cleanup_fclose_ FILE *out = fopen(CONF, "we");
    char *rest = NULL;
    size_t section = 0;
    bool within = false;
    if (out == NULL) {
        fail("writing " CONF ": %s", strerror(errno));
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        const char *start = line + indent(line);
        if (within && indent(line) >= section && start[0] == '-') {
            enum role role = role_of(line);
            wanted[role] = true;
            (void)fprintf(out, "%*s- files: [%s/%s.json]\n", (int)indent(line), "", DIRECTORY, role_names[role]);
            continue;
        }
        if (within && indent(line) > section) {
            fail("kubernetes_sd_configs: '%s' is not known here", start);
        }
        within = strcmp(start, "kubernetes_sd_configs:") == 0;
        section = indent(line);
        (void)fprintf(out, "%s\n", within ? "" : line);
        if (within) {
            (void)fprintf(out, "%*sfile_sd_configs:\n", (int)section, "");
        }
    }
}

static char **with_configuration(char **argv, char **path)
{
    char **given = NULL;
    strv_push(&given, REAL);
    for (argv++; *argv != NULL; argv++) {
        if (strncmp(*argv, FLAG, strlen(FLAG)) == 0) {
            *path = *argv + strlen(FLAG);
            strv_push(&given, FLAG CONF);
        } else {
            strv_push(&given, *argv);
        }
    }
    return given;
}

int main(int argc, char **argv)
{
    bool wanted[ROLES] = {false};
    char *path = NULL;
    int status = 0;
    (void)argc;
    char **given = with_configuration(argv, &path);
    struct sigaction passed = {.sa_handler = pass_on};
    if (path == NULL) {
        fail(FLAG "FILE must be given");
    }
    if (sigaction(SIGTERM, &passed, NULL) != 0 || sigaction(SIGINT, &passed, NULL) != 0 ||
        signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        fail("setting signals: %s", strerror(errno));
    }
    if (mkdir(DIRECTORY, 0755) != 0 && errno != EEXIST) {
        fail("making " DIRECTORY ": %s", strerror(errno));
    }
    rewrite(path, wanted);
    discovery_start(wanted, DIRECTORY);
    child = fork();
    if (child == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        execv(REAL, given);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

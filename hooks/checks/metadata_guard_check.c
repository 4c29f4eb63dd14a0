#include <errno.h>
#include <string.h>

#include "hooks/checks/checks.h"
#include "hooks/engine/run.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define RULES "/etc/k8s-metadata-guard"
#define JUMP "-A FORWARD -j K8S-METADATA"

static const char remedy[] = "run `revive`, or `systemctl restart k8s-metadata-guard`";

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += len) {
        if ((at == text || at[-1] == '\n') && (at[len] == '\n' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* How many lines of TEXT begin with PREFIX. */
static size_t count_lines(const char *text, const char *prefix)
{
    size_t count = 0;
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += str_starts(line, prefix);
    }
    return count;
}

/* The first line of RULES that SAVED, the kernel's table, lacks; NULL when it has them all. The caller frees. */
static char *first_missing(const char *rules, const char *saved)
{
    if (!has_line(saved, JUMP)) {
        return xstrdup(JUMP);
    }
    for (const char *line = rules; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        _cleanup_free_ char *text = xstrndup(line, len);
        if (str_starts(text, "-A ") && !has_line(saved, text)) {
            return STEAL(text);
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

void metadata_guard_compare(const char *rules, const char *saved, struct finding *finding)
{
    static const char own[] = "-A K8S-METADATA ";
    _cleanup_free_ char *missing = first_missing(rules, saved);
    if (missing != NULL) {
        finding_fails(finding, remedy, "pods can reach the metadata servers: table mangle lacks \"%s\"", missing);
    } else if (count_lines(saved, own) != count_lines(rules, own)) {
        finding_fails(finding, remedy,
                      "pods may reach the metadata servers: chain K8S-METADATA has other rules than %s", RULES);
    } else {
        finding_ok(finding, "pods cannot reach the %zu metadata servers", count_lines(rules, own));
    }
}

static void probe_metadata_guard(const struct check_context *context, struct finding *finding)
{
    static const char *const argv[] = {"iptables-save", "-t", "mangle", NULL};
    struct error *err = NULL;
    _cleanup_free_ char *path = run_path(context->run, RULES);
    _cleanup_free_ char *rules = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = context->deadline};
    if (file_read(path, 0, &rules, NULL, &err) < 0) {
        if (errno == ENOENT) {
            finding_warns(finding, "run `start`; the agent's /etc/confd/confd.toml must name the servers by address",
                          "%s is absent: nothing keeps pods from the metadata servers", RULES);
            error_free(err);
            return;
        }
        finding_error(finding, remedy, err);
    } else if (proc_run(&proc, &result, &err) < 0) {
        finding_error(finding, remedy, err);
    } else {
        metadata_guard_compare(rules, result.output, finding);
    }
}

const struct check check_metadata_guard = {.name = "metadata-guard", .severity = FAILS, .probe = probe_metadata_guard};

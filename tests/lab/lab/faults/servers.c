/* Faults of the metadata server and of the cloud's API. */
#include <errno.h>
#include <unistd.h>

#include "lib/system/proc.h"
#include "tests/lab/lab/cluster/metadata.h"
#include "tests/lab/lab/faults/kinds.h"

/* ARGUMENT in milliseconds, USUAL without one. */
static int delay_of(const struct fault_target *target, long usual, long *ms, struct error **err)
{
    *ms = usual;
    return target->argument == NULL || str_number(target->argument, 1, 3600000, ms)
               ? 0
               : error_new(err, STATUS_USAGE, "'%s' is not a number of milliseconds", target->argument);
}

static int put_metadata(json_t *fault, struct error **err)
{
    int r = metadata_fault(fault, err);
    json_decref(fault);
    return r;
}

int metadata_slow(const struct fault_target *target, struct error **err)
{
    long ms;
    return delay_of(target, 3000, &ms, err) == 0
               ? put_metadata(json_pack("{ss sI}", "kind", "delay", "delay_ms", (json_int_t)ms), err)
               : -1;
}

int metadata_half(const struct fault_target *target, struct error **err)
{
    (void)target;
    return put_metadata(json_pack("{ss}", "kind", "half"), err);
}

int metadata_wrong(const struct fault_target *target, struct error **err)
{
    (void)target;
    return put_metadata(json_pack("{ss si ss}", "kind", "body", "code", 200, "body", "<html>Bad Gateway</html>"), err);
}

int metadata_good(const struct fault_target *target, struct error **err)
{
    (void)target;
    return metadata_fault(NULL, err);
}

/* In the lab's network, which we have entered: connections are refused as where no server listens. */
static int refuse_metadata(const char *change, struct error **err)
{
    return proc_exec(deadline_in(90000), err, "iptables", "-w", "60", change, "INPUT", "-p", "tcp", "--dport", "80",
                     "-j", "REJECT", "--reject-with", "tcp-reset", NULL);
}

int metadata_down(const struct fault_target *target, struct error **err)
{
    (void)target;
    return refuse_metadata("-I", err);
}

int metadata_back(const struct fault_target *target, struct error **err)
{
    (void)target;
    return refuse_metadata("-C", NULL) == 0 ? refuse_metadata("-D", err) : 0;
}

/* Every action; the server reads the file again. */
static int put_cloud(const struct fault_target *target, json_t *fault, struct error **err)
{
    _cleanup_json_ json_t *faults = json_pack("{s{so}}", "actions", "*", fault);
    _cleanup_free_ char *text = json_dumps(faults, JSON_INDENT(2));
    _cleanup_free_ char *path = lab_path(target->lab, "cloud-faults.json");
    return text_put(path, 0600, err, "%s\n", text);
}

int cloud_slow(const struct fault_target *target, struct error **err)
{
    long ms;
    return delay_of(target, 5000, &ms, err) == 0 ? put_cloud(target, json_pack("{sI}", "delay_ms", (json_int_t)ms), err)
                                                 : -1;
}

int cloud_quota(const struct fault_target *target, struct error **err)
{
    return put_cloud(target,
                     json_pack("{si ss}", "ret_code", 2500, "message", "QuotaExceeded, the API quota is used up"), err);
}

int cloud_refused(const struct fault_target *target, struct error **err)
{
    return put_cloud(target, json_pack("{si ss}", "ret_code", 1400, "message", "PermissionDenied, access denied"), err);
}

int cloud_good(const struct fault_target *target, struct error **err)
{
    _cleanup_free_ char *path = lab_path(target->lab, "cloud-faults.json");
    return unlink(path) == 0 || errno == ENOENT ? 0 : error_errno(err, STATUS_FILE, errno, "removing %s", path);
}

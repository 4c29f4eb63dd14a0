#include "tests/lab/lab/cluster/appcenter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "tests/lab/lab/cluster/cloud.h"
#include "tests/lab/lab/cluster/metadata.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/image/image.h"
#include "tests/lab/lab/machine/agents.h"
#include "tests/lab/lab/machine/leftovers.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/network.h"
#include "tests/lab/lab/machine/parallel.h"
#include "tests/lab/lab/machine/services.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/lab/record/record.h"

#define BOOT_S 300

static bool every(const struct machine *machine)
{
    return machine->instance_id != NULL;
}

static bool adding(const struct machine *machine)
{
    return machine->adding;
}

/* The agents of those that leave see a change too; but such a machine may be off. */
static bool seeing(const struct machine *machine)
{
    return machine->instance_id != NULL && (!machine->deleting || process_alive(&machine->leader));
}

static bool staying(const struct machine *machine)
{
    return machine->instance_id != NULL && !machine->adding && !machine->deleting;
}

static const struct machine *one; /* for chosen() */
static const char *resized;       /* for of_role() */
static const json_t *restarted;   /* its package, for lacks_restart() */

static bool chosen(const struct machine *machine)
{
    return machine == one;
}

/* Starts every machine that is off and waits until all are up. */
static int start_all(struct lab *lab, struct error **err)
{
    struct record **boots = xcalloc(lab->n_machines + 1, sizeof(void *));
    int r = 0;
    for (size_t i = 0; r == 0 && i < lab->n_machines; i++) {
        if (!process_alive(&lab->machines[i]->nspawn)) {
            boots[i] = record_begin(lab, lab->machines[i], "boot");
            r = machine_start(lab, lab->machines[i], err);
        }
    }
    /* What was started must be known to `down`, whatever comes now. */
    r = lab_save(lab, r == 0 ? err : NULL) == 0 ? r : -1;
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (r == 0 && lab->machines[i]->notify >= 0) {
            r = machine_wait(lab, lab->machines[i], deadline_in(BOOT_S * 1000L), err);
        }
        (void)record_result(boots[i], r, err);
    }
    free((void *)boots);
    return r;
}

int appcenter_boot(struct lab *lab, struct error **err)
{
    if (network_up(lab, err) != 0 || network_enter(lab, err) != 0 || metadata_up(lab, err) != 0 ||
        cloud_up(lab, err) != 0) {
        return -1;
    }
    size_t off = 0;
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct machine *m = lab->machines[i];
        off += !process_alive(&m->nspawn);
        if (!process_alive(&m->nspawn) && m->instance_id == NULL) {
            m->instance_id = random_id("i-");
            m->nspawn = (struct process){0};
        }
    }
    if (metadata_publish(lab, err) != 0) {
        return -1;
    }
    struct task *task = progress_begin(NULL, "booting %zu machines", off);
    int r = start_all(lab, err);
    progress_end(task, r == 0, NULL);
    r = lab_save(lab, r == 0 ? err : NULL) == 0 ? r : -1;
    r = r == 0 ? cloud_publish(lab, err) : -1; /* where the devices of what booted are */
    /* The agent of a new VM runs its reload command before any event, those of the others as the metadata changed. */
    return r == 0 ? agents_await(lab, every, err) : -1;
}

static int make_keys(struct lab *lab, struct machine *machine, struct error **err)
{
    if (!package_has_keys(lab->package, machine->role)) {
        return 0;
    }
    _cleanup_free_ char *dir = lab_path(lab, "machines/%s", machine->name);
    _cleanup_free_ char *key = lab_path(lab, "machines/%s/id_rsa", machine->name);
    _cleanup_free_ char *pub = xasprintf("%s.pub", key);
    size_t len;
    if (dir_make(dir, 0700, err) != 0 ||
        proc_exec(deadline_in(60000), err, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C",
                  machine->node_id, "-f", key, NULL) != 0 ||
        file_read(pub, 0, &machine->pub_key, &len, err) != 0) {
        return -1;
    }
    machine->pub_key[strcspn(machine->pub_key, "\n")] = '\0';
    return 0;
}

static int add_machines(struct lab *lab, const struct role_count *counts, bool adding_nodes, struct error **err)
{
    for (; counts->role != NULL; counts++) {
        for (int i = 0; i < counts->count; i++) {
            struct machine *m = lab_add(lab, counts->role);
            m->adding = adding_nodes;
            if (make_keys(lab, m, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

int appcenter_register(struct lab *lab, const struct role_count *counts, struct error **err)
{
    return add_machines(lab, counts, false, err);
}

/* What custom_metadata prints changes the metadata, which every agent sees. */
static int bring_up(struct lab *lab, machine_filter *which, struct error **err)
{
    return services_run(lab, which, "init", err) == 0 && services_run(lab, which, "custom_metadata", err) == 0 &&
                   metadata_publish(lab, err) == 0 && agents_await(lab, every, err) == 0 &&
                   services_run(lab, which, "start", err) == 0 &&
                   services_phase(lab, which, "init", POST_PHASE, err) == 0
               ? 0
               : -1;
}

int appcenter_create(struct lab *lab, const struct role_count *counts, struct error **err)
{
    if (lab->n_machines == 0 && (appcenter_register(lab, counts, err) != 0 || appcenter_boot(lab, err) != 0)) {
        return -1;
    }
    if (bring_up(lab, every, err) != 0) {
        return -1;
    }
    lab->created = true;
    return lab_save(lab, err);
}

int appcenter_reload(struct lab *lab, struct error **err)
{
    return metadata_publish(lab, err) == 0 ? agents_await(lab, seeing, err) : -1;
}

void appcenter_settle(struct lab *lab)
{
    for (size_t i = 0; i < lab->n_machines; i++) {
        lab->machines[i]->adding = false;
        lab->machines[i]->deleting = false;
    }
}

void appcenter_drop(struct lab *lab, machine_filter *which)
{
    for (size_t i = lab->n_machines; i > 0; i--) {
        struct machine *m = lab->machines[i - 1];
        if (which(m)) {
            machine_power_off(lab, m, deadline_in(20000));
            (void)machine_erase(lab, m, NULL);
            lab_remove(lab, m);
        }
    }
}

int appcenter_scales(const struct lab *lab, const char *role, struct error **err)
{
    return package_scales(lab->package, role)
               ? 0
               : error_new(err, STATUS_USAGE, "the app package lets nobody add or delete a %s", role);
}

int appcenter_add(struct lab *lab, const struct role_count *counts, struct error **err)
{
    for (const struct role_count *c = counts; c->role != NULL; c++) {
        if (appcenter_scales(lab, c->role, err) != 0) {
            return -1;
        }
    }
    if (services_run(lab, every, "scale_out.pre_check", err) != 0 || add_machines(lab, counts, true, err) != 0) {
        return -1;
    }
    int r = appcenter_boot(lab, err) == 0 && bring_up(lab, adding, err) == 0 &&
                    services_run(lab, staying, "scale_out", err) == 0
                ? 0
                : -1;
    if (r != 0) {
        appcenter_drop(lab, adding);
    }
    appcenter_settle(lab);
    (void)lab_save(lab, NULL);
    return appcenter_reload(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

int appcenter_stop(struct lab *lab, struct error **err)
{
    if (services_run(lab, every, "stop", err) != 0) {
        return -1;
    }
    struct task *task = progress_begin(NULL, "dropping the machines");
    for (size_t i = 0; i < lab->n_machines; i++) {
        machine_power_off(lab, lab->machines[i], deadline_in(20000));
    }
    progress_end(task, true, NULL);
    return lab_save(lab, err);
}

int appcenter_start(struct lab *lab, struct error **err)
{
    return appcenter_boot(lab, err) == 0 && services_run(lab, every, "start", err) == 0 ? 0 : -1;
}

static bool lacks_restart(const struct machine *machine)
{
    struct service service;
    return machine->instance_id != NULL && !package_service(restarted, machine->role, "restart", &service);
}

int appcenter_restart(struct lab *lab, struct error **err)
{
    restarted = lab->package;
    return services_run(lab, every, "restart", err) == 0 && services_run(lab, lacks_restart, "stop", err) == 0
               ? services_run(lab, lacks_restart, "start", err)
               : -1;
}

int appcenter_set(struct lab *lab, const char *key, const char *value, struct error **err)
{
    json_object_set_new(lab->env, key, json_string(value));
    return lab_save(lab, err) == 0 && appcenter_reload(lab, err) == 0 ? 0 : -1;
}

static bool of_role(const struct machine *machine)
{
    return strcmp(machine->role, resized) == 0;
}

/* The machines WHICH picks get other VMs, all at once. */
static int replace(struct lab *lab, machine_filter *which, struct error **err)
{
    int r = services_run(lab, which, "stop", err);
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (which(lab->machines[i])) {
            machine_power_off(lab, lab->machines[i], deadline_in(20000));
        }
    }
    return r == 0 && appcenter_boot(lab, err) == 0 ? services_run(lab, which, "start", err) : -1;
}

int appcenter_resize(struct lab *lab, const char *role, struct error **err)
{
    json_object_set_new(lab->links, "vertical-scaling-roles", json_string(role));
    int r = appcenter_reload(lab, err);
    resized = role;
    if (r == 0 && !package_resizes_in_turn(lab->package, role)) {
        r = replace(lab, of_role, err);
    } else {
        for (size_t i = 0; r == 0 && i < lab->n_machines; i++) {
            one = lab->machines[i];
            r = of_role(one) ? replace(lab, chosen, err) : 0;
        }
    }
    json_object_del(lab->links, "vertical-scaling-roles");
    return appcenter_reload(lab, r == 0 ? err : NULL) == 0 ? r : -1;
}

/* From the new image even the VMs that keep their system disk else. */
static int drop_system_disks(const struct lab *lab, struct error **err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < lab->n_machines; i++) {
        r = machine_drop_system_disk(lab, lab->machines[i], err);
    }
    return r;
}

int appcenter_upgrade(struct lab *lab, const char *version, bool forward, struct error **err)
{
    if (forward && services_run(lab, every, "upgrade.pre_check", err) != 0) {
        return -1;
    }
    if (appcenter_stop(lab, err) != 0 || drop_system_disks(lab, err) != 0) {
        return -1;
    }
    network_leave();
    if (image_make(lab, version, err) != 0 || appcenter_boot(lab, err) != 0) {
        return -1;
    }
    if (!forward) {
        return services_run(lab, every, "start", err);
    }
    return services_run(lab, every, "upgrade", err) == 0 && services_run(lab, every, "start", err) == 0
               ? services_phase(lab, every, "upgrade", POST_PHASE, err)
               : -1;
}

/* Power off, nothing in order: this is for those who lost the whole cluster. */
int appcenter_lose(struct lab *lab, struct error **err)
{
    while (lab->n_machines > 0) {
        struct machine *m = lab->machines[lab->n_machines - 1];
        machine_cut(lab, m);
        if (machine_erase(lab, m, err) != 0) {
            return -1;
        }
        lab_remove(lab, m);
    }
    free(lab->cluster_id);
    lab->cluster_id = random_id("cl-");
    return lab_save(lab, err);
}

int appcenter_renew(struct lab *lab, const struct role_count *counts, const char *directory, struct error **err)
{
    _cleanup_free_ char *volume = lab_path(lab, "machines/master-1/data/%s", directory);
    _cleanup_free_ char *carried = lab_path(lab, "carried");
    if (rename(volume, carried) != 0) {
        return error_errno(err, STATUS_FILE, errno, "taking %s off the master's volume", directory);
    }
    if (appcenter_lose(lab, err) != 0 || appcenter_create(lab, counts, err) != 0) {
        return -1;
    }
    return rename(carried, volume) == 0
               ? 0
               : error_errno(err, STATUS_FILE, errno, "bringing %s to the new master's volume", directory);
}

int lab_down(struct lab *lab, struct error **err)
{
    faults_drop(lab);
    for (size_t i = 0; i < lab->n_machines; i++) {
        machine_cut(lab, lab->machines[i]);
    }
    process_end(&lab->metad, 15, deadline_in(5000));
    cloud_down(lab);
    leftovers_end(lab);
    network_down(lab);
    return files_remove(lab->dir, err);
}

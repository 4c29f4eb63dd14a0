#include "hooks/engine/run.h"

#include <string.h>

#include "app/paths.h"
#include "hooks/engine/rendered.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/root_path.h"

static int use_tree(struct run *run, json_t *tree, struct error **err)
{
    struct facts *facts = NULL;
    if (facts_load(&facts, tree, run->conf, err) < 0) {
        json_decref(tree);
        return -1;
    }
    facts_free(run->facts);
    json_decref(run->tree);
    run->facts = facts;
    run->tree = tree;
    rendered_free(STEAL(run->rendered));
    if (run->meta != NULL && !run->dry_run) {
        meta_keep(run->meta, tree);
    }
    if (strcmp(facts->self->is->binary, run->role->name) != 0) {
        return error_new(err, STATUS_USAGE,
                         "this host is a %s in the metadata (%s, %s): run k8s-%s, or k8s-hook which finds it",
                         facts->self->role, facts->self->ip, facts->self->instance_id, facts->self->is->binary);
    }
    return 0;
}

static int use_tree_or_accepted(struct run *run, json_t *tree, struct error **err)
{
    _cleanup_error_ struct error *refusal = NULL;
    if (use_tree(run, tree, &refusal) == 0) {
        return 0;
    }
    json_t *accepted = NULL;
    bool other = refusal->status != STATUS_USAGE && run->source == NULL &&
                 meta_cached(run->meta, &accepted, NULL) == 0 && use_tree(run, accepted, NULL) == 0;
    if (!other) {
        return error_move(err, &refusal);
    }
    log_warning("using the metadata that was accepted last: %s", refusal->message);
    return 0;
}

static int fetch(struct run *run, enum metadata_source source, json_t **tree, struct error **err)
{
    if (source == METADATA_CACHED && run->source == NULL && meta_cached(run->meta, tree, NULL) == 0) {
        return 0;
    }
    if (source == METADATA_LIVE) {
        return meta_get(run->meta, run->deadline, tree, err);
    }
    return meta_get_or_cached(run->meta, run->deadline, tree, err);
}

bool run_facts_unfinished(const struct error *err)
{
    return err->status == STATUS_METADATA_INVALID || err->status == STATUS_PARAMETER;
}

/* A tree that somebody is writing holds half a host: the rest of it is waited for. */
static int use_tree_when_whole(struct run *run, json_t *tree, struct error **err)
{
    struct deadline deadline = deadline_earlier(run->deadline, deadline_in(run->conf->metadata.deadline_ms));
    _cleanup_error_ struct error *refusal = NULL;
    int r = use_tree(run, tree, &refusal);
    while (r < 0 && refusal->status == STATUS_METADATA_INVALID) {
        _cleanup_error_ struct error *waited = NULL;
        if (meta_wait(run->meta, deadline, &tree, &waited) < 0) {
            return error_move(err, waited->status == STATUS_INTERRUPTED ? &waited : &refusal);
        }
        log_info("the metadata changed, which could not be used: %s", refusal->message);
        error_freep(&refusal);
        r = use_tree(run, tree, &refusal);
    }
    return r == 0 ? 0 : error_move(err, &refusal);
}

int run_facts(struct run *run, enum metadata_source source, struct error **err)
{
    json_t *tree = NULL;
    if (source == METADATA_NONE || run->facts != NULL) {
        return 0;
    }
    if (run->conf->metadata.cache == NULL) {
        run->conf->metadata.cache = run_state_path(run, "metadata.json");
    }
    if (run->meta == NULL && meta_open(&run->meta, run->conf, run->source, err) < 0) {
        return -1;
    }
    if (fetch(run, source, &tree, err) < 0) {
        return -1;
    }
    switch (source) {
    case METADATA_ACCEPTED:
        return use_tree_or_accepted(run, tree, err);
    case METADATA_LIVE:
        return use_tree_when_whole(run, tree, err);
    default:
        return use_tree(run, tree, err);
    }
}

void run_facts_forget(struct run *run)
{
    facts_free(STEAL(run->facts));
    json_decref(STEAL(run->tree));
    rendered_free(STEAL(run->rendered));
}

int run_facts_wait(struct run *run, struct deadline deadline, struct error **err)
{
    json_t *tree = NULL;
    return meta_wait(run->meta, deadline, &tree, err) < 0 ? -1 : use_tree(run, tree, err);
}

int run_units(struct run *run, struct error **err)
{
    if (run->root[0] != '\0') {
        return error_new(err, STATUS_UNIT, "services are not started under --root %s; use `render` to write its files",
                         run->root);
    }
    return run->units != NULL ? 0 : units_open(&run->units, run->deadline, err);
}

static const struct http_tls as_master = {
    .ca = CA_CERTIFICATE,
    .cert = PKI_DIRECTORY "/apiserver-kubelet-client.crt",
    .key = PKI_DIRECTORY "/apiserver-kubelet-client.key",
};

static const struct http_tls as_node = {
    .ca = CA_CERTIFICATE,
    .cert = KUBELET_CLIENT_CERTIFICATE,
    .key = KUBELET_CLIENT_CERTIFICATE,
};

static int open_kube(const struct run *run, const struct http_tls *tls, struct kube **kube, struct error **err)
{
    if (run->facts->master == NULL) {
        return error_new(err, STATUS_METADATA_INVALID, "the metadata names no master host");
    }
    _cleanup_free_ char *server = xasprintf("https://%s:%d", run->facts->master->ip, API_PORT);
    _cleanup_free_ char *ca = run_path_followed(run, tls->ca);
    _cleanup_free_ char *cert = run_path_followed(run, tls->cert);
    _cleanup_free_ char *key = run_path_followed(run, tls->key);
    const struct http_tls below_root = {.ca = ca, .cert = cert, .key = key};
    return kube_open(kube, server, &below_root, err);
}

int run_kube_open(const struct run *run, struct kube **kube, struct error **err)
{
    return open_kube(run, run->role->control_plane ? &as_master : &as_node, kube, err);
}

int run_kube(struct run *run, struct error **err)
{
    return run->kube != NULL ? 0 : run_kube_open(run, &run->kube, err);
}

int run_kube_as_node(const struct run *run, struct kube **kube, struct error **err)
{
    return open_kube(run, &as_node, kube, err);
}

int run_own_node(const struct run *run, struct deadline deadline, json_t **node, struct error **err)
{
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", run->facts->self->node_name);
    return run_kube_as_node(run, &kube, err) < 0 ? -1 : kube_get(kube, path, deadline, node, NULL, err);
}

char *run_path(const struct run *run, const char *path)
{
    return root_path(run->root, path, false);
}

char *run_path_followed(const struct run *run, const char *path)
{
    return root_path(run->root, path, true);
}

char *run_state_path(const struct run *run, const char *name)
{
    const char *state = run->conf->paths.state != NULL ? run->conf->paths.state : run->role->state;
    _cleanup_free_ char *path = xasprintf("%s/%s", state, name);
    return run_path_followed(run, path);
}

struct deadline run_deadline(const struct run *run, int seconds)
{
    return deadline_earlier(run->deadline, deadline_in((int64_t)seconds * 1000));
}

int run_pause(int ms, struct deadline deadline, struct error **err)
{
    if (interrupt_sleep(ms, deadline, err) < 0) {
        return -1;
    }
    return deadline_left(deadline) > 0 ? 0 : error_new(err, STATUS_DEADLINE, "the deadline passed");
}

int run_goes_on(const struct run *run, struct error **err)
{
    if (interrupt_check(err) < 0) {
        return -1;
    }
    return deadline_left(run->deadline) > 0
               ? 0
               : error_new(err, STATUS_DEADLINE, "the deadline of `%s` passed before this", run->event);
}

int run_until(struct run *run, int (*probe)(struct run *run, struct deadline deadline, struct error **err),
              const char *what, const char *wanted, int seconds, struct error **err)
{
    struct deadline deadline = run_deadline(run, seconds);
    for (;;) {
        _cleanup_error_ struct error *last = NULL;
        if (probe(run, deadline, &last) == 0) {
            return 0;
        }
        if (run_pause(250, deadline, err) < 0) {
            _cleanup_free_ char *tail = journal_tail("kubelet.service", 5);
            return error_wrap(err, "%s did not become %s in %d s (%s); last kubelet lines:\n%s", what, wanted, seconds,
                              last->message, tail);
        }
    }
}

void run_close(struct run *run)
{
    rendered_free(run->rendered);
    kube_free(run->kube);
    units_free(run->units);
    facts_free(run->facts);
    json_decref(run->tree);
    meta_free(run->meta);
    conf_free(run->conf);
}

/* /etc/k8s-hooks/hook.conf with hook.conf.d/ *.conf over it (libconfuse). An unknown key is STATUS_CONFIG with file and
 * line. */
#ifndef APP_CONF_H
#define APP_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/core/error.h"

struct conf {
    struct {
        char **servers;   /* "http://IP:PORT"; when empty, those in confd_toml, then "http://metadata" */
        char *confd_toml; /* /etc/confd/confd.toml */
        int timeout_ms;   /* one request */
        int deadline_ms;  /* all tries together */
        char *cache;      /* the last accepted answer, 0600; NULL: metadata.json in the state directory, which
                             hooks/engine/run.c      sets */
    } metadata;
    struct {
        char *data;      /* /data: the volume that outlives the VM */
        char *state;     /* NULL: the role's own (/data/kubernetes/hooks; client: /var/lib/k8s-hooks) */
        char *roles;     /* directory of the roles' *.conf */
        char *templates; /* directory of templates */
        char *opt;       /* /opt/kubernetes: what the image brought (images/, manifests/, bin/, versions.json) */
    } paths;
    struct {
        int event_s; /* deadline of an event; 0: the default of each event */
        int unit_s;  /* a unit reaching its state */
        int api_s;   /* the API server getting ready */
        int token_s; /* the master's token appearing */
        int drain_s; /* draining one node */
    } timeouts;
    struct {
        char *mode; /* "auto": hostnic or flannel by enable_hostnic; "bridge": /24 a node with static routes */
    } network;
    struct {
        char *url; /* management listener of a metadata server ("http://IP:9611"); empty: no report */
    } report;
    struct {
        bool enabled; /* add-ons are applied to the cluster */
        char **skip;  /* add-on names left out, where an image lacks their container images */
    } addons;
    struct {
        char *protocol, *host; /* cloud API end point when the metadata has none: https, api.qingcloud.com */
        int port;
    } cloud;
};

/* PATH is the main file; it may be absent when REQUIRED is false. Paths default to the installed ones, or to the
 * source tree's when the running binary lies in a build/bin/. *conf is freed by conf_free. */
int conf_load(struct conf **conf, const char *path, bool required, struct error **err);
void conf_free(struct conf *conf);
void conf_freep(struct conf **conf);

#endif

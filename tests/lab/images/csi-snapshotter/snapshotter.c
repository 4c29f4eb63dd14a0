/* Stands for csi-snapshotter: the driver must be able to make snapshots; its custom resources are followed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/program.h"

/* v1 makes its own definitions when they are not there. */
static void make_definition(const char *plural, const char *kind, const char *scope)
{
    _cleanup_free_ char *name = xasprintf("%s.snapshot.storage.k8s.io", plural);
    _cleanup_free_ char *path = xasprintf("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", name);
    _cleanup_json_ json_t *there = cluster_get(path);
    if (there != NULL) {
        return;
    }
    _cleanup_json_ json_t *definition = json_pack(
        "{ss ss s{ss} s{ss ss s{ss ss} s[{ss sb sb s{s{ss sb}}}]}}", "apiVersion", "apiextensions.k8s.io/v1", "kind",
        "CustomResourceDefinition", "metadata", "name", name, "spec", "group", "snapshot.storage.k8s.io", "scope",
        scope, "names", "plural", plural, "kind", kind, "versions", "name", "v1alpha1", "served", 1, "storage", 1,
        "schema", "openAPIV3Schema", "type", "object", "x-kubernetes-preserve-unknown-fields", 1);
    json_t *metadata = json_object_get(definition, "metadata");
    json_object_set_new(metadata, "annotations",
                        json_pack("{ss}", "api-approved.kubernetes.io", "unapproved, experimental-only"));
    int status = cluster_call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition, NULL);
    if (status != 201 && status != 409) {
        fail("cannot define %s: status %d", name, status);
    }
}

static void follow(const char *what, const json_t *object, void *data)
{
    (void)data;
    if (object != NULL && strcmp(what, "ADDED") == 0) {
        say("snapshot class %s", text_at(object, "metadata name"));
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"connection-timeout", FLAG_SECONDS, false, "1m"},
                           {"leader-election", FLAG_SWITCH, false, "false"},
                           {"leader-election-namespace", FLAG_TEXT, false, ""},
                           {"snapshot-name-prefix", FLAG_TEXT, false, "snapshot"},
                           {"snapshot-name-uuid-length", FLAG_NUMBER, false, "-1"},
                           {"timeout", FLAG_SECONDS, false, "1m"},
                           {"resync-period", FLAG_SECONDS, false, "60s"},
                           {"snapshotter", FLAG_TEXT, false, ""},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    const char *socket = flag_text(flags, "csi-address");
    _cleanup_free_ char *driver = csi_connect(socket);
    if (!csi_controller_can(socket, CSI_SNAPSHOT)) {
        fail("CSI driver %s does not support ControllerCreateSnapshot", driver);
    }
    make_definition("volumesnapshotclasses", "VolumeSnapshotClass", "Cluster");
    make_definition("volumesnapshotcontents", "VolumeSnapshotContent", "Cluster");
    make_definition("volumesnapshots", "VolumeSnapshot", "Namespaced");
    cluster_watch("/apis/snapshot.storage.k8s.io/v1alpha1/volumesnapshotclasses", follow, NULL);
}

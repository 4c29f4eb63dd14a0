/* What `revive` does about a failing check, and `reload` about a disk that fills up, on a machine of its own: nobody
 * else's /run, /data, /opt and loopback. */
#include "tests/unit/hooks/engine_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <microhttpd.h>

#include "app/paths.h"
#include "hooks/events/events.h"
#include "hooks/events/heal.h"
#include "hooks/files/backups.h"
#include "hooks/files/stopped.h"
#include "hooks/steps/steps.h"
#include "lib/system/proc.h"

enum { ETCD_PORT = 2381, LONG_AGO_S = 3600, CALLS = 8 };

/* Docker on its socket: what it was asked to change, and what it answers. */
static struct {
    struct MHD_Daemon *server;
    char *calls[CALLS]; /* "METHOD PATH" of all but GET, in their order */
    size_t n;
    int64_t created;   /* of the container that runs */
    char running[64];  /* its name in the pod */
    unsigned refusing; /* the status of everything; 0: all goes well */
    const char *layer; /* the file that goes with the unused image; NULL: it frees nothing */
} docker;

static struct facts facts;
static struct host self = {.ip = (char[]){"127.0.0.1"}, .node_name = (char[]){"master-1"}};

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* The running container, when the label that is filtered by is its own. */
static enum MHD_Result list_containers(struct MHD_Connection *connection)
{
    const char *filters = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "filters");
    _cleanup_free_ char *label = xasprintf("io.kubernetes.container.name=%s\"", docker.running);
    bool listed = docker.running[0] != '\0' && (filters == NULL || strstr(filters, label) != NULL);
    _cleanup_free_ char *text =
        listed ? xasprintf("[{\"Id\":\"running\",\"ImageID\":\"used\",\"Created\":%lld}]", (long long)docker.created)
               : xstrdup("[]");
    return respond(connection, MHD_HTTP_OK, text);
}

static enum MHD_Result answer_docker(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_len, void **request)
{
    static const char images[] = "[{\"Id\":\"used\",\"RepoTags\":[\"etcd:3\"]},{\"Id\":\"kept\",\"RepoTags\":[\"pause:"
                                 "3.2\"]},{\"Id\":\"unused\",\"RepoTags\":[\"old:1\"]}]";
    (void)data;
    (void)version;
    (void)upload;
    (void)upload_len;
    (void)request;
    if (strcmp(method, "GET") != 0 && docker.n < CALLS) {
        const char *signal = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "signal");
        docker.calls[docker.n++] =
            xasprintf("%s %s%s%s", method, url, signal == NULL ? "" : " ", signal == NULL ? "" : signal);
    }
    if (docker.layer != NULL && strcmp(method, "DELETE") == 0 && strcmp(url, "/images/unused") == 0) {
        (void)unlink(docker.layer);
    }
    if (docker.refusing != 0) {
        return respond(connection, docker.refusing, "{\"message\":\"the disk is gone\"}");
    }
    if (strcmp(url, "/containers/json") == 0) {
        return list_containers(connection);
    }
    return respond(connection, MHD_HTTP_OK, strcmp(url, "/images/json") == 0 ? images : "{}");
}

static enum MHD_Result answer_etcd(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_len, void **request)
{
    (void)data;
    (void)method;
    (void)version;
    (void)upload;
    (void)upload_len;
    (void)request;
    return strcmp(url, "/metrics") == 0
               ? respond(connection, MHD_HTTP_OK,
                         "etcd_mvcc_db_total_size_in_bytes 1\netcd_mvcc_db_total_size_in_use_in_bytes 1\n"
                         "etcd_server_quota_backend_bytes 2\n")
               : respond(connection, MHD_HTTP_NOT_FOUND, "");
}

static struct MHD_Daemon *serve_docker(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/docker.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink(address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    struct MHD_Daemon *server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer_docker, NULL,
                                                 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
    assert_non_null(server);
    return server;
}

static void mount_empty(const char *directory_path)
{
    (void)mkdir(directory_path, 0755);
    assert_int_equal(mount("tmpfs", directory_path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"), 0);
}

static int set_up_machine(void **state)
{
    (void)state;
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
    assert_int_equal(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
    mount_empty("/run");
    mount_empty(DATA);
    mount_empty("/opt");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
    return close(fd);
}

/* A master with an image that brings a newer Kubernetes: manifests are `upgrade`'s then. */
static int set_up(void **state)
{
    if (enter(state) < 0) {
        return -1;
    }
    facts = (struct facts){.self = &self};
    facts.versions = json_pack("{ss s{ss}}", "kubernetes", "v1.20.3", "images", "pause", "pause:3.2");
    run.facts = &facts;
    _cleanup_free_ char *stamps = xasprintf("%s/stamps", directory);
    _cleanup_free_ char *stamp = xasprintf("%s/kubernetes", stamps);
    assert_int_equal(mkdir(stamps, 0700), 0);
    assert_int_equal(file_put_private(stamp, "v1.20.2", NULL), 0);
    docker.created = (int64_t)time(NULL) - LONG_AGO_S;
    docker.server = serve_docker();
    return 0;
}

static int tear_down(void **state)
{
    MHD_stop_daemon(docker.server);
    for (size_t i = 0; i < docker.n; i++) {
        free(docker.calls[i]);
    }
    memset(&docker, 0, sizeof docker);
    json_decref(facts.versions);
    return leave(state);
}

static const struct heal *heal_of(const struct check *check)
{
    for (const struct heal *heal = heals; heal->check != NULL; heal++) {
        if (heal->check == check) {
            return heal;
        }
    }
    fail_msg("nothing heals %s", check->name);
    return NULL;
}

static void causes_are_healed_before_what_follows_from_them(void **state)
{
    (void)state;
    static const struct check *const order[][2] = {
        {&check_docker, &check_data_space},
        {&check_docker, &check_kubelet},
        {&check_data_space, &check_kubelet},
        {&check_certificates, &check_kubelet},
        {&check_node_ready, &check_units},
        {&check_kubelet, &check_kubelet_healthz},
        {&check_kubelet_healthz, &check_etcd},
        {&check_etcd, &check_api_server},
        {&check_api_server, &check_scheduler},
        {&check_api_server, &check_node_ready},
        {&check_api_server, &check_controller_manager},
        {&check_kubelet_healthz, &check_node_ready},
    };
    for (size_t i = 0; i < ELEMENTS(order); i++) {
        assert_true(heal_of(order[i][0]) < heal_of(order[i][1]));
    }
    for (const struct heal *heal = heals; heal->check != NULL; heal++) {
        assert_ptr_equal(heal_of(heal->check), heal);
    }
}

static const struct {
    const struct check *check;
    const char *container, *done;
} static_pods[] = {
    {&check_api_server, "kube-apiserver", "the API server hung and its container was killed"},
    {&check_scheduler, "kube-scheduler", "the scheduler hung and its container was killed"},
    {&check_controller_manager, "kube-controller-manager", "the controller manager hung and its container was killed"},
    {&check_etcd, "etcd", "etcd hung and its container was killed"},
};

static void a_hanging_static_pod_is_killed_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(static_pods); i++) {
        const char *done = NULL;
        (void)snprintf(docker.running, sizeof docker.running, "%s", static_pods[i].container);
        assert_int_equal(heal_of(static_pods[i].check)->apply(&run, &done, NULL), 1);
        assert_string_equal(done, static_pods[i].done);
        assert_int_equal(docker.n, i + 1);
        assert_string_equal(docker.calls[i], "POST /containers/running/kill KILL");
    }
    const char *done = NULL;
    assert_int_equal(heal_of(&check_scheduler)->apply(&run, &done, NULL), 0);
    assert_int_equal(docker.n, ELEMENTS(static_pods));
}

static void a_static_pod_that_is_starting_is_left(void **state)
{
    (void)state;
    const char *done = NULL;
    docker.created = (int64_t)time(NULL) - 60;
    for (size_t i = 0; i < ELEMENTS(static_pods); i++) {
        (void)snprintf(docker.running, sizeof docker.running, "%s", static_pods[i].container);
        assert_int_equal(heal_of(static_pods[i].check)->apply(&run, &done, NULL), 0);
    }
    assert_int_equal(docker.n, 0);
}

static void an_etcd_that_answers_is_not_killed(void **state)
{
    (void)state;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(ETCD_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *etcd = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer_etcd, NULL,
                                               MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(etcd);
    (void)strcpy(docker.running, "etcd");
    const char *done = NULL;
    assert_int_equal(heal_of(&check_etcd)->apply(&run, &done, NULL), 0);
    assert_int_equal(docker.n, 0);
    MHD_stop_daemon(etcd);
}

static void a_docker_that_refuses_is_reported(void **state)
{
    (void)state;
    static const struct check *const checks[] = {&check_api_server, &check_data_space};
    docker.refusing = MHD_HTTP_INTERNAL_SERVER_ERROR;
    for (size_t i = 0; i < ELEMENTS(checks); i++) {
        _cleanup_error_ struct error *err = NULL;
        const char *done = NULL;
        assert_int_equal(heal_of(checks[i])->apply(&run, &done, &err), -1);
        assert_int_equal(err->status, STATUS_COMMAND);
        assert_non_null(strstr(err->message, "the disk is gone"));
        assert_int_equal(heal_of(checks[i])->apply(&run, &done, NULL), -1);
    }
}

static void a_full_disk_loses_what_nobody_uses(void **state)
{
    (void)state;
    const char *done = NULL;
    (void)strcpy(docker.running, "etcd");
    assert_int_equal(mkdir(BACKUP_DIRECTORY, 0700), 0);
    assert_int_equal(mkdir(BACKUP_UNFINISHED, 0700), 0);
    assert_int_equal(mkdir(BACKUP_DIRECTORY "/first", 0700), 0);
    assert_int_equal(file_put_private(BACKUP_UNFINISHED "/etcd.db", "half", NULL), 0);
    assert_int_equal(heal_of(&check_data_space)->apply(&run, &done, NULL), 1);
    assert_string_equal(done, "stopped containers and unused images were removed");
    assert_int_equal(docker.n, 2);
    assert_string_equal(docker.calls[0], "POST /containers/prune");
    assert_string_equal(docker.calls[1], "DELETE /images/unused");
    assert_int_equal(access(BACKUP_UNFINISHED, F_OK), -1);
    assert_int_equal(access(BACKUP_DIRECTORY "/first", F_OK), 0);
}

#define DOCKER_DISK DATA "/var/lib/docker"
#define ARCHIVE "/opt/kubernetes/images/pause.tar"

enum { MIB = 1024 * 1024 };

static void allocate(const char *path, off_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
    assert_int_equal(close(fd), 0);
}

/* 16 MiB for Docker, and an image that brings pause, which Docker's command line says it does not have. */
static void make_small_disk(void)
{
    static const char command[] = "#!/bin/sh\n[ \"$1\" = load ] || exit 1\necho \"$*\" >>/run/loaded\n";
    const struct file_spec program = {
        "/opt/kubernetes/bin/docker", command, strlen(command), 0755, (uid_t)-1, (gid_t)-1};
    assert_int_equal(proc_exec(deadline_in(300000), NULL, "mkdir", "-p", DOCKER_DISK, "/opt/kubernetes/bin",
                               "/opt/kubernetes/images", NULL),
                     0);
    assert_int_equal(mount("tmpfs", DOCKER_DISK, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m"), 0);
    assert_int_equal(file_put(&program, NULL, NULL), 0);
    assert_int_equal(file_put_private(ARCHIVE, "", NULL), 0);
    (void)unlink("/run/loaded");
    conf.paths.opt = (char *)"/opt/kubernetes";
    (void)strcpy(docker.running, "etcd");
}

static void a_disk_that_fills_up_loses_unused_images_but_the_machines_own(void **state)
{
    (void)state;
    make_small_disk();
    allocate(DOCKER_DISK "/others", 15L * MIB);
    assert_int_equal(step_keep_images.apply(&run, NULL), 0);
    assert_int_equal(docker.n, 1);
    assert_string_equal(docker.calls[0], "DELETE /images/unused");
    /* still full: what is loaded now would be the next to go */
    assert_int_equal(access("/run/loaded", F_OK), -1);
    assert_int_equal(umount(DOCKER_DISK), 0);
}

static void what_is_missing_is_loaded_once_there_is_room(void **state)
{
    (void)state;
    _cleanup_free_ char *loaded = NULL;
    make_small_disk();
    allocate(DOCKER_DISK "/others", 1L * MIB);
    docker.layer = DOCKER_DISK "/layer";
    allocate(docker.layer, 14L * MIB);
    assert_int_equal(step_keep_images.apply(&run, NULL), 0);
    assert_int_equal(docker.n, 1);
    assert_string_equal(docker.calls[0], "DELETE /images/unused");
    assert_int_equal(file_read("/run/loaded", 0, &loaded, NULL, NULL), 0);
    assert_string_equal(loaded, "load --quiet --input " ARCHIVE "\n");
    /* with room, what nobody uses may stay */
    assert_int_equal(step_keep_images.apply(&run, NULL), 0);
    assert_int_equal(docker.n, 1);
    assert_int_equal(umount(DOCKER_DISK), 0);
}

static int applied;

static int note_applied(struct run *of, struct error **err)
{
    (void)of;
    (void)err;
    applied++;
    return 0;
}

static int refuse(struct run *of, struct error **err)
{
    (void)of;
    return error_new(err, STATUS_UNHEALTHY, "the API server does not answer");
}

static const struct step step_note = {"note", NULL, note_applied, NULL};
static const struct step step_refuse = {"refuse", NULL, refuse, NULL};
static const struct step *const noting[] = {&step_note, NULL};
static const struct step *const refusing[] = {&step_refuse, NULL};
static const struct event client_events[] = {{"start", noting, NULL}, {NULL, NULL, NULL}};
static const struct event refused_events[] = {{"start", refusing, NULL}, {NULL, NULL, NULL}};
static const struct role client = {.name = "client", .kubeconfig = ROOT_KUBECONFIG, .events = client_events};
static const struct role refused = {.name = "client", .kubeconfig = ROOT_KUBECONFIG, .events = refused_events};

static void a_client_without_access_runs_the_steps_of_start(void **state)
{
    (void)state;
    static const struct check *const checks[] = {&check_cluster_api, &check_certificates};
    applied = 0;
    for (size_t i = 0; i < ELEMENTS(checks); i++) {
        _cleanup_error_ struct error *err = NULL;
        const char *done = NULL;
        run.role = &client;
        assert_int_equal(heal_of(checks[i])->apply(&run, &done, NULL), 1);
        assert_string_equal(done, "the kubeconfig was recreated");
        assert_int_equal(applied, i + 1);
        run.role = &refused;
        assert_int_equal(heal_of(checks[i])->apply(&run, &done, &err), -1);
        assert_int_equal(err->status, STATUS_UNHEALTHY);
    }
}

static void a_node_cannot_renew_its_own_certificate(void **state)
{
    (void)state;
    const char *done = NULL;
    assert_int_equal(heal_of(&check_certificates)->apply(&run, &done, NULL), 0);
    assert_int_equal(docker.n, 0);
}

static void without_systemd_no_unit_counts_as_healed(void **state)
{
    (void)state;
    static const struct check *const checks[] = {&check_docker, &check_kubelet, &check_kubelet_healthz,
                                                 &check_node_ready, &check_metadata_guard};
    for (size_t i = 0; i < ELEMENTS(checks); i++) {
        _cleanup_error_ struct error *err = NULL;
        const char *done = NULL;
        assert_int_equal(heal_of(checks[i])->apply(&run, &done, &err), -1);
        assert_int_equal(err->status, STATUS_UNIT);
    }
}

static const struct check *const docker_alone[] = {&check_docker, NULL};
static const struct role stoppable = {.name = "node", .state = "/nowhere", .kubelet = true, .checks = docker_alone};

/* Without systemd Docker's check fails, and nothing can heal it. */
static int revive_status(void)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *role_conf = xasprintf("%s/node.conf", directory);
    assert_int_equal(file_put_private(role_conf, "", NULL), 0);
    conf.paths.roles = directory;
    run.role = &stoppable;
    run.event = "revive";
    return event_revive(&run, &err) < 0 ? (int)err->status : 0;
}

static void a_stopped_machine_is_left_alone_until_it_is_started(void **state)
{
    (void)state;
    static const char *const stopping[] = {"stop", "destroy"};
    for (size_t i = 0; i < ELEMENTS(stopping); i++) {
        assert_int_equal(revive_status(), STATUS_UNHEALTHY);
        run.event = stopping[i];
        (void)step_stop_kubelet.apply(&run, NULL);
        assert_true(stopped_noted());
        _cleanup_free_ char *tries = xasprintf("%s/revive.json", directory);
        assert_int_equal(unlink(tries), 0);
        assert_int_equal(revive_status(), 0);
        assert_int_equal(access(tries, F_OK), -1);
        run.event = "start";
        (void)step_start_kubelet.apply(&run, NULL);
        assert_false(stopped_noted());
    }
    assert_int_equal(revive_status(), STATUS_UNHEALTHY);
}

static void a_restart_that_was_killed_half_way_is_revived(void **state)
{
    (void)state;
    run.event = "restart";
    (void)step_stop_kubelet.apply(&run, NULL);
    assert_int_equal(revive_status(), STATUS_UNHEALTHY);
}

static void a_restore_that_was_killed_half_way_is_not_revived(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(revive_status(), STATUS_UNHEALTHY); /* makes what an event needs */
    struct role master = stoppable;
    master.control_plane = true;
    run.role = &master;
    _cleanup_free_ char *tries = xasprintf("%s/revive.json", directory);
    assert_int_equal(unlink(tries), 0);
    assert_int_equal(file_put_private(DATA_ETCD "/restore-unfinished", "", NULL), 0);
    assert_int_equal(event_revive(&run, &err), -1);
    assert_true(err->status == STATUS_BACKUP && strstr(err->message, "k8s-master restore") != NULL);
    assert_int_equal(access(tries, F_OK), -1);
    assert_int_equal(file_put_private(DATA_ETCD "/restore-unfinished", "done", NULL), 0);
    assert_int_equal(event_revive(&run, NULL), -1);
    assert_int_equal(access(tries, F_OK), 0);
}

#define ON_A_MASTER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_MASTER(causes_are_healed_before_what_follows_from_them),
        ON_A_MASTER(a_restore_that_was_killed_half_way_is_not_revived),
        ON_A_MASTER(a_hanging_static_pod_is_killed_and_no_other),
        ON_A_MASTER(a_static_pod_that_is_starting_is_left),
        ON_A_MASTER(an_etcd_that_answers_is_not_killed),
        ON_A_MASTER(a_docker_that_refuses_is_reported),
        ON_A_MASTER(a_full_disk_loses_what_nobody_uses),
        ON_A_MASTER(a_disk_that_fills_up_loses_unused_images_but_the_machines_own),
        ON_A_MASTER(what_is_missing_is_loaded_once_there_is_room),
        ON_A_MASTER(a_client_without_access_runs_the_steps_of_start),
        ON_A_MASTER(a_node_cannot_renew_its_own_certificate),
        ON_A_MASTER(without_systemd_no_unit_counts_as_healed),
        ON_A_MASTER(a_stopped_machine_is_left_alone_until_it_is_started),
        ON_A_MASTER(a_restart_that_was_killed_half_way_is_revived),
    };
    return cmocka_run_group_tests_name("heal", tests, set_up_machine, NULL);
}

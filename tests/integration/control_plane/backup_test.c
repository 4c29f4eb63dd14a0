/* backup, delete_snapshot and what restore does before and after the stop, with real etcd, etcdctl and kubeadm. */
#include "tests/integration/control_plane/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "hooks/events/events.h"
#include "hooks/files/backups.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "lib/system/tree.h"

static pid_t etcd;

static void etcd_put(const char *key)
{
    const char *const arguments[] = {"put", key, "value", NULL};
    assert_int_equal(etcdctl(arguments, deadline_in(120000), NULL, NULL), 0);
}

static bool etcd_has(const char *key)
{
    const char *const arguments[] = {"get", key, NULL};
    _cleanup_free_ char *answer = NULL;
    assert_int_equal(etcdctl(arguments, deadline_in(120000), &answer, NULL), 0);
    return *answer != '\0';
}

static void start_etcd(void)
{
    etcd = etcd_start(NULL);
}

static void stop_etcd(void)
{
    etcd_end(etcd, SIGTERM);
    etcd = 0;
}

static int new_cluster(void **state)
{
    (void)state;
    new_data_of("320m");
    assert_int_equal(dir_make("/data/etcd", 0700, NULL), 0);
    struct run run = new_run();
    assert_int_equal(step_issue_certificates.apply(&run, NULL), 0);
    start_etcd();
    etcd_put("/before");
    return 0;
}

static int end_cluster(void **state)
{
    if (etcd > 0) {
        stop_etcd();
    }
    return drop_data(state);
}

static int backup(const char *argument, struct error **err)
{
    struct run run = new_run();
    run.argument = argument;
    return event_backup(&run, err);
}

static int apply(const struct step *step, const char *argument, struct error **err)
{
    struct run run = new_run();
    run.argument = argument;
    return step->apply(&run, err);
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void a_backup_is_private_and_sound(void **state)
{
    (void)state;
    _cleanup_json_ json_t *manifest = NULL;
    assert_int_equal(unlink("/data/kubernetes/hooks/stamps/certificates"), 0);
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    assert_mode(BACKUP_DIRECTORY, 0700);
    assert_mode(BACKUP_DIRECTORY "/one", 0700);
    assert_mode(BACKUP_DIRECTORY "/one/etcd.db", 0600);
    assert_mode(BACKUP_DIRECTORY "/one/kubernetes.tar", 0600);
    assert_mode(BACKUP_DIRECTORY "/one/manifest.json", 0600);
    assert_int_equal(backup_verify("one", &manifest, NULL), 0);
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
}

static void what_a_killed_backup_left_is_replaced(void **state)
{
    (void)state;
    put(BACKUP_UNFINISHED "/etcd.db", "half a snapshot");
    put(BACKUP_REMOVED "/etcd.db", "half deleted");
    put(BACKUP_DIRECTORY "/one/etcd.db", "without a manifest");
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    assert_int_equal(access(BACKUP_UNFINISHED, F_OK), -1);
    assert_int_equal(access(BACKUP_REMOVED, F_OK), -1);
    _cleanup_json_ json_t *manifest = NULL;
    assert_int_equal(backup_verify("one", &manifest, NULL), 0);
}

static void a_full_disk_refuses_a_backup_and_harms_nothing(void **state)
{
    (void)state;
    struct statvfs fs;
    struct error *err = NULL;
    assert_int_equal(statvfs("/data", &fs), 0);
    /* 40 MiB stay free: a snapshot would fit, and leave less than a tenth of the volume. */
    off_t fill = (off_t)(fs.f_bavail * fs.f_frsize) - (off_t)(40 << 20);
    _cleanup_close_ int fd = open("/data/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(posix_fallocate(fd, 0, fill), 0);
    assert_int_equal(backup("{\"name\": \"one\"}", &err), -1);
    assert_int_equal(err->status, STATUS_BACKUP);
    assert_non_null(strstr(err->message, "MiB free"));
    error_free(err);
    assert_int_equal(access(BACKUP_UNFINISHED, F_OK), -1);
    assert_int_equal(access(BACKUP_DIRECTORY "/one", F_OK), -1);
    etcd_put("/after");
}

static void a_failed_backup_leaves_no_file(void **state)
{
    (void)state;
    struct run run = new_run();
    run.argument = "{\"name\": \"one\"}";
    run.deadline = deadline_in(3000);
    stop_etcd();
    assert_int_equal(event_backup(&run, NULL), -1);
    assert_int_equal(access(BACKUP_UNFINISHED, F_OK), -1);
    assert_int_equal(access(BACKUP_DIRECTORY "/one", F_OK), -1);
}

/* The manifest of a good backup with its member "sha256" replaced. */
static void set_sums(const char *sums)
{
    _cleanup_json_ json_t *manifest = json_load_file(BACKUP_DIRECTORY "/one/manifest.json", 0, NULL);
    assert_int_equal(json_object_set_new(manifest, "sha256", json_loads(sums, JSON_DECODE_ANY, NULL)), 0);
    _cleanup_free_ char *text = json_dumps(manifest, 0);
    put(BACKUP_DIRECTORY "/one/manifest.json", text);
}

static void a_manifest_without_both_hashes_is_refused(void **state)
{
    (void)state;
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    _cleanup_json_ json_t *good = json_load_file(BACKUP_DIRECTORY "/one/manifest.json", 0, NULL);
    const char *sum = json_text(json_object_get(good, "sha256"), "etcd.db");
    _cleanup_free_ char *half = xasprintf("{\"etcd.db\": \"%s\"}", sum);
    _cleanup_free_ char *number = xasprintf("{\"etcd.db\": \"%s\", \"kubernetes.tar\": 5}", sum);
    const char *const wrong[] = {"{}", "[]", "7", "null", "{\"etcd.db\": 7, \"kubernetes.tar\": 7}", half, number};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        struct error *err = NULL;
        set_sums(wrong[i]);
        assert_int_equal(apply(&step_verify_backup, "{\"name\": \"one\"}", &err), -1);
        assert_int_equal(err->status, STATUS_BACKUP);
        error_free(err);
    }
    static const char *const texts[] = {"", "[]", "\"text\"", "{"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        put(BACKUP_DIRECTORY "/one/manifest.json", texts[i]);
        assert_int_equal(apply(&step_verify_backup, "{\"name\": \"one\"}", NULL), -1);
    }
    etcd_put("/after");
}

static void a_snapshot_refused_by_etcd_leaves_the_cluster_running(void **state)
{
    (void)state;
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    put(BACKUP_DIRECTORY "/one/etcd.db", "no snapshot");
    _cleanup_free_ char *sum = NULL;
    _cleanup_free_ char *tar = NULL;
    assert_int_equal(sha256_file(BACKUP_DIRECTORY "/one/etcd.db", &sum, NULL), 0);
    assert_int_equal(sha256_file(BACKUP_DIRECTORY "/one/kubernetes.tar", &tar, NULL), 0);
    _cleanup_free_ char *sums = xasprintf("{\"etcd.db\": \"%s\", \"kubernetes.tar\": \"%s\"}", sum, tar);
    set_sums(sums);
    assert_int_equal(apply(&step_verify_backup, "{\"name\": \"one\"}", NULL), 0);
    assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), -1);
    assert_int_equal(access("/data/etcd.restored", F_OK), -1);
    assert_true(etcd_has("/before"));
}

static void a_restore_keeps_what_it_replaced(void **state)
{
    (void)state;
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    etcd_put("/after");
    assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
    stop_etcd();
    assert_int_equal(apply(&step_restore_etcd, "{\"name\": \"one\"}", NULL), 0);
    start_etcd();
    assert_true(etcd_has("/before"));
    assert_false(etcd_has("/after"));
    stop_etcd();
    assert_int_equal(tree_remove("/data/etcd", NULL), 0);
    assert_int_equal(rename("/data/etcd.before-restore", "/data/etcd"), 0);
    start_etcd();
    assert_true(etcd_has("/after"));
}

/* Killed after the exchange: what lies where the snapshot was unpacked is the cluster's own data. */
static void a_killed_restore_loses_no_data(void **state)
{
    (void)state;
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    etcd_put("/after");
    assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
    stop_etcd();
    put("/data/etcd/replaced-by-restore", "");
    assert_int_equal(renameat2(AT_FDCWD, "/data/etcd", AT_FDCWD, "/data/etcd.restored", RENAME_EXCHANGE), 0);
    assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
    assert_int_equal(access("/data/etcd.before-restore/member", F_OK), 0);
    assert_int_equal(tree_remove("/data/etcd", NULL), 0);
    assert_int_equal(rename("/data/etcd.before-restore", "/data/etcd"), 0);
    start_etcd();
    assert_true(etcd_has("/after"));
}

/* Killed later than that, and run again: what it put there itself is not the way back. Once it was accepted, it is. */
static void a_restore_run_again_keeps_what_the_first_run_replaced(void **state)
{
    (void)state;
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    etcd_put("/after");
    stop_etcd();
    for (int run = 0; run < 2; run++) {
        assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
        assert_int_equal(apply(&step_restore_etcd, "{\"name\": \"one\"}", NULL), 0);
    }
    start_etcd();
    assert_true(etcd_has("/before"));
    assert_int_equal(apply(&step_accept_restored, NULL, NULL), 0);
    etcd_put("/later");
    stop_etcd();
    assert_int_equal(rename("/data/etcd", "/data/etcd.second"), 0);
    assert_int_equal(rename("/data/etcd.before-restore", "/data/etcd"), 0);
    start_etcd();
    assert_true(etcd_has("/after"));
    stop_etcd();
    assert_int_equal(tree_remove("/data/etcd", NULL), 0);
    assert_int_equal(rename("/data/etcd.second", "/data/etcd"), 0);
    assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
    assert_int_equal(apply(&step_restore_etcd, "{\"name\": \"one\"}", NULL), 0);
    assert_int_equal(tree_remove("/data/etcd", NULL), 0);
    assert_int_equal(rename("/data/etcd.before-restore", "/data/etcd"), 0);
    start_etcd();
    assert_true(etcd_has("/later"));
}

/* What FUNCTION prints with --dry-run; it succeeds. The caller frees. */
static char *preview(int (*function)(struct run *, struct error **), const char *argument)
{
    struct run run = new_run();
    char *text = NULL;
    run.argument = argument;
    run.dry_run = true;
    (void)fflush(stdout);
    int saved = dup(1);
    int fd = open("/data/printed", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && dup2(fd, 1) == 1);
    int result = function(&run, NULL);
    (void)fflush(stdout);
    assert_int_equal(dup2(saved, 1), 1);
    (void)close(fd);
    (void)close(saved);
    assert_int_equal(result, 0);
    assert_int_equal(file_read("/data/printed", 0, &text, NULL, NULL), 0);
    return text;
}

static void assert_backups(const char *expected)
{
    _cleanup_strv_ char **names = backup_list();
    _cleanup_buffer_ struct buffer joined = {0};
    for (char **name = names; *name != NULL; name++) {
        buffer_printf(&joined, "%s ", *name);
    }
    assert_string_equal(joined.data, expected);
}

static void the_oldest_backups_go_and_a_dry_run_names_them(void **state)
{
    (void)state;
    struct error *err = NULL;
    struct run run = new_run();
    assert_int_equal(backup("{\"name\": \"a\"}", NULL), 0);
    assert_int_equal(backup("{\"name\": \"b\"}", NULL), 0);
    _cleanup_free_ char *made = preview(event_backup, "{\"name\": \"c\", \"keep\": 2}");
    assert_string_equal(made, "would make backup c\nwould delete backup a\n");
    assert_backups("a b ");
    assert_int_equal(backup("{\"name\": \"c\", \"keep\": 2}", NULL), 0);
    assert_backups("b c ");
    _cleanup_free_ char *deleted = preview(event_delete_snapshot, "{\"snapshot_id\": \"b\"}");
    assert_string_equal(deleted, "would delete backup b\n");
    assert_backups("b c ");
    assert_int_equal(event_delete_snapshot(&run, &err), -1);
    assert_int_equal(err->status, STATUS_USAGE);
    error_free(err);
    assert_backups("b c ");
    assert_int_equal(backup("{\"name\": \"b\", \"keep\": 1}", NULL), 0);
    assert_backups("b c ");
    run.argument = "{\"snapshot_id\": \"b\"}";
    assert_int_equal(event_delete_snapshot(&run, NULL), 0);
    assert_backups("c ");
    /* killed before it deleted the old one, and run again */
    assert_int_equal(backup("{\"name\": \"d\", \"keep\": 0}", NULL), 0);
    assert_int_equal(backup("{\"name\": \"d\", \"keep\": 1}", NULL), 0);
    assert_backups("d ");
}

static void assert_text(const char *path, const char *expected)
{
    _cleanup_free_ char *text = NULL;
    assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
    assert_string_equal(text, expected);
}

static void set_backup_cluster(const char *cluster)
{
    _cleanup_json_ json_t *manifest = json_load_file(BACKUP_DIRECTORY "/one/manifest.json", 0, NULL);
    assert_string_equal(json_text(manifest, "cluster"), cluster_id);
    assert_int_equal(json_object_set_new(manifest, "cluster", json_string(cluster)), 0);
    _cleanup_free_ char *text = json_dumps(manifest, 0);
    put(BACKUP_DIRECTORY "/one/manifest.json", text);
}

/* Of another cluster come the keys for what lies in etcd alone, and none where this cluster has no CA of its own. */
static void a_restore_brings_keys_back_and_no_ca_of_another_cluster(void **state)
{
    (void)state;
    struct error *err = NULL;
    _cleanup_free_ char *ca = NULL;
    assert_int_equal(file_read(CA_KEY, 0, &ca, NULL, NULL), 0);
    put(PKI_DIRECTORY "/sa.key", "old key");
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    put(PKI_DIRECTORY "/sa.key", "new key");
    put(CA_KEY, "damaged");
    put("/data/kubernetes/hooks/stamps/control-plane", "v1.20.2");
    assert_int_equal(apply(&step_restore_keys, "{\"name\": \"one\"}", NULL), 0);
    assert_text(CA_KEY, ca);
    assert_mode(CA_KEY, 0600);
    assert_text(PKI_DIRECTORY "/sa.key", "old key");
    /* or `start` would leave the control plane as it is */
    assert_int_equal(access("/data/kubernetes/hooks/stamps/control-plane", F_OK), -1);

    put(PKI_DIRECTORY "/sa.key", "new key");
    set_backup_cluster("cl-another1");
    assert_int_equal(unlink(CA_KEY), 0);
    assert_int_equal(apply(&step_restore_keys, "{\"name\": \"one\"}", &err), -1);
    assert_int_equal(err->status, STATUS_BACKUP);
    assert_non_null(strstr(err->message, "run `k8s-master init` first"));
    error_free(err);
    assert_text(PKI_DIRECTORY "/sa.key", "new key");
    put(CA_KEY, "this cluster's key");
    put(CA_CERTIFICATE, "this cluster's certificate");
    assert_int_equal(apply(&step_restore_keys, "{\"name\": \"one\"}", NULL), 0);
    assert_text(CA_KEY, "this cluster's key");
    assert_text(CA_CERTIFICATE, "this cluster's certificate");
    assert_text(PKI_DIRECTORY "/sa.key", "old key");
}

static void assert_start_goes_on(bool goes_on)
{
    struct run run = new_run();
    struct error *err = NULL;
    bool done = step_check_restore_finished.done(&run, NULL) == 1;
    assert_int_equal(done, goes_on);
    if (!done) {
        assert_int_equal(step_check_restore_finished.apply(&run, &err), -1);
        assert_int_equal(err->status, STATUS_BACKUP);
        assert_non_null(strstr(err->message, "run `k8s-master restore` with the same backup again"));
        error_free(err);
    }
}

/* Killed between etcd's data and the keys: the key of Secrets is the one of before. */
static void start_refuses_half_a_restore(void **state)
{
    (void)state;
    assert_start_goes_on(true);
    put(PKI_DIRECTORY "/encryption.yaml", "the backup's key");
    assert_int_equal(backup("{\"name\": \"one\"}", NULL), 0);
    put(PKI_DIRECTORY "/encryption.yaml", "today's key");
    stop_etcd();
    for (int run = 0; run < 2; run++) {
        assert_int_equal(apply(&step_unpack_snapshot, "{\"name\": \"one\"}", NULL), 0);
        assert_start_goes_on(run == 0);
        assert_int_equal(apply(&step_restore_etcd, "{\"name\": \"one\"}", NULL), 0);
        assert_start_goes_on(false);
    }
    assert_int_equal(apply(&step_restore_keys, "{\"name\": \"one\"}", NULL), 0);
    assert_text(PKI_DIRECTORY "/encryption.yaml", "the backup's key");
    assert_start_goes_on(true);
    assert_int_equal(apply(&step_accept_restored, NULL, NULL), 0);
    assert_start_goes_on(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_backup_is_private_and_sound, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(what_a_killed_backup_left_is_replaced, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_a_backup_and_harms_nothing, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_failed_backup_leaves_no_file, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_manifest_without_both_hashes_is_refused, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_snapshot_refused_by_etcd_leaves_the_cluster_running, new_cluster,
                                        end_cluster),
        cmocka_unit_test_setup_teardown(a_restore_keeps_what_it_replaced, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_killed_restore_loses_no_data, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_restore_run_again_keeps_what_the_first_run_replaced, new_cluster,
                                        end_cluster),
        cmocka_unit_test_setup_teardown(the_oldest_backups_go_and_a_dry_run_names_them, new_cluster, end_cluster),
        cmocka_unit_test_setup_teardown(a_restore_brings_keys_back_and_no_ca_of_another_cluster, new_cluster,
                                        end_cluster),
        cmocka_unit_test_setup_teardown(start_refuses_half_a_restore, new_cluster, end_cluster),
    };
    return cmocka_run_group_tests_name("backup", tests, set_up_machine, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "hooks/steps/machine/file_actions.h"
#include "lib/core/logger.h"
#include "lib/system/tree.h"
#include "tests/lab/shared/cluster.h"

/* A role of its own in a directory of its own: roles/node.conf, templates/, and root/ as the machine. */
static char directory[32];
static char root[64], roles[64], templates[64];
static struct conf conf = {.paths = {.opt = (char *)"tests/golden/opt", .roles = roles, .templates = templates}};
static const struct role role = {.name = "node", .state = "/state"};
static struct run run;
static struct buffer done; /* by the actions of the reload tests */

static void put(const char *below, const char *name, const char *text)
{
    _cleanup_free_ char *path = path_join(below, name);
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static char *get(const char *path)
{
    _cleanup_free_ char *full = path_join(root, path);
    char *text = NULL;
    size_t len = 0;
    return file_read(full, 0, &text, &len, NULL) < 0 ? NULL : text;
}

static bool there(const char *path)
{
    _cleanup_free_ char *text = get(path);
    return text != NULL;
}

static void expect_text(const char *path, const char *expected)
{
    _cleanup_free_ char *text = get(path);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void again(void)
{
    rendered_free(STEAL(run.rendered));
}

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/files-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(root, sizeof root, "%s/root", directory);
    (void)snprintf(roles, sizeof roles, "%s/roles", directory);
    (void)snprintf(templates, sizeof templates, "%s/templates", directory);
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    _cleanup_json_ json_t *view = cluster_view(cluster, "node", 1);
    run = (struct run){.role = &role, .event = "reload", .conf = &conf, .root = root, .deadline = deadline_in(600000)};
    log_open("test", NULL, NULL, LOG_LEVEL_ERROR);
    return facts_load(&run.facts, view, &conf, NULL);
}

static int leave(void **state)
{
    (void)state;
    again();
    buffer_free(&done);
    facts_free(run.facts);
    return tree_remove(directory, NULL);
}

static const char two_files[] = "file \"role\" {\n"
                                "    template = \"role.mustache\"\n"
                                "    path = \"/etc/role\"\n"
                                "    on-change = {\"kubelet-restart\", \"daemon-reload\"}\n"
                                "}\n"
                                "file \"key\" {\n"
                                "    template = \"key.mustache\"\n"
                                "    path = \"/etc/key\"\n"
                                "    format = \"json\"\n"
                                "    secret = true\n"
                                "    on-change = {\"kubelet-restart\"}\n"
                                "}\n";

static void put_two_files(void)
{
    put(roles, "node.conf", two_files);
    put(templates, "role.mustache", "{{host.role}}{{> below/end}}\n");
    put(templates, "below/end.mustache", "!");
    put(templates, "key.mustache", "\"{{cloud.secret_access_key}}\"\n");
}

static void apply(void)
{
    _cleanup_error_ struct error *err = NULL;
    again();
    if (files_apply(&run, &err) < 0) {
        fail_msg("%s", err->message);
    }
}

static void files_are_brought_and_then_left_alone(void **state)
{
    (void)state;
    put_two_files();
    assert_int_equal(files_done(&run, NULL), 0);
    apply();
    expect_text("/etc/role", "node!\n");
    struct stat st;
    _cleanup_free_ char *key = path_join(root, "/etc/key");
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(files_done(&run, NULL), 1);
    assert_int_equal(chmod(key, 0644), 0);
    assert_int_equal(files_done(&run, NULL), 0);
    size_t changed = 0;
    assert_int_equal(files_compare(&run, &changed, NULL), 0);
    assert_int_equal(changed, 1);
}

static void nothing_is_written_unless_all_can_be_rendered(void **state)
{
    (void)state;
    put_two_files();
    put(templates, "key.mustache", "\n{{cloud.secret_acces_key}}\n");
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(files_apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_TEMPLATE);
    assert_non_null(strstr(err->message, "key.mustache:2: cloud.secret_acces_key: no such name"));
    assert_false(there("/etc/role"));
    _cleanup_free_ char *gone = path_join(templates, "key.mustache");
    assert_int_equal(unlink(gone), 0);
    error_freep(&err);
    assert_int_equal(files_apply(&run, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "/etc/key"));
    assert_false(there("/etc/role"));
}

static void a_file_that_is_no_longer_wanted_is_deleted(void **state)
{
    (void)state;
    put(templates, "t.mustache", "{{host.sid}}\n");
    put(roles, "node.conf", "file \"a\" {\n template = \"t.mustache\"\n path = \"/a\"\n when = \"host.is_node\"\n}\n");
    apply();
    assert_true(there("/a"));
    put(roles, "node.conf", "file \"a\" {\n template = \"t.mustache\"\n path = \"/a\"\n when = \"!host.is_node\"\n}\n");
    again();
    assert_int_equal(files_done(&run, NULL), 0);
    apply();
    assert_false(there("/a"));
    assert_int_equal(files_done(&run, NULL), 1);
}

static void two_sections_may_share_a_path_with_opposite_conditions(void **state)
{
    (void)state;
    put(templates, "t.mustache", "one\n");
    put(templates, "u.mustache", "two\n");
    put(roles, "node.conf",
        "file \"a\" {\n template = \"t.mustache\"\n path = \"/a\"\n when = \"host.is_node\"\n}\n"
        "file \"b\" {\n template = \"u.mustache\"\n path = \"/a\"\n when = \"!host.is_node\"\n}\n");
    apply();
    expect_text("/a", "one\n");
    assert_int_equal(files_done(&run, NULL), 1);
    put(roles, "node.conf",
        "file \"a\" {\n template = \"t.mustache\"\n path = \"/a\"\n}\n"
        "file \"b\" {\n template = \"u.mustache\"\n path = \"/a\"\n}\n");
    again();
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(files_done(&run, &err), -1);
    assert_int_equal(err->status, STATUS_CONFIG);
    assert_non_null(strstr(err->message, "another section writes too"));
}

/* What FUNCTION prints to stdout. */
static char *printed(int (*function)(struct run *run, struct error **err))
{
    _cleanup_free_ char *path = path_join(directory, "stdout");
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    int result = function(&run, NULL);
    (void)fflush(stdout);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    assert_int_equal(result, 0);
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 0, &text, &len, NULL), 0);
    return text;
}

static void a_preview_shows_changes_and_hides_secrets(void **state)
{
    (void)state;
    put_two_files();
    put(root, "etc/role", "old\n");
    put(root, "etc/key", "\"former\"\n");
    _cleanup_free_ char *text = printed(files_preview);
    assert_non_null(strstr(text, "/etc/role\n@@ -1 +1 @@\n-old\n+node!\n"));
    assert_non_null(strstr(text, "/etc/key: changed, not shown because it is secret (1 lines added, 1 removed)\n"));
    assert_non_null(strstr(text, "/etc/key: mode 0644 becomes 0600\n"));
    assert_null(strstr(text, "former"));
    assert_null(strstr(text, run.facts->parameters.secret_access_key));
    expect_text("/etc/role", "old\n");
    apply();
    _cleanup_free_ char *none = printed(files_preview);
    assert_string_equal(none, "");
}

static void render_writes_below_a_root_only(void **state)
{
    (void)state;
    put_two_files();
    _cleanup_free_ char *text = printed(event_render);
    assert_string_equal(text, "");
    expect_text("/etc/role", "node!\n");
    assert_false(files_there(&run));
    put(root, "etc/role", "other\n");
    run.diff = true;
    again();
    _cleanup_free_ char *diff = printed(event_render);
    assert_non_null(strstr(diff, "-other\n+node!\n"));
    expect_text("/etc/role", "other\n");
}

static const char *failing;

static void nothing_done(void)
{
    buffer_free(&done);
    buffer_puts(&done, "");
}

static int note(const char *name, struct error **err)
{
    if (failing != NULL && strcmp(failing, name) == 0) {
        return error_new(err, STATUS_UNIT, "it does not go");
    }
    buffer_printf(&done, "%s ", name);
    return 0;
}

static int note_daemon(struct run *r, struct error **err)
{
    (void)r;
    return note("daemon", err);
}

static int note_docker(struct run *r, struct error **err)
{
    (void)r;
    return note("docker", err);
}

static int note_kubelet(struct run *r, struct error **err)
{
    (void)r;
    return note("kubelet", err);
}

static int killed(struct run *r, struct error **err)
{
    (void)r;
    (void)err;
    _exit(9);
}

static int note_cluster(struct run *r, struct error **err)
{
    (void)r;
    return note("cluster", err);
}

static const struct reload_action actions[] = {{"daemon-reload", false, note_daemon, NULL, NULL},
                                               {"docker-restart", false, note_docker, NULL, NULL},
                                               {"kubelet-restart", false, note_kubelet, NULL, NULL},
                                               {"control-plane", true, note_cluster, NULL, NULL},
                                               {NULL, false, NULL, NULL, NULL}};

static void expect_done(const char *expected)
{
    _cleanup_error_ struct error *err = NULL;
    nothing_done();
    failing = NULL;
    again();
    if (reload(&run, actions, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_string_equal(done.data, expected);
    assert_false(there("/state/reload.json"));
}

static void reload_does_once_and_in_order_what_changed_files_need(void **state)
{
    (void)state;
    put_two_files();
    expect_done(""); /* not set up yet */
    assert_false(there("/etc/role"));
    apply();
    expect_done("");
    put(root, "etc/role", "old");
    put(root, "etc/key", "old");
    expect_done("daemon kubelet ");
    expect_text("/etc/role", "node!\n");
    put(root, "etc/key", "old");
    expect_done("kubelet ");
    expect_done("");
}

static void a_failed_action_is_done_by_the_next_reload(void **state)
{
    (void)state;
    put_two_files();
    apply();
    put(root, "etc/role", "old");
    again();
    failing = "kubelet";
    nothing_done();
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(reload(&run, actions, &err), -1);
    assert_int_equal(err->status, STATUS_UNIT);
    assert_non_null(strstr(err->message, "kubelet-restart: it does not go"));
    assert_string_equal(done.data, "daemon ");
    struct stat st;
    _cleanup_free_ char *pending = path_join(root, "/state/reload.json");
    assert_int_equal(stat(pending, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    expect_text("/etc/role", "node!\n");
    expect_done("kubelet ");
    expect_done("");
}

static void a_killed_reload_is_completed_by_the_next(void **state)
{
    (void)state;
    static const struct reload_action deadly[] = {{"daemon-reload", false, killed, NULL, NULL},
                                                  {"kubelet-restart", false, killed, NULL, NULL},
                                                  {NULL, false, NULL, NULL, NULL}};
    put_two_files();
    apply();
    put(root, "etc/role", "old");
    again();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)reload(&run, deadly, NULL);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    expect_text("/etc/role", "node!\n");
    expect_done("daemon kubelet ");
}

static void a_dry_reload_prints_and_changes_nothing(void **state)
{
    (void)state;
    put_two_files();
    apply();
    put(root, "etc/key", "old");
    again();
    run.dry_run = true;
    _cleanup_free_ char *text = printed(event_reload);
    assert_true(str_starts(text, "would do: kubelet-restart\n"));
    expect_text("/etc/key", "old");
    assert_false(there("/state/reload.json"));
}

static void an_unreadable_list_of_pending_actions_is_an_error(void **state)
{
    (void)state;
    put_two_files();
    apply();
    put(root, "state/reload.json", "{\"kubelet-");
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(reload(&run, actions, &err), -1);
    assert_non_null(strstr(err->message, "reload.json"));
    put(root, "state/reload.json", "{\"docker-restart\": true, \"of-another-version\": true}");
    expect_done("docker ");
}

static void the_step_restarts_only_what_may_run_with_old_files(void **state)
{
    (void)state;
    put_two_files();
    nothing_done();
    failing = NULL;
    assert_int_equal(reload_files(&run, actions, NULL), 0);
    assert_string_equal(done.data, "");
    expect_text("/etc/role", "node!\n");
    assert_int_equal(reload_owed(&run, actions, false, NULL), 0);
    put(root, "etc/key", "old");
    again();
    assert_int_equal(reload_files(&run, actions, NULL), 0);
    assert_string_equal(done.data, "kubelet ");
    assert_int_equal(reload_owed(&run, actions, false, NULL), 0);
}

static void actions_on_the_cluster_are_deferred_to_start(void **state)
{
    (void)state;
    put(templates, "t.mustache", "{{host.sid}}\n");
    put(roles, "node.conf",
        "file \"a\" {\n template = \"t.mustache\"\n path = \"/a\"\n"
        " on-change = {\"daemon-reload\", \"control-plane\"}\n}\n");
    nothing_done();
    failing = NULL;
    assert_int_equal(reload_files(&run, actions, NULL), 0);
    assert_int_equal(reload_owed(&run, actions, true, NULL), 0);
    assert_int_equal(reload_owed(&run, actions, false, NULL), 1);
    again();
    assert_int_equal(reload(&run, actions, NULL), 0);
    assert_int_equal(reload_settle(&run, actions, NULL), 0);
    assert_int_equal(reload_owed(&run, actions, false, NULL), 1);
    assert_string_equal(done.data, "");
}

static int due; /* of the action below */

static int is_due(struct run *r, struct error **err)
{
    (void)r;
    (void)err;
    return due;
}

static int no_longer_due(struct run *r, struct error **err)
{
    due = 0;
    return note_docker(r, err);
}

static void some_actions_are_due_without_a_file(void **state)
{
    (void)state;
    static const struct reload_action wanted[] = {{"kubelet-restart", false, note_kubelet, NULL, NULL},
                                                  {"addons", false, no_longer_due, is_due, NULL},
                                                  {NULL, false, NULL, NULL, NULL}};
    put_two_files();
    apply();
    nothing_done();
    failing = NULL;
    due = 1;
    assert_int_equal(reload(&run, wanted, NULL), 0);
    assert_string_equal(done.data, "docker ");
    assert_int_equal(reload(&run, wanted, NULL), 0);
    assert_string_equal(done.data, "docker ");
    due = 1;
    failing = "docker";
    put(root, "etc/key", "old");
    again();
    assert_int_equal(reload(&run, wanted, NULL), -1);
    assert_string_equal(done.data, "docker kubelet ");
    assert_int_equal(reload_owed(&run, wanted, false, NULL), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_brought_and_then_left_alone),
        TEST(nothing_is_written_unless_all_can_be_rendered),
        TEST(a_file_that_is_no_longer_wanted_is_deleted),
        TEST(two_sections_may_share_a_path_with_opposite_conditions),
        TEST(a_preview_shows_changes_and_hides_secrets),
        TEST(render_writes_below_a_root_only),
        TEST(reload_does_once_and_in_order_what_changed_files_need),
        TEST(a_failed_action_is_done_by_the_next_reload),
        TEST(a_killed_reload_is_completed_by_the_next),
        TEST(a_dry_reload_prints_and_changes_nothing),
        TEST(an_unreadable_list_of_pending_actions_is_an_error),
        TEST(the_step_restarts_only_what_may_run_with_old_files),
        TEST(actions_on_the_cluster_are_deferred_to_start),
        TEST(some_actions_are_due_without_a_file),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}

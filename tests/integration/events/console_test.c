/* The client's console login, against the real chpasswd, with an /etc of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <sched.h>
#include <shadow.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/steps/steps.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

static char etc[] = "/tmp/console-XXXXXX";
static struct run run;

/* A copy of /etc in a mount namespace of this process. */
static int set_up(void **state)
{
    (void)state;
    run.deadline = deadline_in(600000); /* of all tests */
    return mkdtemp(etc) != NULL && proc_exec(run.deadline, NULL, "cp", "-a", "/etc/.", etc, (char *)NULL) == 0 &&
                   unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(etc, "/etc", NULL, MS_BIND, NULL) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return umount2("/etc", MNT_DETACH) == 0 ? tree_remove(etc, NULL) : -1;
}

static void set_password(const char *text)
{
    static const char *const argv[] = {"chpasswd", "-e", NULL};
    _cleanup_free_ char *line = xasprintf("root:%s\n", text);
    const struct proc proc = {.argv = argv, .input = line, .deadline = run.deadline};
    assert_int_equal(proc_run(&proc, NULL, NULL), 0);
}

static bool opens(const char *password)
{
    char strings[1024];
    struct spwd root;
    struct spwd *found = NULL;
    struct crypt_data data = {0};
    assert_int_equal(getspnam_r("root", &root, strings, sizeof strings, &found), 0);
    assert_non_null(found);
    return strcmp(crypt_r(password, found->sp_pwdp, &data), found->sp_pwdp) == 0;
}

static void locked_root_gets_the_guides_password(void **state)
{
    (void)state;
    static const char *const locked[] = {"*", "!", "!*"};
    for (size_t i = 0; i < ELEMENTS(locked); i++) {
        set_password(locked[i]);
        assert_int_equal(step_enable_console_login.done(&run, NULL), 0);
        assert_int_equal(step_enable_console_login.apply(&run, NULL), 0);
        assert_int_equal(step_enable_console_login.done(&run, NULL), 1);
        assert_true(opens("k8s"));
        assert_false(opens("k9s"));
    }
}

static void a_password_of_the_user_stays(void **state)
{
    (void)state;
    set_password("$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.");
    assert_int_equal(step_enable_console_login.done(&run, NULL), 1);
}

int main(void)
{
    if (geteuid() != 0) {
        puts("1..1\nok 1 - console # SKIP needs root");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked_root_gets_the_guides_password),
        cmocka_unit_test(a_password_of_the_user_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/checks/checks.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

static char root[] = "/tmp/interfaces_test.XXXXXX";
static struct conf conf;
static const struct role role = {.name = "node", .state = "/state"};
static const struct run run = {.role = &role, .root = root, .conf = &conf};

static void put(const char *path, const char *text)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    assert_int_equal(file_put_private(full, text, NULL), 0);
}

static enum verdict probe(void)
{
    struct finding finding = {0};
    const struct check_context context = {&run, {0}, deadline_in(5000), NULL};
    check_interfaces.probe(&context, &finding);
    free(finding.reason);
    return finding.verdict;
}

static void networkd_must_leave_plugins_interfaces_alone(void **state)
{
    (void)state;
    assert_int_equal(probe(), VERDICT_OK);
    put("/sys/class/net/eth0/ifindex", "2\n");
    put("/run/systemd/netif/links/2", "ADMIN_STATE=configured\n");
    assert_int_equal(probe(), VERDICT_OK);
    put("/sys/class/net/veth12ab/ifindex", "7\n");
    put("/run/systemd/netif/links/7", "# private data\nADMIN_STATE=unmanaged\nOPER_STATE=routable\n");
    assert_int_equal(probe(), VERDICT_OK);
    put("/run/systemd/netif/links/7", "# private data\nADMIN_STATE=configuring\nOPER_STATE=routable\n");
    assert_int_equal(probe(), VERDICT_WARNS);
}

static void an_image_whose_first_interface_has_another_name_is_seen(void **state)
{
    (void)state;
    put("/sys/class/net/ens3/ifindex", "2\n");
    put("/run/systemd/netif/links/7", "ADMIN_STATE=unmanaged\n");
    assert_int_equal(probe(), VERDICT_OK); /* a machine whose network others configure */
    put("/etc/systemd/network/05-eth0.network", "[Match]\nName=eth0\n");
    assert_int_equal(probe(), VERDICT_OK); /* eth0 is there, from the test before */
    _cleanup_free_ char *eth0 = xasprintf("%s/sys/class/net/eth0", root);
    assert_int_equal(proc_exec(deadline_in(10000), NULL, "rm", "-r", eth0, NULL), 0);
    assert_int_equal(probe(), VERDICT_WARNS);
}

static void another_mac_than_flannel_published_is_seen(void **state)
{
    (void)state;
    _cleanup_json_ json_t *node =
        json_pack("{s{s{ss}}}", "metadata", "annotations", "flannel.alpha.coreos.com/backend-data",
                  "{\"VtepMAC\":\"AA:bb:cc:00:11:22\"}");
    _cleanup_json_ json_t *without = json_pack("{s{}}", "metadata");
    assert_true(flannel_mac_published(node, "aa:bb:cc:00:11:22"));
    assert_false(flannel_mac_published(node, "aa:bb:cc:00:11:23"));
    assert_true(flannel_mac_published(without, "aa:bb:cc:00:11:23"));
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(30000), NULL, "rm", "-rf", root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networkd_must_leave_plugins_interfaces_alone),
        cmocka_unit_test(an_image_whose_first_interface_has_another_name_is_seen),
        cmocka_unit_test(another_mac_than_flannel_published_is_seen),
    };
    return cmocka_run_group_tests_name("interfaces", tests, set_up, tear_down);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/checks/checks.h"
#include "hooks/files/pod_network.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
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
    const struct check_context context = {&run, {0}, deadline_in(60000), NULL};
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
    assert_int_equal(proc_exec(deadline_in(300000), NULL, "rm", "-r", eth0, NULL), 0);
    assert_int_equal(probe(), VERDICT_WARNS);
}

static void hostnic_is_not_installed_where_eth0_is_missing(void **state)
{
    (void)state;
    struct host self = {.instance_id = "i-self"};
    struct facts facts = {.network = NETWORK_HOSTNIC, .self = &self};
    struct run event = run;
    event.facts = &facts;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(step_install_hostnic.done(&event, NULL), 0);
    assert_int_equal(step_install_hostnic.apply(&event, &err), -1);
    assert_non_null(strstr(err->message, "there is no interface eth0"));
    _cleanup_free_ char *plugins = path_join(root, "/opt/cni/bin");
    assert_int_equal(access(plugins, F_OK), -1);

    facts.network = NETWORK_FLANNEL;
    assert_int_equal(step_install_hostnic.done(&event, NULL), 1);
    facts.network = NETWORK_HOSTNIC;
    put("/sys/class/net/eth0/ifindex", "2\n");
    error_free(err);
    err = NULL;
    assert_int_equal(step_install_hostnic.apply(&event, &err), -1);
    assert_non_null(strstr(err->message, "no image \"hostnic\""));
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

#define RESERVATIONS "/var/lib/cni/networks/cbr0/"

static void put_subnet(const char *subnet)
{
    _cleanup_free_ char *text =
        xasprintf("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=%s\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", subnet);
    put("/run/flannel/subnet.env", text);
}

static json_t *node_of(const char *cidr, const char *annotation)
{
    return json_pack("{s{s{ss*}} s{ss*}}", "metadata", "annotations", "flannel.alpha.coreos.com/backend-data",
                     annotation, "spec", "podCIDR", cidr);
}

static enum verdict compare(const char *cidr, const char *annotation)
{
    struct finding finding = {0};
    _cleanup_json_ json_t *node = node_of(cidr, annotation);
    pod_network_compare(&run, node, deadline_in(60000), &finding);
    free(finding.reason);
    return finding.verdict;
}

static void before_flannel_has_started_nothing_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(compare(NULL, NULL), VERDICT_OK);
    assert_int_equal(compare("10.244.1.0/24", NULL), VERDICT_OK);
}

static void flannel_with_the_former_network_fails(void **state)
{
    (void)state;
    put_subnet("10.244.1.1/24");
    assert_int_equal(compare("10.244.1.0/24", "{}"), VERDICT_OK);
    assert_int_equal(compare("10.244.3.0/24", "{}"), VERDICT_FAILS);
    assert_int_equal(compare("10.244.1.0/25", "{}"), VERDICT_FAILS);
}

static void a_node_object_without_flannels_annotation_fails(void **state)
{
    (void)state;
    assert_int_equal(compare("10.244.1.0/24", NULL), VERDICT_FAILS);
    assert_int_equal(compare(NULL, NULL), VERDICT_OK);
}

static void sandboxes_outside_of_the_network_are_found_by_their_reservations(void **state)
{
    (void)state;
    put(RESERVATIONS "10.244.1.2", "d7413e17f9c4\r\neth0");
    put(RESERVATIONS "10.244.3.2", "5cbb3c4e2348\r\neth0");
    put(RESERVATIONS "10.244.13.2", "9d79ac7c7472");
    put(RESERVATIONS "last_reserved_ip.0", "10.244.1.2");
    put(RESERVATIONS "lock", "");
    _cleanup_strv_ char **both = pod_network_reserved_outside(&run, "10.244.3.0/24");
    assert_int_equal(strv_length(both), 2);
    assert_true(strv_contains(both, "d7413e17f9c4"));
    assert_true(strv_contains(both, "9d79ac7c7472"));
    _cleanup_strv_ char **none = pod_network_reserved_outside(&run, "10.244.0.0/16");
    assert_int_equal(strv_length(none), 0);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networkd_must_leave_plugins_interfaces_alone),
        cmocka_unit_test(an_image_whose_first_interface_has_another_name_is_seen),
        cmocka_unit_test(hostnic_is_not_installed_where_eth0_is_missing),
        cmocka_unit_test(another_mac_than_flannel_published_is_seen),
        cmocka_unit_test(before_flannel_has_started_nothing_is_wrong),
        cmocka_unit_test(flannel_with_the_former_network_fails),
        cmocka_unit_test(a_node_object_without_flannels_annotation_fails),
        cmocka_unit_test(sandboxes_outside_of_the_network_are_found_by_their_reservations),
    };
    return cmocka_run_group_tests_name("interfaces", tests, set_up, tear_down);
}

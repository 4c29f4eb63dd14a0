/* Storage classes for every mix of machines and zones that the form allows: what they promise can be attached. */
#include "tests/unit/app/facts_fixture.h"

#include "app/facts/storage_types.h"
#include "lib/core/json.h"

static const struct {
    int class;
    const char *name;
} classes[] = {
    {0, "HighPerformance"}, {1, "SuperHighPerformance"}, {6, "SuperHighPerformanceSAN"}, {7, "HighPerformanceSAN"},
    {101, "Standard"},      {201, "Enterprise1"},        {202, "Enterprise2"},           {301, "Premium"},
};

/* By hand from the driver's VolumeTypeAttachConstraint: a line a type, a column a class in the order above. */
static const struct {
    int type;
    const char *attaches;
} types[] = {
    {0, "y...y..."}, {2, "yy..yyyy"},   {3, ".y...yyy"},   {5, "yyy.yyyy"},
    {6, "yy.yyyyy"}, {100, "y...y..."}, {200, ".y...yyy"},
};

static bool attaches(json_int_t type, const char *name)
{
    for (size_t t = 0; t < ELEMENTS(types); t++) {
        for (size_t c = 0; c < ELEMENTS(classes) && types[t].type == type; c++) {
            if (strcmp(classes[c].name, name) == 0) {
                return types[t].attaches[c] == 'y';
            }
        }
    }
    fail_msg("the driver knows no volume type %d or class %s", (int)type, name);
    return false;
}

static void the_drivers_table_is_kept(void **state)
{
    (void)state;
    for (size_t t = 0; t < ELEMENTS(types); t++) {
        for (size_t c = 0; c < ELEMENTS(classes); c++) {
            assert_int_equal(volume_type_attaches(types[t].type, classes[c].class),
                             attaches(types[t].type, classes[c].name));
        }
        assert_false(volume_type_attaches(types[t].type, 1002));
    }
    assert_false(volume_type_attaches(4, 0));
}

/* The master's facts of a cluster with NODES and SSDS of the classes NODE and SSD, in a zone with the volume types
 * ZONE. */
static struct facts *cluster(int nodes, int node, int ssds, int ssd, const char *zone)
{
    _cleanup_json_ json_t *tree = metadata("smallest", "master", 1);
    const struct {
        const char *role;
        int n, class;
    } roles[] = {{"node", nodes, node}, {"ssd_node", ssds, ssd}};
    json_t *hosts = json_object_get(tree, "hosts");
    for (size_t i = 0; i < ELEMENTS(roles); i++) {
        json_object_del(hosts, roles[i].role);
        for (int n = 1; n <= roles[i].n; n++) {
            _cleanup_free_ char *id = xasprintf("i-%s%d", roles[i].role, n);
            _cleanup_free_ char *path = xasprintf("/hosts/%s/%s/", roles[i].role, id);
            _cleanup_free_ char *ip = xasprintf("192.168.9.%d", (int)(100 * i) + n);
            _cleanup_free_ char *sid = xasprintf("%d", n);
            _cleanup_free_ char *class = xasprintf("%d", roles[i].class);
            _cleanup_json_ json_t *host =
                json_pack("{ss ss ss ss}", "ip", ip, "sid", sid, "node_id", id, "instance_class", class);
            assert_true(tree_put(tree, path, host, true));
        }
    }
    if (zone != NULL) {
        put(tree, "/cluster/resource_limits/valid_volume_classes", zone);
    }
    return load(tree);
}

static const json_t *class_named(const json_t *storage, const char *name)
{
    size_t i;
    json_t *class;
    json_array_foreach (json_object_get(storage, "classes"), i, class) {
        if (strcmp(json_text_or(class, "name", ""), name) == 0) {
            return class;
        }
    }
    return NULL;
}

static json_int_t type_of(const json_t *class)
{
    return json_integer_value(json_object_get(class, "type"));
}

static const char *name_of(int class)
{
    for (size_t c = 0; c < ELEMENTS(classes); c++) {
        if (classes[c].class == class) {
            return classes[c].name;
        }
    }
    return NULL;
}

/* The scheduler keeps a pod with a volume of CLASS on nodes that its topology names, if it names any. */
static bool schedules(const json_t *class, const char *instance_type)
{
    size_t i;
    json_t *entry;
    bool named = false;
    json_array_foreach (json_object_get(class, "instance_types"), i, entry) {
        named = named || strcmp(json_text_or(entry, "value", ""), instance_type) == 0;
    }
    return named || !json_is_true(json_object_get(class, "restricted"));
}

static void assert_serves(const struct facts *facts, const char *where, int node, int ssd)
{
    _cleanup_json_ json_t *storage = facts_storage(facts, NULL);
    const int present[] = {node, ssd, 0}; /* the master is of class 0 */
    const char *first = name_of(node >= 0 ? node : ssd >= 0 ? ssd : 0);
    const json_t *usual = class_named(storage, "qingcloud-storageclass");
    const json_t *capacity = class_named(storage, "qingcloud-storageclass-capacity");
    size_t i;
    json_t *class;
    int defaults = 0;
    bool served[] = {node < 0, ssd < 0};
    if (!attaches(type_of(usual), first) || !attaches(type_of(capacity), first) || !schedules(usual, first)) {
        fail_msg("%s: the default classes do not serve %s", where, first);
    }
    json_array_foreach (json_object_get(storage, "classes"), i, class) {
        defaults += json_is_true(json_object_get(class, "default"));
        for (size_t n = 0; n < ELEMENTS(present); n++) {
            const char *name = present[n] < 0 ? NULL : name_of(present[n]);
            bool taken = name != NULL && attaches(type_of(class), name);
            if (name != NULL && schedules(class, name) && !taken) {
                fail_msg("%s: %s schedules onto %s, which does not take type %d", where, json_text(class, "name"), name,
                         (int)type_of(class));
            }
            if (taken && n < ELEMENTS(served)) {
                served[n] = true;
            }
        }
    }
    assert_int_equal(defaults, 1);
    assert_true(served[0] && served[1]);
}

static void every_mix_of_machines_is_served(void **state)
{
    (void)state;
    static const char *const zones[] = {NULL, "", "0,2,3", "100,200,5,6", "2,0,3,100,200,5,6", "6,5"};
    for (size_t z = 0; z < ELEMENTS(zones); z++) {
        for (size_t n = 0; n <= ELEMENTS(classes); n++) {
            for (size_t s = 0; s <= ELEMENTS(classes); s++) {
                int node = n == ELEMENTS(classes) ? -1 : classes[n].class;
                int ssd = s == ELEMENTS(classes) ? -1 : classes[s].class;
                _cleanup_(facts_freep) struct facts *facts =
                    cluster(node < 0 ? 0 : 2, node, ssd < 0 ? 0 : 1, ssd, zones[z]);
                _cleanup_free_ char *where =
                    xasprintf("zone \"%s\", node %d, ssd_node %d", zones[z] == NULL ? "" : zones[z], node, ssd);
                assert_serves(facts, where, node, ssd);
            }
        }
    }
}

static void types_are_those_of_the_guide(void **state)
{
    (void)state;
    static const struct {
        int nodes, node, ssds, ssd;
        const char *zone;
        int type, capacity;
        size_t classes;
    } table[] = {
        {2, 0, 0, 0, NULL, 0, 2, 2}, /* high performance */
        {0, 0, 2, 1, NULL, 3, 2, 2}, /* super high performance */
        {2, 0, 2, 1, NULL, 0, 2, 4}, /* both: one more of each */
        {2, 101, 0, 0, "100,200,5,6", 100, 6, 2},
        {2, 201, 0, 0, "100,200,5,6", 200, 6, 2},
        {2, 202, 2, 201, NULL, 200, 2, 2}, /* two classes, one type */
        {2, 202, 0, 0, "0,2,3", 3, 2, 2},
        {2, 1002, 0, 0, NULL, 0, 2, 2}, /* the package's class */
    };
    for (size_t i = 0; i < ELEMENTS(table); i++) {
        _cleanup_(facts_freep) struct facts *facts =
            cluster(table[i].nodes, table[i].node, table[i].ssds, table[i].ssd, table[i].zone);
        _cleanup_json_ json_t *storage = facts_storage(facts, NULL);
        assert_int_equal(type_of(class_named(storage, "qingcloud-storageclass")), table[i].type);
        assert_int_equal(type_of(class_named(storage, "qingcloud-storageclass-capacity")), table[i].capacity);
        assert_int_equal(json_array_size(json_object_get(storage, "classes")), table[i].classes);
    }
}

static void the_apis_answer_counts_before_the_metadata(void **state)
{
    (void)state;
    _cleanup_(facts_freep) struct facts *facts = cluster(2, 0, 0, 0, NULL);
    _cleanup_json_ json_t *answered = json_pack("{si si}", "node", 202, "ssd_node", 1002);
    _cleanup_json_ json_t *storage = facts_storage(facts, answered);
    assert_int_equal(type_of(class_named(storage, "qingcloud-storageclass")), 200);
    assert_int_equal(instance_class_of(facts, answered, "ssd_node"), 1);
    assert_int_equal(instance_class_of(facts, NULL, "node"), 0);
}

static void hosts_that_leave_do_not_count(void **state)
{
    (void)state;
    _cleanup_(facts_freep) struct facts *facts = cluster(1, 0, 1, 1, NULL);
    for (size_t i = 0; i < facts->n_hosts; i++) {
        facts->hosts[i].deleting = strcmp(facts->hosts[i].role, "node") == 0;
    }
    _cleanup_json_ json_t *storage = facts_storage(facts, NULL);
    assert_int_equal(type_of(class_named(storage, "qingcloud-storageclass")), 3);
    assert_int_equal(json_array_size(json_object_get(storage, "classes")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_drivers_table_is_kept),     cmocka_unit_test(every_mix_of_machines_is_served),
        cmocka_unit_test(types_are_those_of_the_guide),  cmocka_unit_test(the_apis_answer_counts_before_the_metadata),
        cmocka_unit_test(hosts_that_leave_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

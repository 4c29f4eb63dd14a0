/* What the driver knows of volume types, instance classes and storage classes. */
#include <string.h>
#include <strings.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

enum { STANDARD = 100, LAST = -1, CLASSES = 8 };

static const struct {
    long class;
    const char *name;
} classes[] = {
    {0, "HighPerformance"}, {1, "SuperHighPerformance"}, {6, "SuperHighPerformanceSAN"}, {7, "HighPerformanceSAN"},
    {101, "Standard"},      {201, "Enterprise1"},        {202, "Enterprise2"},           {301, "Premium"}};

static const struct volume_type {
    int type;
    long least, most, step;
    long on[CLASSES];
} types[] = {{0, 10, 2000, 10, {0, 101, LAST}},
             {2, 100, 5000, 50, {0, 1, 101, 201, 202, 301, LAST}},
             {3, 10, 2000, 10, {1, 201, 202, 301, LAST}},
             {5, 100, 50000, 100, {0, 1, 6, 101, 201, 202, 301, LAST}},
             {6, 100, 50000, 100, {0, 1, 7, 101, 201, 202, 301, LAST}},
             {STANDARD, 10, 2000, 10, {0, 101, LAST}},
             {200, 10, 2000, 10, {1, 201, 202, 301, LAST}}};

static const struct volume_type *type_of(long type)
{
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        if (types[i].type == type) {
            return &types[i];
        }
    }
    return NULL;
}

const char *instance_class_name(long class)
{
    for (size_t i = 0; i < ELEMENTS(classes); i++) {
        if (classes[i].class == class) {
            return classes[i].name;
        }
    }
    return NULL;
}

bool instance_class_known(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(classes); i++) {
        if (strcmp(classes[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool storage_class_of_type(struct storage_class *class, int type)
{
    const struct volume_type *known = type_of(type);
    if (known != NULL) {
        *class = (struct storage_class){type, 2, known->least, known->most, known->step, json_array()};
    }
    return known != NULL;
}

void storage_class_clear(struct storage_class *class)
{
    json_decref(class->tags);
}

static bool read_number(const char *text, long *value, char **why)
{
    if (!str_number(text, 0, 1 << 30, value)) {
        *why = xasprintf("strconv.Atoi: parsing \"%s\": invalid syntax", text);
        return false;
    }
    return true;
}

static void read_tags(struct storage_class *class, const char *text)
{
    _cleanup_free_ char *copy = xstrdup(text);
    replace_char(copy, ',', ' ');
    _cleanup_strv_ char **tags = strv_split(copy);
    for (char **tag = tags; *tag != NULL; tag++) {
        json_array_append_new(class->tags, json_string(*tag));
    }
}

bool storage_class_read(struct storage_class *class, const json_t *parameters, char **why)
{
    static const char *const numbers[] = {"type", "maxSize", "minSize", "stepSize", "replica"};
    long values[] = {-1, -1, -1, -1, -1};
    const char *name;
    const char *tags = "";
    json_t *value;
    json_object_foreach ((json_t *)parameters, name, value) {
        const char *text = json_string_value(value);
        for (size_t i = 0; i < ELEMENTS(numbers); i++) {
            if (strcasecmp(name, numbers[i]) == 0 && !read_number(text, &values[i], why)) {
                return false;
            }
        }
        if (strcasecmp(name, "fsType") == 0 && text[0] != '\0' && strcmp(text, "ext3") != 0 &&
            strcmp(text, "ext4") != 0 && strcmp(text, "xfs") != 0) {
            *why = xasprintf("unsupported filesystem type %s", text);
            return false;
        }
        tags = strcasecmp(name, "tags") == 0 ? text : tags;
    }
    if (values[0] < 0) {
        return storage_class_of_type(class, STANDARD);
    }
    if (!storage_class_of_type(class, (int)values[0])) {
        *why = xasprintf("unsupported volume type %ld", values[0]);
        return false;
    }
    if (values[1] >= 0 && values[2] > 0 && values[3] >= 0) {
        class->most = values[1];
        class->least = values[2];
        class->step = values[3];
    }
    class->replica = values[4] == 1 || values[4] == 2 ? (int)values[4] : class->replica;
    read_tags(class, tags);
    return true;
}

bool storage_class_size(const struct storage_class *class, const struct buffer *range, uint64_t *bytes, char **why)
{
    uint64_t wanted = pb_find_number(range, 1);
    uint64_t limit = pb_find_number(range, 2);
    uint64_t step = (uint64_t) class->step * GIB;
    uint64_t most = (uint64_t) class->most * GIB;
    uint64_t least = (uint64_t) class->least * GIB;
    *bytes = wanted <= least ? least : (wanted + step - 1) / step * step;
    *bytes = *bytes > most ? most : *bytes;
    if (limit > 0 && *bytes > limit) {
        *why = xasprintf("volume required bytes %llu greater than limit bytes %llu", (unsigned long long)*bytes,
                         (unsigned long long)limit);
        return false;
    }
    return true;
}

void put_topologies(struct buffer *message, unsigned field, const json_t *volume)
{
    const struct volume_type *type = type_of((long)json_integer_value(json_object_get(volume, "volume_type")));
    for (const long *class = type == NULL ? NULL : type->on; class != NULL && *class != LAST; class ++) {
        _cleanup_free_ char *zone = xasprintf("topology.%s/zone", driver.name);
        _cleanup_free_ char *instance = xasprintf("topology.%s/instance-type", driver.name);
        _cleanup_json_ json_t *segments =
            json_pack("{ss ss}", zone, text_at(volume, "zone_id"), instance, instance_class_name(*class));
        _cleanup_buffer_ struct buffer topology = {0};
        pb_map(&topology, 1, segments);
        pb_message(message, field, &topology);
    }
}

/* Addresses: an IPPool a vxnet, IPAMBlocks within it, an IPAMHandle for each pod's sandbox that has one. */
#include <arpa/inet.h>
#include <string.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"

#define POOL_NAME "ippool.network.qingcloud.com/name"
#define POOL_TYPE "ippool.network.qingcloud.com/type"
#define RESERVED_HANDLE "kubesphere-reserved-handle"

enum { RETRIES = 10, LOCAL_ID = 4100 };

struct range {
    uint32_t first;
    int bits;
};

static bool parse_range(const char *text, struct range *range)
{
    struct in_addr in;
    _cleanup_free_ char *address = xstrndup(text, strcspn(text, "/"));
    const char *slash = strchr(text, '/');
    range->bits = slash == NULL ? -1 : number_of(slash + 1);
    if (inet_pton(AF_INET, address, &in) != 1 || range->bits < 8 || range->bits > 31) {
        return false;
    }
    range->first = ntohl(in.s_addr) & ~0U << (32 - range->bits);
    return true;
}

static char *address_text(uint32_t address)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {htonl(address)};
    return xstrdup(inet_ntop(AF_INET, &in, text, sizeof text));
}

static uint32_t address_of(const char *text)
{
    struct in_addr in = {0};
    (void)inet_pton(AF_INET, text, &in);
    return ntohl(in.s_addr);
}

json_t *ipam_blocks(const char *pool)
{
    _cleanup_free_ char *path = xasprintf(GROUP "/ipamblocks?labelSelector=" POOL_NAME "%%3D%s", pool);
    return cluster_list(path);
}

/* Allocations hold the index of an attribute, null where an address is free. */
static size_t count_of(const json_t *block, bool reserved)
{
    size_t i = 0;
    size_t n = 0;
    json_t *index;
    const json_t *attributes = json_at(block, "spec attributes");
    json_array_foreach (json_at(block, "spec allocations"), i, index) {
        const json_t *attribute = json_array_get(attributes, (size_t)json_integer_value(index));
        n += json_is_integer(index) && (strcmp(text_at(attribute, "handle_id"), RESERVED_HANDLE) == 0) == reserved;
    }
    return n;
}

json_t *ipam_usage(const json_t *pool)
{
    struct range range;
    _cleanup_json_ json_t *blocks = ipam_blocks(text_at(pool, "metadata name"));
    size_t i = 0;
    json_t *block;
    size_t allocated = 0;
    size_t reserved = 0;
    if (!parse_range(text_at(pool, "spec cidr"), &range)) {
        return NULL;
    }
    json_array_foreach (blocks, i, block) {
        allocated += count_of(block, false);
        reserved += count_of(block, true);
    }
    size_t capacity = (size_t)1 << (32 - range.bits);
    return json_pack("{sI sI sI sI sb}", "capacity", (json_int_t)capacity, "reserved", (json_int_t)reserved,
                     "allocations", (json_int_t)allocated, "unallocated", (json_int_t)(capacity - allocated - reserved),
                     "synced", 1);
}

static json_t *block_of(const json_t *pool, uint32_t first, int bits)
{
    uint32_t size = 1U << (32 - bits);
    uint32_t start = address_of(text_at(pool, "spec rangeStart"));
    uint32_t end = address_of(text_at(pool, "spec rangeEnd"));
    _cleanup_free_ char *address = address_text(first);
    _cleanup_free_ char *cidr = xasprintf("%s/%d", address, bits);
    _cleanup_free_ char *name = xasprintf("%d-%s-%d", LOCAL_ID, address, bits);
    const char *owner = text_at(pool, "metadata name");
    json_t *allocations = json_array();
    json_t *unallocated = json_array();
    for (uint32_t i = 0; i < size; i++) {
        bool ours = first + i >= start && first + i <= end;
        json_array_append_new(allocations, ours ? json_null() : json_integer(0));
        if (ours) {
            json_array_append_new(unallocated, json_integer(i));
        }
    }
    replace_char(name, '.', '-');
    return json_pack("{ss ss s{ss s{ss} s[{ss ss ss ss sb sb}]} s{si ss so so s[{ss s{ss}}] sb}}", "apiVersion",
                     "network.qingcloud.com/v1alpha1", "kind", "IPAMBlock", "metadata", "name", name, "labels",
                     POOL_NAME, owner, "ownerReferences", "apiVersion", "network.qingcloud.com/v1alpha1", "kind",
                     "IPPool", "name", owner, "uid", text_at(pool, "metadata uid"), "controller", 1,
                     "blockOwnerDeletion", 1, "spec", "id", LOCAL_ID, "cidr", cidr, "allocations", allocations,
                     "unallocated", unallocated, "attributes", "handle_id", RESERVED_HANDLE, "secondary", "note",
                     "kubesphere reserved", "deleted", 0);
}

bool ipam_make_blocks(const json_t *pool)
{
    struct range range;
    int bits = (int)json_integer_value(json_at(pool, "spec blockSize"));
    if (!parse_range(text_at(pool, "spec cidr"), &range) || bits < range.bits || bits > 31) {
        return false;
    }
    for (uint32_t first = range.first; first - range.first < 1U << (32 - range.bits); first += 1U << (32 - bits)) {
        _cleanup_json_ json_t *block = block_of(pool, first, bits);
        _cleanup_free_ char *path = xasprintf(GROUP "/ipamblocks/%s", text_at(block, "metadata name"));
        _cleanup_json_ json_t *there = cluster_get(path);
        if (there == NULL && cluster_call("POST", GROUP "/ipamblocks", block, NULL) != 201) {
            return false;
        }
    }
    return true;
}

static char *handle_path(const char *handle)
{
    return xasprintf(GROUP "/ipamhandles/%s", handle);
}

static bool put_handle(const char *handle, const json_t *block)
{
    _cleanup_free_ char *path = handle_path(handle);
    _cleanup_free_ char *key = xasprintf("%d-%s", LOCAL_ID, text_at(block, "spec cidr"));
    _cleanup_json_ json_t *there = cluster_get(path);
    if (there != NULL) {
        json_object_set_new(json_at(there, "spec block"), key, json_integer(1));
        return cluster_call("PUT", path, there, NULL) == 200;
    }
    _cleanup_json_ json_t *fresh =
        json_pack("{ss ss s{ss} s{ss s{si} sb}}", "apiVersion", "network.qingcloud.com/v1alpha1", "kind", "IPAMHandle",
                  "metadata", "name", handle, "spec", "handleID", handle, "block", key, 1, "deleted", 0);
    return cluster_call("POST", GROUP "/ipamhandles", fresh, NULL) == 201;
}

static void drop_handle(const char *handle)
{
    _cleanup_free_ char *path = handle_path(handle);
    (void)cluster_call("DELETE", path, NULL, NULL);
}

/* The first free address of BLOCK; NULL when it has none, or the block was changed meanwhile. */
static char *take_address(json_t *block, const char *handle)
{
    struct range range;
    json_t *free_ones = json_at(block, "spec unallocated");
    json_t *attributes = json_at(block, "spec attributes");
    _cleanup_free_ char *path = xasprintf(GROUP "/ipamblocks/%s", text_at(block, "metadata name"));
    if (json_array_size(free_ones) == 0 || !parse_range(text_at(block, "spec cidr"), &range)) {
        return NULL;
    }
    size_t ordinal = (size_t)json_integer_value(json_array_get(free_ones, 0));
    json_array_remove(free_ones, 0);
    json_array_set_new(json_at(block, "spec allocations"), ordinal,
                       json_integer((json_int_t)json_array_size(attributes)));
    json_array_append_new(attributes, json_pack("{ss}", "handle_id", handle));
    if (!put_handle(handle, block)) {
        return NULL;
    }
    if (cluster_call("PUT", path, block, NULL) != 200) {
        drop_handle(handle);
        return NULL;
    }
    return address_text(range.first + (uint32_t)ordinal);
}

static char *assign_from_pool(const char *pool, const char *handle)
{
    _cleanup_free_ char *path = xasprintf(GROUP "/ippools/%s", pool);
    _cleanup_json_ json_t *object = cluster_get(path);
    _cleanup_json_ json_t *usage = object == NULL ? NULL : ipam_usage(object);
    if (usage == NULL || json_integer_value(json_at(usage, "unallocated")) <= 1 ||
        json_is_true(json_at(object, "spec disabled")) ||
        strcmp(text_at(json_at(object, "metadata labels"), POOL_TYPE), "local") != 0) {
        return NULL;
    }
    for (int i = 0; i < RETRIES; i++) {
        _cleanup_json_ json_t *blocks = ipam_blocks(pool);
        for (size_t n = 0; n < json_array_size(blocks); n++) {
            json_t *block = json_array_get(blocks, n);
            if (json_array_size(json_at(block, "spec unallocated")) > 0) {
                char *address = take_address(block, handle);
                if (address != NULL) {
                    return address;
                }
                break;
            }
        }
    }
    return NULL;
}

static char *assign_from_block(const char *name, const char *handle, char **vxnet)
{
    _cleanup_free_ char *path = xasprintf(GROUP "/ipamblocks/%s", name);
    for (int i = 0; i < RETRIES; i++) {
        _cleanup_json_ json_t *block = cluster_get(path);
        char *address = block == NULL ? NULL : take_address(block, handle);
        if (address != NULL) {
            *vxnet = xstrdup(text_at(json_at(block, "metadata labels"), POOL_NAME));
            return address;
        }
        if (json_array_size(json_at(block, "spec unallocated")) == 0) {
            break;
        }
    }
    return NULL;
}

bool ipam_assign(const char *namespace, const char *handle, char **address, char **vxnet, char **why)
{
    _cleanup_json_ json_t *map = cluster_get(IPAM_CONFIG);
    _cleanup_json_ json_t *apps = json_loads(text_at(map, "data ipam"), 0, NULL);
    bool automatic = strcmp(text_at(json_at(map, "data"), "subnet-auto-assign"), "on") == 0;
    const json_t *blocks = json_object_get(apps, namespace);
    const json_t *pools = automatic ? NULL : json_object_get(apps, "Default");
    size_t i = 0;
    json_t *name;
    *address = NULL;
    if (json_array_size(blocks) == 0 && json_array_size(pools) == 0) {
        *why = xstrdup("pool or block not found");
        return false;
    }
    json_array_foreach (blocks, i, name) {
        *address = *address == NULL ? assign_from_block(json_string_value(name), handle, vxnet) : *address;
    }
    json_array_foreach (json_array_size(blocks) > 0 ? NULL : pools, i, name) {
        if (*address == NULL) {
            *address = assign_from_pool(json_string_value(name), handle);
            *vxnet = *address == NULL ? NULL : xstrdup(json_string_value(name));
        }
    }
    if (*address == NULL) {
        *why = xstrdup(json_array_size(blocks) > 0 ? "Max retries hit - excessive concurrent IPAM requests"
                                                   : "no appropriate ippool found");
    }
    return *address != NULL;
}

/* Attributes are in the order of their index: those behind the one that goes move up. */
static void free_address(json_t *block, const char *handle)
{
    json_t *attributes = json_at(block, "spec attributes");
    json_t *allocations = json_at(block, "spec allocations");
    size_t gone = 0;
    size_t i = 0;
    json_t *index;
    while (gone < json_array_size(attributes) &&
           strcmp(text_at(json_array_get(attributes, gone), "handle_id"), handle) != 0) {
        gone++;
    }
    if (gone == json_array_size(attributes)) {
        return;
    }
    json_array_remove(attributes, gone);
    json_array_foreach (allocations, i, index) {
        json_int_t at = json_integer_value(index);
        if (json_is_integer(index) && at == (json_int_t)gone) {
            json_array_set_new(allocations, i, json_null());
            json_array_append_new(json_at(block, "spec unallocated"), json_integer((json_int_t)i));
        } else if (json_is_integer(index) && at > (json_int_t)gone) {
            json_array_set_new(allocations, i, json_integer(at - 1));
        }
    }
}

static void release_from(const char *key, const char *handle)
{
    const char *cidr = strchr(key, '-');
    _cleanup_free_ char *path = xasprintf(GROUP "/ipamblocks/%d-%s", LOCAL_ID, cidr == NULL ? "" : cidr + 1);
    char *name = path + strlen(GROUP "/ipamblocks/");
    replace_char(name, '.', '-');
    replace_char(name, '/', '-');
    for (int i = 0; i < RETRIES; i++) {
        _cleanup_json_ json_t *block = cluster_get(path);
        if (block == NULL) {
            return;
        }
        free_address(block, handle);
        if (cluster_call("PUT", path, block, NULL) == 200) {
            return;
        }
    }
}

void ipam_release(const char *handle)
{
    _cleanup_free_ char *path = handle_path(handle);
    _cleanup_json_ json_t *object = cluster_get(path);
    const char *key;
    json_t *count;
    if (object == NULL) {
        return;
    }
    json_object_foreach (json_at(object, "spec block"), key, count) {
        release_from(key, handle);
    }
    drop_handle(handle);
}

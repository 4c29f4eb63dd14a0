/* The node's calls: the volume's device, as the cloud names it, is formatted and mounted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

enum { NOT_FORMATTED = 2 }; /* exit status of blkid: nothing found */

static bool make_directories(const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0750) != 0 && errno != EEXIST) {
            return false;
        }
        *slash = '/';
    }
    return mkdir(copy, 0750) == 0 || errno == EEXIST;
}

/* The device that is mounted at PATH, which the caller frees; NULL when nothing is. */
static char *mounted_device(const char *path)
{
    _cleanup_fclose_ FILE *mounts = fopen("/proc/self/mounts", "re");
    char line[8192];
    char *device = NULL;
    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
        char *at = strchr(line, ' ');
        char *end = at == NULL ? NULL : strchr(at + 1, ' ');
        if (end != NULL) {
            *at = *end = '\0';
            if (strcmp(at + 1, path) == 0) {
                free(device);
                device = xstrdup(line);
            }
        }
    }
    return device;
}

static int unmount_all(const char *path, char **why)
{
    for (_cleanup_free_ char *device = mounted_device(path); device != NULL;) {
        if (umount2(path, 0) != 0) {
            return refuse(why, GRPC_INTERNAL, "Unmount target path %s error: %s", path, strerror(errno));
        }
        free(device);
        device = mounted_device(path);
    }
    (void)rmdir(path);
    return GRPC_OK;
}

/* The volume and where it is attached; NULL and *STATUS when the cloud has none. */
static json_t *volume_of(const char *id, int *status, char **why)
{
    json_t *volume = cloud_volume(id, why);
    if (volume == NULL) {
        *status = *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "Volume %s does not exist", id);
    }
    return volume;
}

static int format_and_mount(const char *device, const char *target, const char *type, char **why)
{
    const char *const probe[] = {"blkid", "-p", "-s", "TYPE", "-o", "value", device, NULL};
    _cleanup_free_ char *make = xasprintf("mkfs.%s", type);
    const char *const format[] = {make, "-F", "-m0", device, NULL};
    if (run_program(probe) == NOT_FORMATTED) {
        say("formatting %s as %s", device, type);
        if (run_program(format) != 0) {
            return refuse(why, GRPC_INTERNAL, "format of disk %s failed: type:%s", device, type);
        }
    }
    return mount(device, target, type, 0, NULL) == 0
               ? GRPC_OK
               : refuse(why, GRPC_INTERNAL, "mount failed: %s at %s: %s", device, target, strerror(errno));
}

/* The driver looks for the type of the file system in what the attaching returned, which is nothing: it is ext4,
 * whatever the storage class says. */
static int stage(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *target = pb_find_text(request, 3);
    int status = GRPC_OK;
    if (target[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Target path missing in request");
    }
    if (pb_find_message(request, 4).len == 0) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Volume capability missing in request");
    }
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (volume == NULL) {
        return status;
    }
    _cleanup_free_ char *there = mounted_device(target);
    if (there != NULL) {
        return GRPC_OK;
    }
    if (!make_directories(target)) {
        return refuse(why, GRPC_INTERNAL, "mkdir %s: %s", target, strerror(errno));
    }
    const char *device = text_at(volume, "instance device");
    return device[0] == '\0' ? refuse(why, GRPC_INTERNAL, "Cannot find device path of volume %s", id)
                             : format_and_mount(device, target, "ext4", why);
}

static int unstage(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *target = pb_find_text(request, 2);
    int status = GRPC_OK;
    if (target[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Target path missing in request");
    }
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (volume == NULL) {
        return status;
    }
    _cleanup_free_ char *there = mounted_device(target);
    return there == NULL || umount2(target, 0) == 0
               ? GRPC_OK
               : refuse(why, GRPC_INTERNAL, "unmount failed: %s: %s", target, strerror(errno));
}

static int publish(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *from = pb_find_text(request, 3);
    _cleanup_free_ char *to = pb_find_text(request, 4);
    _cleanup_json_ json_t *context = pb_find_map(request, 8);
    _cleanup_(storage_class_clear) struct storage_class class = {0};
    int status = GRPC_OK;
    if (from[0] == '\0' || to[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Target path missing in request");
    }
    if (!storage_class_read(&class, context, why)) {
        return GRPC_INTERNAL;
    }
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (volume == NULL) {
        return status;
    }
    _cleanup_free_ char *there = mounted_device(to);
    if (there != NULL) {
        return GRPC_OK;
    }
    if (!make_directories(to) || mount(from, to, NULL, MS_BIND, NULL) != 0) {
        return refuse(why, GRPC_INTERNAL, "mount failed: %s at %s: %s", from, to, strerror(errno));
    }
    return pb_find_number(request, 6) == 0 || mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0
               ? GRPC_OK
               : refuse(why, GRPC_INTERNAL, "remount of %s: %s", to, strerror(errno));
}

static int unpublish(const char *id, const struct buffer *request, char **why)
{
    _cleanup_free_ char *target = pb_find_text(request, 2);
    int status = GRPC_OK;
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (target[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Target path missing in request");
    }
    return volume == NULL ? status : unmount_all(target, why);
}

static void put_usage(struct buffer *reply, uint64_t available, uint64_t total, uint64_t used, unsigned unit)
{
    _cleanup_buffer_ struct buffer usage = {0};
    pb_number(&usage, 1, available);
    pb_number(&usage, 2, total);
    pb_number(&usage, 3, used);
    pb_number(&usage, 4, unit);
    pb_message(reply, 1, &usage);
}

static int stats(const char *id, const struct buffer *request, struct buffer *reply, char **why)
{
    enum { BYTES = 1, INODES = 2 };
    _cleanup_free_ char *path = pb_find_text(request, 2);
    struct statvfs fs;
    int status = GRPC_OK;
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (volume == NULL) {
        return status;
    }
    _cleanup_free_ char *device = mounted_device(path);
    if (device == NULL || strcmp(device, text_at(volume, "instance device")) != 0) {
        return refuse(why, GRPC_NOT_FOUND, "device path mismatch, from mount point %s, from cloud provider %s",
                      device == NULL ? "" : device, text_at(volume, "instance device"));
    }
    if (statvfs(path, &fs) != 0) {
        return refuse(why, GRPC_INTERNAL, "%s: %s", path, strerror(errno));
    }
    put_usage(reply, (uint64_t)fs.f_bavail * fs.f_frsize, (uint64_t)fs.f_blocks * fs.f_frsize,
              (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize, BYTES);
    put_usage(reply, fs.f_ffree, fs.f_files, fs.f_files - fs.f_ffree, INODES);
    return GRPC_OK;
}

/* Growing what is mounted needs CAP_SYS_RESOURCE, which the lab's host may not have. The kubelet has the volume grown
 * before a pod gets it, so that it can be unmounted for it. */
static bool grow(const char *device, const char *path)
{
    const char *const mounted[] = {"resize2fs", device, NULL};
    const char *const unmounted[] = {"resize2fs", "-f", device, NULL};
    if (run_program(mounted) == 0) {
        return true;
    }
    if (umount2(path, 0) != 0) {
        return false;
    }
    bool grown = run_program(unmounted) == 0;
    return mount(device, path, "ext4", 0, NULL) == 0 && grown;
}

static int expand(const char *id, const struct buffer *request, struct buffer *reply, char **why)
{
    const struct buffer range = pb_find_message(request, 3);
    uint64_t bytes = 0;
    int status = GRPC_OK;
    _cleanup_json_ json_t *volume = volume_of(id, &status, why);
    if (volume == NULL) {
        return status;
    }
    const char *device = text_at(volume, "instance device");
    if (device[0] == '\0') {
        return refuse(why, GRPC_INTERNAL, "Cannot find device path of volume %s", id);
    }
    _cleanup_free_ char *path = pb_find_text(request, 2);
    _cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (!grow(device, path)) {
        return refuse(why, GRPC_INTERNAL, "resize of device %s failed", device);
    }
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
        return refuse(why, GRPC_INTERNAL, "expand volume error when getting size of block volume at path %s: %s",
                      device, strerror(errno));
    }
    if (bytes < pb_find_number(&range, 1)) {
        return refuse(why, GRPC_INTERNAL, "resize requested for %llu but after resize volume was size %llu",
                      (unsigned long long)pb_find_number(&range, 1), (unsigned long long)bytes);
    }
    pb_number(reply, 1, bytes);
    return GRPC_OK;
}

static int info(struct buffer *reply, char **why)
{
    _cleanup_json_ json_t *instance = cloud_instance(driver.node_id, why);
    if (instance == NULL) {
        return *why != NULL ? GRPC_INTERNAL : refuse(why, GRPC_NOT_FOUND, "cannot found instance %s", driver.node_id);
    }
    long class = (long)json_integer_value(json_object_get(instance, "instance_class"));
    if (instance_class_name(class) == NULL) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "unsupported instance type %ld", class);
    }
    _cleanup_free_ char *zone = xasprintf("topology.%s/zone", driver.name);
    _cleanup_free_ char *type = xasprintf("topology.%s/instance-type", driver.name);
    _cleanup_json_ json_t *segments =
        json_pack("{ss ss}", zone, text_at(instance, "zone_id"), type, instance_class_name(class));
    _cleanup_buffer_ struct buffer topology = {0};
    pb_map(&topology, 1, segments);
    pb_text(reply, 1, driver.node_id);
    pb_number(reply, 2, driver.max_volumes);
    pb_message(reply, 3, &topology);
    return GRPC_OK;
}

static int volume_call(const char *method, const char *id, const struct buffer *request, struct buffer *reply,
                       char **why)
{
    if (strcmp(method, "NodeStageVolume") == 0) {
        return stage(id, request, why);
    }
    if (strcmp(method, "NodeUnstageVolume") == 0) {
        return unstage(id, request, why);
    }
    if (strcmp(method, "NodePublishVolume") == 0) {
        return publish(id, request, why);
    }
    if (strcmp(method, "NodeUnpublishVolume") == 0) {
        return unpublish(id, request, why);
    }
    return strcmp(method, "NodeExpandVolume") == 0 ? expand(id, request, reply, why)
                                                   : refuse(why, GRPC_UNIMPLEMENTED, "%s", method);
}

int node_call(const char *method, const struct buffer *request, struct buffer *reply, char **why)
{
    static const unsigned types[] = {1, 3, 2}; /* staging, expansion, statistics */
    if (strcmp(method, "NodeGetCapabilities") == 0) {
        put_capabilities(reply, types, ELEMENTS(types));
        return GRPC_OK;
    }
    if (strcmp(method, "NodeGetInfo") == 0) {
        return info(reply, why);
    }
    _cleanup_free_ char *id = pb_find_text(request, 1);
    if (id[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Volume id missing in request");
    }
    if (strcmp(method, "NodeGetVolumeStats") == 0) {
        return stats(id, request, reply, why);
    }
    if (!resource_lock(id)) {
        return refuse(why, GRPC_ABORTED, "An operation with the given resource %s already exists", id);
    }
    int status = volume_call(method, id, request, reply, why);
    resource_unlock(id);
    return status;
}

/* Volumes as files, and as loop devices in the machines they are attached to: a directory given, an attached volume is
 * a block device that a pod can really write. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { LOOP_MAJOR = 7 };

static int failed(const char *what, const char *path)
{
    (void)fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    return -1;
}

static const char *name_of(const json_t *resource)
{
    const char *volume = json_text(resource, "volume_id");
    return volume != NULL ? volume : json_text_or(resource, "snapshot_id", "");
}

static off_t bytes_of(const json_t *resource)
{
    const json_t *snapshot = json_object_get(resource, "snapshot_resource");
    return (off_t)json_integer_value(json_object_get(snapshot != NULL ? snapshot : resource, "size")) << 30;
}

static int set_size(const char *path, off_t bytes)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 || ftruncate(fd, bytes) != 0 ? failed("making", path) : 0;
}

/* Only what was written: the files are sparse, and far larger than the disk below them. */
static int copy_file(const char *from, const char *to)
{
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fsync(in) != 0) {
        return failed("copying", from);
    }
    for (off_t at = 0;;) {
        at = lseek(in, at, SEEK_DATA);
        if (at < 0) {
            return errno == ENXIO ? 0 : failed("reading", from); /* ENXIO: nothing more */
        }
        off_t end = lseek(in, at, SEEK_HOLE);
        while (at < end) {
            loff_t source = at;
            loff_t target = at;
            ssize_t n = copy_file_range(in, &source, out, &target, (size_t)(end - at), 0);
            if (n <= 0) {
                return failed("copying to", to);
            }
            at += n;
        }
    }
}

/* The number of the loop device that has the file; -1 when none has. */
static int loop_of(const char *file)
{
    DIR *blocks = opendir("/sys/block");
    int number = -1;
    for (struct dirent *e = blocks == NULL ? NULL : readdir(blocks); e != NULL && number < 0; e = readdir(blocks)) {
        long n = 0;
        char backing[4096] = "";
        _cleanup_free_ char *path = xasprintf("/sys/block/%s/loop/backing_file", e->d_name);
        _cleanup_fclose_ FILE *f = str_starts(e->d_name, "loop") ? fopen(path, "re") : NULL;
        if (f != NULL && fgets(backing, sizeof backing, f) != NULL) {
            backing[strcspn(backing, "\n")] = '\0';
            number = strcmp(backing, file) == 0 && str_number(e->d_name + 4, 0, 1 << 20, &n) ? (int)n : -1;
        }
    }
    if (blocks != NULL) {
        closedir(blocks);
    }
    return number;
}

/* A descriptor of a loop device, through a node of our own that is gone again: not every /dev has one for each. */
static int loop_open(const char *disks, int number, int flags)
{
    _cleanup_free_ char *node = xasprintf("%s/loop%d", disks, number);
    (void)unlink(node);
    if (mknod(node, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)number)) != 0) {
        return failed("making", node);
    }
    int fd = open(node, flags | O_CLOEXEC);
    int saved = errno;
    (void)unlink(node);
    errno = saved;
    return fd;
}

static int loop_make(const char *disks, const char *file)
{
    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    _cleanup_close_ int fd = open(file, O_RDWR | O_CLOEXEC);
    if (control < 0 || fd < 0) {
        return failed("opening", control < 0 ? "/dev/loop-control" : file);
    }
    for (int tries = 0; tries < 20; tries++) { /* another may take the free one first */
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        _cleanup_close_ int loop = number < 0 ? -1 : loop_open(disks, number, O_RDWR);
        const struct loop_config config = {.fd = (unsigned)fd};
        if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
            return number;
        }
        if (errno != EBUSY) {
            break;
        }
    }
    return failed("making a loop device of", file);
}

/* A process that ended may have left its number to one of this host: never its /dev. */
static bool is_own(const char *dev)
{
    struct stat its;
    struct stat ours;
    return stat(dev, &its) != 0 || stat("/dev", &ours) != 0 || its.st_dev == ours.st_dev;
}

static char *device_path(const struct cloudapi_call *call, const json_t *volume)
{
    const json_t *at = json_object_get(volume, "instance");
    const char *dev = json_text(cloudapi_instance(call, json_text(at, "instance_id")), "_dev");
    const char *device = json_text_or(at, "device", "");
    return dev == NULL || is_own(dev) || !str_starts(device, "/dev/")
               ? NULL
               : xasprintf("%s/%s", dev, device + strlen("/dev/"));
}

static int attach(const struct cloudapi_call *call, const json_t *volume, const char *file)
{
    _cleanup_free_ char *path = device_path(call, volume);
    if (path == NULL) {
        return 0; /* an instance that no machine is */
    }
    int number = loop_make(call->disks, file);
    if (number < 0) {
        return -1;
    }
    (void)unlink(path);
    return mknod(path, S_IFBLK | 0660, makedev(LOOP_MAJOR, (unsigned)number)) == 0 ? 0 : failed("making", path);
}

/* As a disk under a file system: it does not go while that is mounted. */
static int detach(const struct cloudapi_call *call, const json_t *volume, const char *file)
{
    _cleanup_free_ char *path = device_path(call, volume);
    int number = loop_of(file);
    if (number < 0) {
        return 0;
    }
    _cleanup_close_ int loop = loop_open(call->disks, number, path == NULL ? O_RDWR : O_RDWR | O_EXCL);
    if (loop < 0 || ioctl(loop, LOOP_CLR_FD) != 0) {
        return failed("detaching", file);
    }
    if (path != NULL) {
        (void)unlink(path);
    }
    return 0;
}

int cloudapi_disk(struct cloudapi_call *call, const json_t *volume, const char *what, const char *source)
{
    if (call->disks == NULL) {
        return 0;
    }
    _cleanup_free_ char *file = xasprintf("%s/%s", call->disks, name_of(volume));
    if (strcmp(what, "attach") == 0) {
        return attach(call, volume, file);
    }
    if (strcmp(what, "detach") == 0) {
        return detach(call, volume, file);
    }
    if (strcmp(what, "remove") == 0) {
        return unlink(file) == 0 || errno == ENOENT ? 0 : failed("removing", file);
    }
    if (strcmp(what, "copy") == 0) {
        _cleanup_free_ char *from = xasprintf("%s/%s", call->disks, source);
        if (copy_file(from, file) != 0) {
            return -1;
        }
    }
    return set_size(file, bytes_of(volume));
}

void cloudapi_disks_release(const char *disks)
{
    DIR *files = opendir(disks);
    for (struct dirent *e = files == NULL ? NULL : readdir(files); e != NULL; e = readdir(files)) {
        _cleanup_free_ char *file = xasprintf("%s/%s", disks, e->d_name);
        for (int number = loop_of(file), before = -1; number >= 0 && number != before; number = loop_of(file)) {
            _cleanup_close_ int loop = loop_open(disks, number, O_RDWR);
            if (loop < 0 || ioctl(loop, LOOP_CLR_FD) != 0) {
                (void)failed("detaching", file);
            }
            before = number;
        }
    }
    if (files != NULL) {
        closedir(files);
    }
}

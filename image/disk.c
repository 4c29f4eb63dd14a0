#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "image/output.h"
#include "lib/file.h"
#include "lib/proc.h"

#define DISK_DEADLINE_MS (30L * 60 * 1000)
#define PARTITION_START 1048576L /* bytes */
#define GPT_END 1048576L         /* bytes left for the second table */
#define BOOT_CODE 440            /* bytes of the first sector that are code */

/* uapi-group.org/specifications/specs/discoverable_partitions_specification: what systemd-repart grows */
#define ROOT_X86_64 "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"

int disk_prepare(struct bake *bake, const char *id, struct error **err)
{
    _cleanup_place_ struct place place = {.root = &bake->root};
    _cleanup_free_ char *fstab = xasprintf("UUID=%s / ext4 errors=remount-ro,x-systemd.growfs 0 1\n", id);
    /* SERIAL and the console of the kernel: ttyS0 beside the screen */
    _cleanup_free_ char *boot = xasprintf("SERIAL 0 115200\nDEFAULT linux\nPROMPT 0\nTIMEOUT 10\n\n"
                                          "LABEL linux\n    LINUX /vmlinuz\n    INITRD /initrd.img\n"
                                          "    APPEND root=UUID=%s ro %s\n",
                                          id, bake->conf->disk_cmdline != NULL ? bake->conf->disk_cmdline : "");
    if (!root_exists(&bake->root, "/vmlinuz", NULL)) {
        return error_new(err, STATUS_CONFIG, "%s: disk: there is no kernel among the packages",
                         bake->conf->disk_packages.where);
    }
    if (place_data(&place, "/etc/fstab", 0644, fstab, strlen(fstab), err) < 0 ||
        place_data(&place, "/boot/extlinux/extlinux.conf", 0644, boot, strlen(boot), err) < 0) {
        return -1;
    }
    return place_commit(&place, err);
}

static int disk_bytes(const struct bake *bake, long *bytes, struct error **err)
{
    const char *size = bake->conf->disk_size;
    size_t digits = strspn(size, "0123456789");
    _cleanup_free_ char *number = xstrndup(size, digits);
    long units = strcmp(size + digits, "G") == 0   ? 1024L * 1024 * 1024
                 : strcmp(size + digits, "M") == 0 ? 1024L * 1024
                                                   : 0;
    long count = 0;
    if (units == 0 || !str_number(number, 1, 65536, &count) || count * units < 64L * 1024 * 1024) {
        return error_new(err, STATUS_CONFIG, "disk: size = \"%s\": a size as 10G or 4096M is expected", size);
    }
    *bytes = count * units;
    return 0;
}

static int make_table(const char *raw, long bytes, const char *id, struct error **err)
{
    _cleanup_free_ char *script =
        xasprintf("label: gpt\nlabel-id: %s\n"
                  "start=%ld, size=%ld, type=%s, uuid=%s, name=root, attrs=LegacyBIOSBootable\n",
                  id, PARTITION_START / 512, (bytes - PARTITION_START - GPT_END) / 512, ROOT_X86_64, id);
    const char *argv[] = {"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw, NULL};
    struct proc proc = {.argv = argv, .input = script, .deadline = deadline_in(60000)};
    return proc_run(&proc, NULL, err);
}

/* extlinux reads no file system with 64-bit block numbers. */
static int make_file_system(const struct bake *bake, const char *raw, long bytes, const char *id, struct error **err)
{
    _cleanup_free_ char *extended =
        xasprintf("offset=%ld,hash_seed=%s,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", PARTITION_START, id);
    _cleanup_free_ char *blocks = xasprintf("%ldk", (bytes - PARTITION_START - GPT_END) / 1024);
    _cleanup_free_ char *now = xasprintf("E2FSPROGS_FAKE_TIME=%ld", bake->epoch);
    const char *argv[] = {"mke2fs", "-q", "-F",   "-t", "ext4",   "-b", "4096",          "-O", "^64bit", "-U",
                          id,       "-L", "root", "-E", extended, "-d", bake->root.path, raw,  blocks,   NULL};
    const char *environment[] = {now, NULL};
    struct proc proc = {.argv = argv, .environment = environment, .deadline = deadline_in(DISK_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

static int write_boot_code(const struct bake *bake, const char *raw, struct error **err)
{
    size_t len = 0;
    _cleanup_free_ char *code = root_read(&bake->root, "/usr/lib/EXTLINUX/gptmbr.bin", &len);
    if (code == NULL || len == 0 || len > BOOT_CODE) {
        return error_new(err, STATUS_CONFIG, "%s: disk: extlinux is not among the packages",
                         bake->conf->disk_packages.where);
    }
    _cleanup_close_ int fd = open(raw, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, code, len, 0) != (ssize_t)len || fsync(fd) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot write the boot code into %s", raw);
    }
    return 0;
}

/* The boot loader finds itself by block numbers, which only a mounted file system tells. */
static int install_loader(const char *raw, const char *dir, struct error **err)
{
    _cleanup_free_ char *options = xasprintf("loop,offset=%ld", PARTITION_START);
    _cleanup_free_ char *dev = path_join(dir, "dev");
    _cleanup_free_ char *proc = path_join(dir, "proc");
    struct deadline deadline = deadline_in(DISK_DEADLINE_MS);
    if (proc_exec(deadline, err, "mount", "-t", "ext4", "-o", options, raw, dir, NULL) < 0) {
        return -1;
    }
    if (mount("/dev", dev, NULL, MS_BIND, NULL) < 0 || mount("/proc", proc, NULL, MS_BIND, NULL) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot mount /dev and /proc below %s", dir);
    }
    int result = proc_exec(deadline, err, "chroot", dir, "extlinux", "--install", "/boot/extlinux", NULL);
    return proc_exec(deadline, result == 0 ? err : NULL, "umount", "--recursive", dir, NULL) < 0 ? -1 : result;
}

/* In a mount namespace of its own: whatever ends this program also undoes its mounts and frees the loop device. */
static int with_own_mounts(const char *raw, struct error **err)
{
    char dir[] = "/tmp/k8s-bake.XXXXXX";
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot have mounts of our own to install the boot loader");
    }
    if (mkdtemp(dir) == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot make the directory %s", dir);
    }
    int result = install_loader(raw, dir, err);
    (void)rmdir(dir);
    return result;
}

static int make_raw(const struct bake *bake, const char *id, const char *raw, struct error **err)
{
    long bytes = 0;
    if (disk_bytes(bake, &bytes, err) < 0) {
        return -1;
    }
    (void)unlink(raw);
    _cleanup_close_ int fd = open(raw, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, bytes) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot make %s", raw);
    }
    if (make_table(raw, bytes, id, err) < 0 || make_file_system(bake, raw, bytes, id, err) < 0 ||
        write_boot_code(bake, raw, err) < 0) {
        return -1;
    }
    return with_own_mounts(raw, err);
}

int disk_make(const struct bake *bake, const char *id, const char *path, struct error **err)
{
    _cleanup_free_ char *raw = xasprintf("%s.raw", path);
    int result = make_raw(bake, id, raw, err);
    if (result == 0) {
        result = proc_exec(deadline_in(DISK_DEADLINE_MS), err, "qemu-img", "convert", "-m", "1", "-f", "raw", "-O",
                           "qcow2", raw, path, NULL);
    }
    (void)unlink(raw);
    return result;
}

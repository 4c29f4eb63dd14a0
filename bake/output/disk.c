#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bake/output/output.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define DISK_DEADLINE_MS (30L * 60 * 1000)
#define PARTITION_START 1048576L /* bytes */
#define GPT_END 1048576L         /* bytes left for the second table */
#define SECTOR 512L
#define LOADER_START 34 /* sectors: behind the table, up to the partition */
#define BOOT_CODE 440   /* bytes of the first sector that are code */
#define SUPERBLOCK (PARTITION_START + 1024)

/* Where GRUB finds the next part of itself: in boot.img the sector of core.img, in core.img that of its second sector
 * (GRUB's include/grub/i386/pc/boot.h and offsets.h). */
#define BOOT_NEXT 0x5c
#define CORE_NEXT 0x1f4

/* uapi-group.org/specifications/specs/discoverable_partitions_specification: what systemd-repart grows */
#define ROOT_X86_64 "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
#define BIOS_BOOT "21686148-6449-6e6f-744e-656564454649"

#define BOOT_IMAGE "/usr/lib/grub/i386-pc/boot.img"
#define CORE_IMAGE "/boot/grub/core.img"

/* The loader's own part, with all it needs to read its configuration and the kernel from the root partition. */
static int make_core(const struct bake *bake, struct error **err)
{
    static const char *const argv[] = {"grub-mkimage", "--format=i386-pc",
                                       "-o",           CORE_IMAGE,
                                       "--prefix",     "(,gpt1)/boot/grub",
                                       "biosdisk",     "part_gpt",
                                       "ext2",         "normal",
                                       "linux",        "serial",
                                       "terminal",     NULL};
    if (!root_exists(&bake->root, BOOT_IMAGE, NULL)) {
        return error_new(err, STATUS_CONFIG, "%s: disk: grub-pc-bin is not among the packages",
                         bake->conf->disk_packages.where);
    }
    return root_run(&bake->root, argv, NULL, err);
}

int disk_prepare(struct bake *bake, const char *id, struct error **err)
{
    _cleanup_place_ struct place place = {.root = &bake->root};
    _cleanup_free_ char *fstab = xasprintf("UUID=%s / ext4 errors=remount-ro,x-systemd.growfs 0 1\n", id);
    /* the menu and, by the command line, the kernel: on ttyS0 beside the screen */
    _cleanup_free_ char *boot = xasprintf("serial --unit=0 --speed=115200\n"
                                          "terminal_input console serial\nterminal_output console serial\n"
                                          "set timeout=1\n"
                                          "menuentry linux {\n    linux /vmlinuz root=UUID=%s ro %s\n"
                                          "    initrd /initrd.img\n}\n",
                                          id, bake->conf->disk_cmdline != NULL ? bake->conf->disk_cmdline : "");
    if (!root_exists(&bake->root, "/vmlinuz", NULL)) {
        return error_new(err, STATUS_CONFIG, "%s: disk: there is no kernel among the packages",
                         bake->conf->disk_packages.where);
    }
    if (place_data(&place, "/etc/fstab", 0644, fstab, strlen(fstab), err) < 0 ||
        place_data(&place, "/boot/grub/grub.cfg", 0644, boot, strlen(boot), err) < 0 || place_commit(&place, err) < 0) {
        return -1;
    }
    return make_core(bake, err);
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
    _cleanup_free_ char *hash = sha256_hex(id, strlen(id));
    _cleanup_free_ char *loader_id = uuid_of(hash);
    _cleanup_free_ char *script =
        xasprintf("label: gpt\nlabel-id: %s\nfirst-lba: %d\n"
                  "start=%ld, size=%ld, type=%s, uuid=%s, name=root\n"
                  "start=%d, size=%ld, type=%s, uuid=%s, name=loader\n",
                  id, LOADER_START, PARTITION_START / SECTOR, (bytes - PARTITION_START - GPT_END) / SECTOR, ROOT_X86_64,
                  id, LOADER_START, PARTITION_START / SECTOR - LOADER_START, BIOS_BOOT, loader_id);
    const char *argv[] = {"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw, NULL};
    struct proc proc = {.argv = argv, .input = script, .deadline = deadline_in(60000)};
    return proc_run(&proc, NULL, err);
}

static int make_file_system(const struct bake *bake, const char *raw, long bytes, const char *id, struct error **err)
{
    _cleanup_free_ char *extended =
        xasprintf("offset=%ld,hash_seed=%s,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", PARTITION_START, id);
    _cleanup_free_ char *blocks = xasprintf("%ldk", (bytes - PARTITION_START - GPT_END) / 1024);
    _cleanup_free_ char *now = xasprintf("E2FSPROGS_FAKE_TIME=%ld", bake->epoch);
    const char *argv[] = {"mke2fs", "-q", "-F",     "-t", "ext4",          "-b", "4096", "-U", id, "-L",
                          "root",   "-E", extended, "-d", bake->root.path, raw,  blocks, NULL};
    const char *environment[] = {now, NULL};
    struct proc proc = {.argv = argv, .environment = environment, .deadline = deadline_in(DISK_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

/* mke2fs gives out inodes in turn, so those in use are the first. */
static int used_inodes(const char *raw, uint32_t *n, struct error **err)
{
    uint32_t super[5]; /* s_inodes_count is the first, s_free_inodes_count the last */
    _cleanup_close_ int fd = open(raw, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, super, sizeof super, SUPERBLOCK) != (ssize_t)sizeof super) {
        return error_errno(err, STATUS_FILE, errno, "cannot read the file system in %s", raw);
    }
    *n = le32toh(super[0]) - le32toh(super[4]);
    return 0;
}

/* mke2fs copies from the files of this machine when they were last read and when they last changed, which tells of the
 * bake and not of what it made. */
static int even_times(const struct bake *bake, const char *raw, struct error **err)
{
    _cleanup_buffer_ struct buffer script = {0};
    _cleanup_free_ char *device = xasprintf("%s?offset=%ld", raw, PARTITION_START);
    _cleanup_free_ char *now = xasprintf("E2FSPROGS_FAKE_TIME=%ld", bake->epoch);
    const char *argv[] = {"debugfs", "-w", "-f", "-", device, NULL};
    const char *environment[] = {now, NULL};
    uint32_t n = 0;
    if (used_inodes(raw, &n, err) < 0) {
        return -1;
    }
    for (uint32_t i = 1; i <= n; i++) {
        buffer_printf(&script, "sif <%u> atime @%ld\nsif <%u> ctime @%ld\n", i, bake->epoch, i, bake->epoch);
    }
    struct proc proc = {
        .argv = argv, .environment = environment, .input = script.data, .deadline = deadline_in(DISK_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

static void point(char *image, size_t at, uint64_t sector)
{
    sector = htole64(sector);
    memcpy(image + at, &sector, sizeof sector);
}

/* As grub-bios-setup does it, with nothing mounted. */
static int write_loader(const struct bake *bake, const char *raw, struct error **err)
{
    size_t boot_len = 0;
    size_t core_len = 0;
    _cleanup_free_ char *boot = root_read(&bake->root, BOOT_IMAGE, &boot_len);
    _cleanup_free_ char *core = root_read(&bake->root, CORE_IMAGE, &core_len);
    if (boot == NULL || boot_len != SECTOR || core == NULL || core_len < 2 * SECTOR ||
        core_len > PARTITION_START - LOADER_START * SECTOR) {
        return error_new(err, STATUS_FILE, "%s: %s and %s are not a boot loader", bake->root.path, BOOT_IMAGE,
                         CORE_IMAGE);
    }
    point(boot, BOOT_NEXT, LOADER_START);
    point(core, CORE_NEXT, LOADER_START + 1);
    _cleanup_close_ int fd = open(raw, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, boot, BOOT_CODE, 0) != BOOT_CODE ||
        pwrite(fd, core, core_len, LOADER_START * SECTOR) != (ssize_t)core_len) {
        return error_errno(err, STATUS_FILE, errno, "cannot write the boot loader into %s", raw);
    }
    return 0;
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
        even_times(bake, raw, err) < 0) {
        return -1;
    }
    return write_loader(bake, raw, err);
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

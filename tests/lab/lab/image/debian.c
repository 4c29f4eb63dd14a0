#include "tests/lab/lab/image/debian.h"

#include <dirent.h>
#include <string.h>

#include "lib/system/file.h"
#include "lib/system/proc.h"

#define LINKER "/lib64/ld-linux-x86-64.so.2"

/* The shared libraries of PROGRAM, found by the loader of ROOT, put where it looks for them. */
static int add_libraries(struct archive_image *image, const char *root, const char *program, struct error **err)
{
    _cleanup_proc_ struct proc_result result = {0};
    const char *argv[] = {"chroot", root, LINKER, "--list", program, NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(120000)};
    if (proc_run(&proc, &result, err) != 0) {
        return -1;
    }
    char *rest = NULL;
    for (char *line = strtok_r(result.output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *path = strchr(line, '/');
        char *end = path == NULL ? NULL : strchr(path, ' ');
        if (end != NULL) {
            *end = '\0';
            _cleanup_free_ char *source = path_join(root, path);
            archive_add(image, path, source, NULL);
        }
    }
    _cleanup_free_ char *linker = path_join(root, LINKER);
    archive_add(image, LINKER, linker, NULL);
    return 0;
}

int debian_program(struct archive_image *image, const char *root, const char *program, struct error **err)
{
    _cleanup_free_ char *source = path_join(root, program);
    archive_add(image, program, source, NULL);
    return add_libraries(image, root, program, err);
}

/* The modules of a program, each with the libraries it alone needs. */
static int add_modules(struct archive_image *image, const char *root, const char *path, struct error **err)
{
    _cleanup_free_ char *host = path_join(root, path);
    struct dirent **entries = NULL;
    int n = scandir(host, &entries, NULL, alphasort);
    int r = n > 0 ? 0 : error_new(err, STATUS_FILE, "%s: nothing in it", host);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = path_join(path, entries[i]->d_name);
        if (r == 0 && str_ends(file, ".so")) {
            r = debian_program(image, root, file, err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int debian_iptables(struct archive_image *image, const char *root, struct error **err)
{
    static const char *const links[] = {"iptables",  "iptables-save",  "iptables-restore",
                                        "ip6tables", "ip6tables-save", "ip6tables-restore"};
    if (debian_program(image, root, "/usr/sbin/xtables-nft-multi", err) != 0 ||
        debian_program(image, root, "/usr/sbin/conntrack", err) != 0 ||
        add_modules(image, root, "/usr/lib/x86_64-linux-gnu/xtables", err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(links); i++) {
        _cleanup_free_ char *path = path_join("/usr/sbin", links[i]);
        archive_add(image, path, NULL, "xtables-nft-multi");
    }
    return 0;
}

int debian_iproute(struct archive_image *image, const char *root, struct error **err)
{
    archive_add(image, "/sbin/ip", NULL, "/bin/ip");
    return debian_program(image, root, "/bin/ip", err) == 0 && debian_program(image, root, "/sbin/bridge", err) == 0
               ? 0
               : -1;
}

int debian_busybox(struct archive_image *image, const char *root, struct error **err)
{
    _cleanup_proc_ struct proc_result list = {0};
    const char *argv[] = {"chroot", root, "/bin/busybox", "--list", NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(120000)};
    _cleanup_free_ char *source = path_join(root, "/bin/busybox");
    archive_add(image, "/bin/busybox", source, NULL); /* linked statically */
    if (proc_run(&proc, &list, err) != 0) {
        return -1;
    }
    char *rest = NULL;
    for (char *applet = strtok_r(list.output, "\n", &rest); applet != NULL; applet = strtok_r(NULL, "\n", &rest)) {
        _cleanup_free_ char *path = path_join("/bin", applet);
        archive_add(image, path, NULL, "busybox");
    }
    return 0;
}

int debian_filesystems(struct archive_image *image, const char *root, struct error **err)
{
    static const char *const programs[] = {"/sbin/mke2fs", "/sbin/resize2fs", "/sbin/blkid"};
    for (size_t i = 0; i < ELEMENTS(programs); i++) {
        if (debian_program(image, root, programs[i], err) != 0) {
            return -1;
        }
    }
    archive_add(image, "/sbin/mkfs.ext4", NULL, "mke2fs");
    return 0;
}

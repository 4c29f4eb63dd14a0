#include "bake/root/interfaces.h"

#include <string.h>
#include <unistd.h>

#include "bake/root/rootfs.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

#define UPDATE "/usr/sbin/update-grub"
#define CONFIGURATION "/boot/grub/grub.cfg"
#define ARGUMENT "net.ifnames=0"

static bool is_named(const char *path)
{
    _cleanup_free_ char *text = NULL;
    return file_read(path, 0, &text, NULL, NULL) == 0 && strstr(text, ARGUMENT) != NULL;
}

int interfaces_keep_names(const struct bake *bake, struct error **err)
{
    const char *update[] = {UPDATE, NULL};
    if (!bake->options->in_place || !root_exists(&bake->root, "/etc/default/grub.d/99-k8s-hooks.cfg", NULL)) {
        return 0;
    }
    if (!root_exists(&bake->root, UPDATE, NULL)) {
        log_warning("this machine has no " UPDATE ": see to it that the kernel's command line has " ARGUMENT
                    ", so that the first interface is eth0");
        return 0;
    }
    if (!is_named(CONFIGURATION) && root_run(&bake->root, update, NULL, err) < 0) {
        return error_wrap(err, "the kernel's command line with " ARGUMENT);
    }
    if (!is_named(CONFIGURATION)) {
        return error_new(err, STATUS_CONFIG,
                         CONFIGURATION " has no " ARGUMENT
                                       " after update-grub, so the first interface may not be eth0: "
                                       "see what overrides GRUB_CMDLINE_LINUX in /etc/default/grub.d");
    }
    if (access("/sys/class/net/eth0", F_OK) < 0) {
        log_notice("this machine has no eth0 now: its first interface is called so from the next start on");
    }
    return 0;
}

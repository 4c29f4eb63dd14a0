#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "tests/lab/standin/standin.h"

enum { SLOW_S = 2 };

char *standin_state(const struct standin *standin, const char *directory, const char *name)
{
    return xasprintf("%s/%s%s%s", standin->state, directory, *name == '\0' ? "" : "/", name);
}

int standin_put(const char *path, const char *text, struct error **err)
{
    return file_put_private(path, text, err);
}

bool standin_unit_active(const struct standin *standin, const char *unit)
{
    _cleanup_free_ char *path = standin_state(standin, "units", unit);
    _cleanup_free_ char *text = NULL;
    return file_read(path, 0, &text, NULL, NULL) == 0 && str_starts(text, "active");
}

enum fault standin_fault(const struct standin *standin, const char *server)
{
    static const char *const names[] = {"none", "hang", "slow", "nonsense", "close"};
    _cleanup_free_ char *path = standin_state(standin, "faults", "");
    _cleanup_free_ char *text = NULL;
    if (file_read(path, 0, &text, NULL, NULL) < 0) {
        return FAULT_NONE;
    }
    enum fault fault = FAULT_NONE;
    _cleanup_strv_ char **words = strv_split(text);
    for (char **word = words; *word != NULL && word[1] != NULL; word += 2) {
        for (size_t i = 0; strcmp(*word, server) == 0 && i < ELEMENTS(names); i++) {
            fault = strcmp(word[1], names[i]) == 0 ? (enum fault)i : fault;
        }
    }
    if (fault == FAULT_SLOW) {
        (void)nanosleep(&(struct timespec){.tv_sec = SLOW_S}, NULL);
    }
    if (fault == FAULT_HANG) {
        for (;;) {
            (void)pause();
        }
    }
    return fault;
}

int standin_listen(const char *path, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path) {
        return error_new(err, STATUS_FILE, "%s is too long for a socket", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot listen on %s", path);
    }
    return fd;
}

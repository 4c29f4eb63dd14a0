#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hooks/clients/static_pods.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"

/* After a restore the cluster's revisions begin again at the backup's. A kubelet or kube-proxy that only lost its
 * connection goes on to watch from the later one it knows, and sees no change until that is reached, which may take
 * days. It lists again when its request fails in another way than by a refused connection: so for a while somebody
 * answers the API server's port, and hangs up. */

/* Whoever was refused before tries again within a second or two, or within a minute when that went on for long. */
enum { JUST_LOST_S = 10, LOST_BEFORE_S = 60 };

static int listen_for_api(struct error **err)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(API_PORT)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0) {
        (void)error_errno(err, STATUS_FAILED, errno, "listening on the API server's port %d", API_PORT);
        util_closep(&fd);
        return -1;
    }
    return fd;
}

static int drop_watches_apply(struct run *run, struct error **err)
{
    static const struct static_pod_end end = {.grace_s = 0};
    int ran = static_pod_end("kube-apiserver", &end, run_deadline(run, 60), err);
    _cleanup_close_ int fd = ran < 0 ? -1 : listen_for_api(err);
    if (fd < 0) {
        return -1;
    }
    struct deadline deadline = run_deadline(run, ran > 0 ? JUST_LOST_S : LOST_BEFORE_S);
    size_t count = 0;
    log_progress("closing API watches, so that their clients list the cluster again");
    while (deadline_left(deadline) > 0) {
        if (interrupt_wait_readable(fd, deadline, err) < 0) {
            return -1;
        }
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            close(client);
            count++;
        }
    }
    log_info("%zu API watches were closed", count);
    return 0;
}

const struct step step_drop_watches = {"close API watches", NULL, drop_watches_apply, NULL};

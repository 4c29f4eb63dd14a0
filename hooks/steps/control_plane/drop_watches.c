#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"

/* After a restore the cluster's revisions begin again at the backup's. A kubelet or kube-proxy that only lost its
 * connection goes on to watch from the later one it knows, and sees no change until that is reached, which may take
 * days. It lists anew when its request fails in another way than by a refused connection: so for a while somebody
 * answers the API server's port, and hangs up. */

/* Whoever was refused before tries again within a second or two, or within a minute when that went on for long. */
enum { JUST_LOST_S = 10, LOST_BEFORE_S = 60 };

/* Whether the API server ran until now. */
static int end_api_server(struct run *run, struct error **err)
{
    static const char *const list[] = {"docker", "ps", "--quiet", "--filter", "name=k8s_kube-apiserver_", NULL};
    _cleanup_proc_ struct proc_result found = {0};
    const struct proc proc = {.argv = list, .keep_output = true, .deadline = run_deadline(run, 20)};
    if (proc_run(&proc, &found, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **ids = strv_split(found.output);
    for (char **id = ids; *id != NULL; id++) {
        if (proc_exec(run_deadline(run, 60), err, "docker", "stop", "--time", "0", *id, NULL) < 0) {
            return -1;
        }
    }
    return ids[0] != NULL;
}

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

static int watchers_turned_away_apply(struct run *run, struct error **err)
{
    int ran = end_api_server(run, err);
    _cleanup_close_ int fd = ran < 0 ? -1 : listen_for_api(err);
    if (fd < 0) {
        return -1;
    }
    struct deadline deadline = run_deadline(run, ran > 0 ? JUST_LOST_S : LOST_BEFORE_S);
    size_t count = 0;
    log_progress("making those who watch the cluster list it anew");
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
    log_info("%zu connections were turned away", count);
    return 0;
}

const struct step step_drop_watches = {"close API watches", NULL, watchers_turned_away_apply, NULL};

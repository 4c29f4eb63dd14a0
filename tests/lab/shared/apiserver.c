#include "tests/lab/shared/apiserver.h"
#include "app/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/net/http.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define KUBERNETES "/var/cache/k8s-hooks/kubernetes-v1.20.2"
#define START_S 600
#define STARTS 3 /* of the API server */
#define LOG_MAX ((size_t)16 << 20)
#define LOG_END 2000

static const char kubeconfig[] = "apiVersion: v1\n"
                                 "kind: Config\n"
                                 "clusters:\n"
                                 "  - name: test\n"
                                 "    cluster: {server: \"%s\", certificate-authority: \"%s/certs/apiserver.crt\"}\n"
                                 "users:\n"
                                 "  - name: admin\n"
                                 "    user: {token: \"%s\"}\n"
                                 "contexts:\n"
                                 "  - name: admin\n"
                                 "    context: {cluster: test, user: admin}\n"
                                 "current-context: admin\n";

static const char token[] = "apiserver-of-a-test";

#define FIRST_PORT 10000
#define PORTS 20000

/* A port that the kernel gives to no outgoing connection (its range begins at 32768): one of those could be taken by
 * another program between here and the server's start. Each test process begins at a place of its own. */
static int free_port(void)
{
    static int used;
    for (int tries = 0; tries < PORTS; tries++) {
        int port = FIRST_PORT + (int)(((int64_t)getpid() * 16 + used++) % PORTS);
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_ANY)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (is_free) {
            return port;
        }
    }
    abort();
}

/* The child's output goes to ROOT/NAME.log. */
static pid_t spawn(const char *root, const char *name, char *const *argv)
{
    _cleanup_free_ char *log = xasprintf("%s/%s.log", root, name);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
        _exit(127);
    }
    execv(argv[0], argv);
    _exit(127);
}

static void end(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static int put(const char *root, const char *name, const char *text, struct error **err)
{
    _cleanup_free_ char *path = path_join(root, name);
    const struct file_spec spec = {.path = path, .data = text, .len = strlen(text), .mode = 0600};
    return file_put(&spec, NULL, err);
}

static void start_etcd(struct apiserver *server, int client, int peer)
{
    char *argv[] = {
        xstrdup("/usr/bin/etcd"),
        xasprintf("--data-dir=%s/etcd", server->root),
        xasprintf("--listen-client-urls=http://127.0.0.1:%d", client),
        xasprintf("--advertise-client-urls=http://127.0.0.1:%d", client),
        xasprintf("--listen-peer-urls=http://127.0.0.1:%d", peer),
        xasprintf("--initial-advertise-peer-urls=http://127.0.0.1:%d", peer),
        xasprintf("--initial-cluster=default=http://127.0.0.1:%d", peer),
        NULL,
    };
    server->etcd = spawn(server->root, "etcd", argv);
    for (size_t i = 0; argv[i] != NULL; i++) {
        free(argv[i]);
    }
}

static void start_api(struct apiserver *server, int client, int port)
{
    char *argv[] = {
        xstrdup(KUBERNETES "/kube-apiserver"),
        xasprintf("--etcd-servers=http://127.0.0.1:%d", client),
        xstrdup("--bind-address=127.0.0.1"),
        xasprintf("--secure-port=%d", port),
        xasprintf("--cert-dir=%s/certs", server->root),
        xasprintf("--token-auth-file=%s/tokens.csv", server->root),
        xasprintf("--client-ca-file=%s/admin.crt", server->root),
        xasprintf("--service-account-key-file=%s/sa.key", server->root),
        xasprintf("--service-account-signing-key-file=%s/sa.key", server->root),
        xstrdup("--service-account-issuer=https://kubernetes.default.svc.cluster.local"),
        xstrdup("--service-cluster-ip-range=10.96.0.0/16"),
        xstrdup("--authorization-mode=RBAC"),
        xstrdup("--endpoint-reconciler-type=none"),
        xstrdup("--allow-privileged=true"),
        NULL,
    };
    server->api = spawn(server->root, "kube-apiserver", argv);
    for (size_t i = 0; argv[i] != NULL; i++) {
        free(argv[i]);
    }
}

static bool answers(const struct apiserver *server, const char *path)
{
    _cleanup_free_ char *ca = path_join(server->root, "certs/apiserver.crt");
    _cleanup_free_ char *url = path_join(server->url, path);
    _cleanup_free_ char *authorization = xasprintf("Authorization: Bearer %s", token);
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer answer = {0};
    const struct http_tls tls = {.ca = ca};
    const char *const headers[] = {authorization, NULL};
    const struct http_request request = {.url = url, .headers = headers};
    return access(ca, R_OK) == 0 && http_open(&http, &tls, NULL) == 0 &&
           http_do(http, &request, deadline_in(30000), STATUS_API, &answer, NULL) == 0 && answer.code == 200;
}

/* The server says that it is ready before it has made the namespace that most objects go to. */
static bool ready(const struct apiserver *server)
{
    return answers(server, "readyz") && answers(server, "api/v1/namespaces/default");
}

/* The log goes with the server's directory: its end is told here. */
static int not_ready(const struct apiserver *server, const char *what, const char *name, struct error **err)
{
    _cleanup_free_ char *log = xasprintf("%s/%s.log", server->root, name);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    const char *end = "";
    if (file_read(log, LOG_MAX, &text, &len, NULL) == 0) {
        end = text + (len > LOG_END ? len - LOG_END : 0);
    }
    return error_new(err, STATUS_API, "the API server of the test did not get ready: %s; %s.log ends with\n%s", what,
                     name, end);
}

/* Nothing tells that the server is ready but a request; that it or its etcd is dead, its descriptor does. */
static int wait_ready(const struct apiserver *server, bool *ended, struct error **err)
{
    struct deadline deadline = deadline_in(INT64_C(1000) * START_S);
    _cleanup_close_ int etcd = (int)syscall(SYS_pidfd_open, server->etcd, 0);
    _cleanup_close_ int api = (int)syscall(SYS_pidfd_open, server->api, 0);
    *ended = false;
    while (!ready(server)) {
        struct pollfd dead[] = {{.fd = etcd, .events = POLLIN}, {.fd = api, .events = POLLIN}};
        if (poll(dead, 2, 100) != 0) {
            *ended = dead[0].revents == 0;
            return *ended ? not_ready(server, "it ended", "kube-apiserver", err)
                          : not_ready(server, "etcd ended", "etcd", err);
        }
        if (deadline_left(deadline) == 0) {
            return not_ready(server, "no answer in 10 min", "kube-apiserver", err);
        }
    }
    return 0;
}

/* One whose bootstrap takes longer than 30 s, as on a loaded machine, ends; the kubelet would start it again. */
static int start_until_ready(struct apiserver *server, int client, int port, struct error **err)
{
    bool ended = true;
    int result = -1;
    for (int i = 0; i < STARTS && ended; i++) {
        if (err != NULL) {
            error_freep(err);
        }
        end(server->api);
        start_api(server, client, port);
        result = wait_ready(server, &ended, err);
    }
    return result;
}

static int prepare(struct apiserver *server, int port, struct error **err)
{
    _cleanup_free_ char *key = path_join(server->root, "sa.key");
    _cleanup_free_ char *tokens = xasprintf("%s,admin,admin,system:masters\n", token);
    _cleanup_free_ char *link = path_join(server->root, "opt/kubernetes/bin/kubectl");
    _cleanup_free_ char *bin = path_join(server->root, "opt/kubernetes/bin");
    server->url = xasprintf("https://127.0.0.1:%d", port);
    server->kubectl = xstrdup(KUBERNETES "/kubectl");
    _cleanup_free_ char *admin = NULL;
    if (asprintf(&admin, kubeconfig, server->url, server->root, token) < 0) {
        abort();
    }
    _cleanup_free_ char *admin_key = path_join(server->root, "admin.key");
    _cleanup_free_ char *admin_cert = path_join(server->root, "admin.crt");
    return proc_exec(deadline_in(300000), err, "openssl", "genrsa", "-out", key, "2048", NULL) < 0 ||
                   proc_exec(deadline_in(300000), err, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                             "-days", "1", "-subj", "/O=system:masters/CN=admin", "-keyout", admin_key, "-out",
                             admin_cert, NULL) < 0 ||
                   put(server->root, "tokens.csv", tokens, err) < 0 ||
                   put(server->root, "etc/kubernetes/admin.conf", admin, err) < 0 || dir_make(bin, 0755, err) < 0 ||
                   link_make(server->kubectl, link, NULL, err) < 0
               ? -1
               : 0;
}

int apiserver_start(struct apiserver *server, struct error **err)
{
    char directory[] = "/tmp/apiserver-XXXXXX";
    *server = (struct apiserver){0};
    if (access(KUBERNETES "/.complete", R_OK) < 0) {
        return error_errno(err, STATUS_FILE, errno,
                           KUBERNETES ": run tests/lab/build-kubernetes /var/cache/k8s-hooks v1.20.2 before");
    }
    if (mkdtemp(directory) == NULL) {
        return error_errno(err, STATUS_FILE, errno, "cannot make %s", directory);
    }
    server->root = xstrdup(directory);
    int client = free_port();
    int port = free_port();
    if (prepare(server, port, err) < 0) {
        return -1;
    }
    start_etcd(server, client, free_port());
    return start_until_ready(server, client, port, err);
}

int apiserver_kube(const struct apiserver *server, struct kube **kube, struct error **err)
{
    _cleanup_free_ char *ca = path_join(server->root, "certs/apiserver.crt");
    _cleanup_free_ char *cert = path_join(server->root, "admin.crt");
    _cleanup_free_ char *key = path_join(server->root, "admin.key");
    return kube_open(kube, server->url, &(struct http_tls){.ca = ca, .cert = cert, .key = key}, err);
}

void apiserver_stop(struct apiserver *server)
{
    end(server->api);
    end(server->etcd);
    if (server->root != NULL) {
        (void)proc_exec(deadline_in(300000), NULL, "rm", "-rf", server->root, NULL);
    }
    free(server->root);
    free(server->url);
    free(server->kubectl);
    *server = (struct apiserver){0};
}

/* The process that holds a pod's namespaces: reaps what is left over, ends on SIGTERM or SIGINT. Linked statically. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal)
{
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return 0; /* "-v", which kubeadm upgrade runs as a Job to see whether the cluster runs any */
    }
    struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    struct sigaction on_end = {.sa_handler = end};
    if (sigaction(SIGCHLD, &on_child, NULL) != 0 || sigaction(SIGTERM, &on_end, NULL) != 0 ||
        sigaction(SIGINT, &on_end, NULL) != 0) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

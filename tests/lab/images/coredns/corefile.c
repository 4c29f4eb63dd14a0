#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/coredns/coredns.h"
#include "tests/lab/images/shared/program.h"

/* With the argument that says more of them than that they are there. */
static void read_plugin(char **words, size_t n, struct corefile *conf)
{
    static const char *const known[] = {"errors", "cache", "loop", "reload", "loadbalance", "log"};
    const char *name = words[0];
    if (strcmp(name, "health") == 0) {
        conf->health = 8080;
    } else if (strcmp(name, "ready") == 0) {
        conf->ready = 8181;
    } else if (strcmp(name, "prometheus") == 0) {
        conf->metrics = n > 1 && strrchr(words[1], ':') != NULL ? number_of(strrchr(words[1], ':') + 1) : 9153;
    } else if (strcmp(name, "kubernetes") == 0) {
        if (n < 2 || strcmp(words[1], ZONE) != 0) {
            fail("Corefile: kubernetes: this program has zone " ZONE " only");
        }
        conf->kubernetes = true;
    } else if (strcmp(name, "forward") == 0) {
        if (n < 3 || strcmp(words[1], ".") != 0 || words[2][0] != '/') {
            fail("Corefile: forward: this program has '. FILE' only");
        }
        conf->forward = xstrdup(words[2]);
    } else {
        for (size_t i = 0; i < ELEMENTS(known); i++) {
            if (strcmp(known[i], name) == 0) {
                return;
            }
        }
        fail("Corefile: Unknown directive '%s'", name);
    }
}

static void read_option(const char *plugin, char **words, size_t n, struct corefile *conf)
{
    static const struct {
        const char *plugin, *option;
    } known[] = {{"health", "lameduck"},    {"kubernetes", "pods"},        {"kubernetes", "fallthrough"},
                 {"kubernetes", "ttl"},     {"forward", "max_concurrent"}, {"forward", "prefer_udp"},
                 {"errors", "consolidate"}, {"cache", "disable"}};
    bool is_known = false;
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        is_known = is_known || (strcmp(known[i].plugin, plugin) == 0 && strcmp(known[i].option, words[0]) == 0);
    }
    if (!is_known) {
        fail("Corefile: plugin %s: unknown property '%s'", plugin, words[0]);
    }
    if (strcmp(words[0], "pods") == 0) {
        conf->pods_insecure = n > 1 && strcmp(words[1], "insecure") == 0;
    } else if (strcmp(words[0], "ttl") == 0 && n > 1) {
        conf->ttl = (unsigned)number_of(words[1]);
    }
}

void corefile_read(const char *path, struct corefile *conf)
{
    _cleanup_free_ char *text = must_read(path);
    char *rest = NULL;
    char plugin[64] = "";
    int depth = 0;
    *conf = (struct corefile){.ttl = 5};
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, "#")] = '\0';
        _cleanup_strv_ char **words = strv_split(line);
        size_t n = strv_length(words);
        if (n == 0) {
            continue;
        }
        bool opens = strcmp(words[n - 1], "{") == 0;
        if (strcmp(words[0], "}") == 0) {
            depth--;
        } else if (depth == 0) {
            if (!opens || strncmp(words[0], ".:53", 4) != 0) {
                fail("%s: '%s': this program serves .:53 only", path, words[0]);
            }
        } else if (depth == 1) {
            (void)snprintf(plugin, sizeof plugin, "%s", words[0]);
            read_plugin(words, opens ? n - 1 : n, conf);
        } else {
            read_option(plugin, words, n, conf);
        }
        depth += opens;
    }
    if (depth != 0 || !conf->kubernetes) {
        fail("%s: %s", path, depth != 0 ? "a brace is missing" : "no plugin kubernetes");
    }
    if (conf->forward != NULL && access(conf->forward, R_OK) != 0) {
        fail("%s: forward: %s cannot be read", path, conf->forward);
    }
}

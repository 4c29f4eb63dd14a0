#include "lib/system/root_path.h"

#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

enum { LINKS_LIMIT = 40 };

/* Takes the first component off *REST; NULL when there is none. The caller frees. */
static char *next_component(char **rest)
{
    *rest += strspn(*rest, "/");
    size_t len = strcspn(*rest, "/");
    char *component = len == 0 ? NULL : xstrndup(*rest, len);
    *rest += len;
    return component;
}

static bool is_last(const char *rest)
{
    return rest[strspn(rest, "/")] == '\0';
}

/* The target of the link at DIRECTORY/NAME below ROOT, NULL when that is none. The caller frees. */
static char *link_target(const char *root, const char *place)
{
    _cleanup_free_ char *full = path_join(root, place);
    return link_read(full);
}

struct walk {
    const char *root;
    char *place; /* below the root, without links */
    char *text;  /* the rest of the way is in it */
    char *rest;
    int links;
};

static void leave_directory(struct walk *walk)
{
    char *slash = strrchr(walk->place, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

static void enter(struct walk *walk, const char *component, bool follow)
{
    char *there = xasprintf("%s/%s", walk->place, component);
    _cleanup_free_ char *target = is_last(walk->rest) && !follow ? NULL : link_target(walk->root, there);
    if (target == NULL) {
        free(walk->place);
        walk->place = there;
        return;
    }
    char *remaining = xasprintf("%s/%s", target, walk->rest);
    free(there);
    free(walk->text);
    walk->text = walk->rest = remaining;
    walk->links++;
    if (target[0] == '/') {
        walk->place[0] = '\0';
    }
}

char *root_path(const char *root, const char *path, bool follow)
{
    if (str_empty(root)) {
        return xstrdup(path);
    }
    bool directory = str_ends(path, "/"); /* which a link at the end has to lead to */
    struct walk walk = {.root = root, .place = xstrdup(""), .text = xstrdup(path)};
    walk.rest = walk.text;
    while (walk.links <= LINKS_LIMIT) {
        _cleanup_free_ char *component = next_component(&walk.rest);
        if (component == NULL) {
            break;
        }
        if (strcmp(component, "..") == 0) {
            leave_directory(&walk);
        } else if (strcmp(component, ".") != 0) {
            enter(&walk, component, follow || directory);
        }
    }
    _cleanup_free_ char *below = xasprintf("%s%s", walk.place, walk.place[0] == '\0' || directory ? "/" : "");
    char *result = walk.links > LINKS_LIMIT ? path_join("/dev/null", path) : path_join(root, below);
    free(walk.place);
    free(walk.text);
    return result;
}

/* image.conf: what goes into an image, declared in one file (libconfuse) and those it includes. */
#ifndef BAKE_CONF_IMAGE_CONF_H
#define BAKE_CONF_IMAGE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/core/error.h"

/* A file, or the content of an archive, brought from a URL or from this machine. A manifest is an artifact too. */
struct artifact {
    const char *kind; /* "artifact" or "manifest" */
    char *name;
    char *where;    /* "image.conf:12" */
    char *url;      /* http, https; NULL when it is not fetched */
    char *file;     /* on this machine */
    char **command; /* or what this prints inside the image, from nothing but other artifacts; empty: url or file */
    char *sha256;   /* pin written in image.conf itself; NULL: the one in image.lock */
    bool built;     /* made on this machine: nothing to pin, the hash goes into the image's manifest */
    char *to;       /* path in the image; with unpack the directory */
    mode_t mode;    /* of a single file */
    bool unpack;    /* a tar archive, whatever its compression */
    int strip;      /* leading path components dropped */
    char **members; /* with unpack: only these; empty: all */
    char **run;     /* with unpack: a program and its arguments, run inside the image in the directory TO */
    char *version, *license;
};

struct container_image {
    char *name;
    char *where;
    char *reference; /* as the cluster's manifests name it */
    char *source;    /* where it is copied from; REFERENCE by default */
    char *archive;   /* docker archive on this machine; NULL: from the registry */
    bool built;      /* as of an artifact, for ARCHIVE */
    bool preload;    /* false: only named in versions.json */
};

enum unit_wish { UNIT_ENABLED, UNIT_DISABLED, UNIT_MASKED };

struct unit_entry {
    char *name;
    char *where;
    enum unit_wish wish;
    bool optional; /* no error when the image has no such unit */
};

struct user_entry {
    char *name;
    char *where;
    long uid; /* -1: the next free system id */
    char *home, *shell;
    char **groups;
};

/* A list at the top of the file. */
struct settings {
    char **values;
    char *where;
};

struct bake_conf {
    char *path;
    char *kubernetes;      /* "v1.20.2" */
    char *suite;           /* Debian's code name */
    char *apt_sources;     /* file of apt sources */
    char *mirror;          /* prefix of every download: PREFIX/host/path; NULL: none */
    char *registry_mirror; /* the same for container images; NULL: none */
    long epoch;            /* SOURCE_DATE_EPOCH where the environment has none */
    struct settings packages;
    struct settings overlay;       /* directories laid over the root, in order */
    struct settings sysctl;        /* "key = value" */
    struct settings modules;       /* kernel modules loaded at boot */
    struct settings limits;        /* lines of limits.conf(5) */
    struct settings clean;         /* further files removed: glob(7) patterns inside the image */
    struct settings leave_out;     /* fnmatch(3) patterns of "artifact NAME", "image NAME", ... that are not put in */
    struct settings disk_packages; /* beside packages where the result is a disk */
    char *disk_size;               /* "10G" */
    char *disk_cmdline;            /* the kernel's */
    struct artifact *artifacts;
    size_t n_artifacts;
    struct container_image *images;
    size_t n_images;
    struct unit_entry *units;
    size_t n_units;
    struct user_entry *users;
    size_t n_users;
};

/* Reads PATH. VARIABLES ("NAME=VALUE") are for ${NAME} and ${NAME:-default} in double-quoted strings; a name with
 * neither value nor default is an error, as is an unknown key: STATUS_CONFIG with file and line. A relative path is
 * relative to the file it stands in. The environment is emptied of all but PATH and the proxies, so that nothing unsaid
 * has a part in a bake. */
int bake_conf_load(struct bake_conf **conf, const char *path, char *const *variables, struct error **err);
void bake_conf_free(struct bake_conf *conf);
void bake_conf_freep(struct bake_conf **conf);

/* True when a leave-out pattern matches "KIND NAME". */
bool bake_conf_left_out(const struct bake_conf *conf, const char *kind, const char *name);

#endif

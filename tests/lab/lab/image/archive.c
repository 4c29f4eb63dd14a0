#include "tests/lab/lab/image/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"

#define BLOCK 512

/* POSIX.1-1988 ustar, the fields in their order. */
struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
        user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_header) == BLOCK, "a tar header is one block");

void archive_add(struct archive_image *image, const char *path, const char *source, const char *target)
{
    while (*path == '/') {
        path++;
    }
    for (size_t i = 0; i < image->n_files; i++) {
        if (strcmp(image->files[i].path, path) == 0) {
            return;
        }
    }
    image->files = xrealloc(image->files, (image->n_files + 1) * sizeof *image->files);
    image->files[image->n_files++] = (struct archive_file){xstrdup(path), xstrdup(source), xstrdup(target)};
}

void archive_free(struct archive_image *image)
{
    for (size_t i = 0; i < image->n_files; i++) {
        free(image->files[i].path);
        free(image->files[i].source);
        free(image->files[i].target);
    }
    free(image->files);
}

static void octal(char *field, size_t size, unsigned long long value)
{
    _cleanup_free_ char *text = xasprintf("%0*llo", (int)size - 1, value);
    memcpy(field, text, size - 1);
}

static int put(FILE *out, const void *data, size_t len, struct error **err)
{
    return fwrite(data, 1, len, out) == len ? 0 : error_errno(err, STATUS_FILE, errno, "writing an image archive");
}

static int put_header(FILE *out, const char *name, char type, mode_t mode, off_t size, const char *link,
                      struct error **err)
{
    struct tar_header header = {.type = type, .magic = "ustar", .version = {'0', '0'}};
    if (strlen(name) >= sizeof header.name || (link != NULL && strlen(link) >= sizeof header.link)) {
        return error_new(err, STATUS_FILE, "%s: the name is too long for an image archive", name);
    }
    memcpy(header.name, name, strlen(name));
    if (link != NULL) {
        memcpy(header.link, link, strlen(link));
    }
    octal(header.mode, sizeof header.mode, mode);
    octal(header.uid, sizeof header.uid, 0);
    octal(header.gid, sizeof header.gid, 0);
    octal(header.size, sizeof header.size, (unsigned long long)size);
    octal(header.mtime, sizeof header.mtime, 0);
    memset(header.checksum, ' ', sizeof header.checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++) {
        sum += ((const unsigned char *)&header)[i];
    }
    octal(header.checksum, sizeof header.checksum - 1, sum);
    return put(out, &header, sizeof header, err);
}

static int put_padding(FILE *out, off_t size, struct error **err)
{
    static const char zeros[BLOCK * 2];
    size_t rest = (size_t)(size % BLOCK);
    return rest == 0 ? 0 : put(out, zeros, BLOCK - rest, err);
}

static int put_file(FILE *out, const char *name, const char *source, struct error **err)
{
    _cleanup_fclose_ FILE *in = fopen(source, "re");
    struct stat st;
    if (in == NULL || fstat(fileno(in), &st) != 0) {
        return error_errno(err, STATUS_FILE, errno, "reading %s", source);
    }
    mode_t mode = (st.st_mode & 0111) != 0 ? 0755 : 0644;
    if (put_header(out, name, '0', mode, st.st_size, NULL, err) != 0) {
        return -1;
    }
    static _Thread_local char chunk[1 << 16];
    off_t done = 0;
    for (size_t n = fread(chunk, 1, sizeof chunk, in); n > 0; n = fread(chunk, 1, sizeof chunk, in)) {
        if (put(out, chunk, n, err) != 0) {
            return -1;
        }
        done += (off_t)n;
    }
    if (done != st.st_size) {
        return error_new(err, STATUS_FILE, "%s changed while it was read", source);
    }
    return put_padding(out, done, err);
}

static int put_text(FILE *out, const char *name, const char *text, struct error **err)
{
    off_t size = (off_t)strlen(text);
    return put_header(out, name, '0', 0644, size, NULL, err) == 0 && put(out, text, strlen(text), err) == 0 &&
                   put_padding(out, size, err) == 0
               ? 0
               : -1;
}

static int put_end(FILE *out, struct error **err)
{
    static const char zeros[BLOCK * 2];
    return put(out, zeros, sizeof zeros, err) == 0 && fflush(out) == 0 ? 0 : -1;
}

static int write_layer(const struct archive_image *image, const char *path, struct error **err)
{
    _cleanup_fclose_ FILE *out = fopen(path, "we");
    if (out == NULL) {
        return error_errno(err, STATUS_FILE, errno, "writing %s", path);
    }
    for (size_t i = 0; i < image->n_files; i++) {
        const struct archive_file *f = &image->files[i];
        int r = f->source != NULL ? put_file(out, f->path, f->source, err)
                : f->target != NULL
                    ? put_header(out, f->path, '2', 0777, 0, f->target, err)
                    : put_header(out, f->path, '5', strcmp(f->path, "tmp") == 0 ? 01777 : 0755, 0, NULL, err);
        if (r != 0) {
            return -1;
        }
    }
    return put_end(out, err);
}

static char *config_text(const struct archive_image *image, const char *layer_hash)
{
    _cleanup_json_ json_t *config = json_pack(
        "{ss ss ss s{s[s]} s{ss s[o]} s[{ss ss}]}", "architecture", "amd64", "os", "linux", "created",
        "1970-01-01T00:00:00Z", "config", "Env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "rootfs", "type", "layers", "diff_ids", json_sprintf("sha256:%s", layer_hash), "history", "created",
        "1970-01-01T00:00:00Z", "created_by", "lab");
    if (image->entrypoint != NULL) {
        _cleanup_strv_ char **words = strv_split(image->entrypoint);
        json_t *entrypoint = json_array();
        for (char **word = words; *word != NULL; word++) {
            json_array_append_new(entrypoint, json_string(*word));
        }
        json_object_set_new(json_object_get(config, "config"), "Entrypoint", entrypoint);
    }
    return json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
}

static int write_archive(const struct archive_image *image, const char *layer, const char *path, struct error **err)
{
    _cleanup_free_ char *layer_hash = NULL;
    if (sha256_file(layer, &layer_hash, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *config = config_text(image, layer_hash);
    _cleanup_free_ char *config_hash = sha256_hex(config, strlen(config));
    _cleanup_free_ char *config_name = xasprintf("%s.json", config_hash);
    _cleanup_free_ char *layer_name = xasprintf("%s/layer.tar", layer_hash);
    _cleanup_json_ json_t *manifest =
        json_pack("[{ss s[s] s[s]}]", "Config", config_name, "RepoTags", image->reference, "Layers", layer_name);
    _cleanup_free_ char *manifest_text = json_dumps(manifest, JSON_COMPACT);
    _cleanup_fclose_ FILE *out = fopen(path, "we");
    if (out == NULL) {
        return error_errno(err, STATUS_FILE, errno, "writing %s", path);
    }
    return put_text(out, config_name, config, err) == 0 && put_file(out, layer_name, layer, err) == 0 &&
                   put_text(out, "manifest.json", manifest_text, err) == 0 && put_end(out, err) == 0
               ? 0
               : -1;
}

int archive_write(const struct archive_image *image, const char *path, struct error **err)
{
    _cleanup_free_ char *layer = xasprintf("%s.layer", path);
    _cleanup_free_ char *beside = xasprintf("%s.new", path);
    int r = write_layer(image, layer, err) == 0 && write_archive(image, layer, beside, err) == 0 ? 0 : -1;
    (void)unlink(layer);
    if (r == 0 && rename(beside, path) != 0) {
        r = error_errno(err, STATUS_FILE, errno, "renaming %s", beside);
    }
    if (r != 0) {
        (void)unlink(beside);
        return error_wrap(err, "image %s", image->reference);
    }
    return 0;
}

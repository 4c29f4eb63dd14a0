#include "bake/fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "bake/bake.h"
#include "bake/fetch/bake_cache.h"
#include "bake/progress.h"
#include "bake/root/hash.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

#define TRIES 5 /* none of which brought the file further than it had been */
#define CONNECT_S 15L
#define STALLED_S 30L /* with less than a byte a second for that long, a transfer is tried again */
#define POLL_MS 1000

enum phase { WAITING, RUNNING, DONE, BROKEN };

struct transfer {
    struct download *download;
    enum phase phase;
    CURL *easy;
    char *address, *part;
    int fd;
    int tries, write_errno;
    bool resumed;
    int64_t not_before; /* clock_ms */
    curl_off_t from, got, size;
    curl_off_t most; /* bytes that a try has ever brought the part to */
    char why[CURL_ERROR_SIZE];
    char *failure;
    int status;
};

struct batch {
    CURLM *multi;
    struct transfer *transfers;
    size_t n, done;
    const struct fetch_options *options;
    struct progress progress;
};

char *fetch_address(const char *mirror, const char *url)
{
    const char *rest = strstr(url, "://");
    if (str_empty(mirror) || rest == NULL) {
        return xstrdup(url);
    }
    return xasprintf("%s%s%s", mirror, str_ends(mirror, "/") ? "" : "/", rest + 3);
}

static size_t on_data(char *data, size_t size, size_t n, void *context)
{
    struct transfer *t = context;
    size_t len = size * n;
    for (size_t done = 0; done < len;) {
        ssize_t written = write(t->fd, data + done, len - done);
        if (written < 0 && errno != EINTR) {
            t->write_errno = errno;
            return CURL_WRITEFUNC_ERROR;
        }
        done += written < 0 ? 0 : (size_t)written;
    }
    t->got += (curl_off_t)len;
    return len;
}

/* The first option that libcurl does not take, or NULL. */
static const char *set_options(struct transfer *t)
{
    const char *refused = NULL;
#define SET(option, value)                                                                                             \
    do {                                                                                                               \
        if (refused == NULL && curl_easy_setopt(t->easy, option, value) != CURLE_OK) {                                 \
            refused = #option;                                                                                         \
        }                                                                                                              \
    } while (0)
    SET(CURLOPT_URL, t->address);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, str_starts(t->address, "https") ? "https" : "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, 10L);
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, STALLED_S);
    SET(CURLOPT_USERAGENT, "k8s-bake/" SUITE_VERSION);
    SET(CURLOPT_RESUME_FROM_LARGE, t->from);
    SET(CURLOPT_ERRORBUFFER, t->why);
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PRIVATE, t);
#undef SET
    return refused;
}

static void hang_up(struct batch *batch, struct transfer *t)
{
    if (t->easy != NULL) {
        curl_multi_remove_handle(batch->multi, t->easy);
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
    }
}

static void stop(struct batch *batch, struct transfer *t)
{
    hang_up(batch, t);
    util_closep(&t->fd);
    t->fd = -1;
}

/* Takes MESSAGE. */
static void give_up(struct batch *batch, struct transfer *t, int status, char *message)
{
    stop(batch, t);
    t->phase = BROKEN;
    t->status = status;
    t->failure = message;
    batch->done++;
    log_warning("%s: %s", t->download->name, message);
}

/* Whether the cache has it; then the download has its path. */
static bool in_cache(const struct fetch_options *options, struct download *download)
{
    _cleanup_free_ char *path =
        download->sha256 == NULL ? NULL : cache_path(options->cache, "sha256", download->sha256, NULL);
    if (path == NULL || access(path, R_OK) < 0) {
        return false;
    }
    download->got->path = STEAL(path);
    return true;
}

/* 1: the part is ours; 0: another bake is at it, which has it locked until it is whole or given up; -1: errno. */
static int open_part(struct transfer *t, struct stat *st)
{
    struct stat there;
    t->fd = open(t->part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (t->fd < 0 || fstat(t->fd, st) < 0) {
        return -1;
    }
    if (flock(t->fd, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK ? 0 : -1;
    }
    /* the other one may have renamed it just before */
    return fstat(t->fd, st) == 0 && stat(t->part, &there) == 0 && there.st_ino == st->st_ino ? 1 : 0;
}

static void start(struct batch *batch, struct transfer *t)
{
    struct stat st;
    if (in_cache(batch->options, t->download)) {
        t->phase = DONE;
        batch->done++;
        return;
    }
    int ours = open_part(t, &st);
    if (ours == 0) {
        stop(batch, t);
        t->not_before = clock_ms() + POLL_MS;
        return;
    }
    if (ours < 0) {
        give_up(batch, t, STATUS_FILE, xasprintf("cannot write %s: %s", t->part, strerrordesc_np(errno)));
        return;
    }
    t->from = st.st_size;
    t->resumed = st.st_size > 0;
    t->got = 0;
    t->why[0] = '\0';
    t->write_errno = 0;
    t->tries++;
    t->phase = RUNNING;
    t->easy = curl_easy_init();
    const char *refused = t->easy == NULL ? "to make a handle" : set_options(t);
    if (refused != NULL || curl_multi_add_handle(batch->multi, t->easy) != CURLM_OK) {
        give_up(batch, t, STATUS_FAILED,
                xasprintf("libcurl refuses %s", refused != NULL ? refused : "to start the transfer"));
        return;
    }
    log_debug("%s: requesting %s from byte %" CURL_FORMAT_CURL_OFF_T, t->download->name, t->address, t->from);
}

/* Counts the tries since one brought the file further than any before: a server that cuts every answer and cannot
 * resume never does. */
static void note_progress(struct transfer *t)
{
    curl_off_t reached = t->from + t->got;
    if (reached > t->most) {
        t->most = reached;
        t->tries = 1;
    }
}

/* From the beginning: what was kept of an earlier try is of no use. */
static void start_over(struct batch *batch, struct transfer *t)
{
    stop(batch, t);
    (void)unlink(t->part);
    t->phase = WAITING;
    t->not_before = 0;
}

static void take(struct batch *batch, struct transfer *t)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *found = NULL;
    const char *expected = t->download->sha256;
    hang_up(batch, t); /* the part stays locked until it has its name */
    if (sha256_file(t->part, &found, &why) < 0) {
        give_up(batch, t, STATUS_FILE, xstrdup(why->message));
        return;
    }
    if (expected != NULL && strcmp(found, expected) != 0) {
        if (t->resumed && t->tries < TRIES) {
            log_info("%s: what was resumed does not fit together, once more from the beginning", t->download->name);
            start_over(batch, t);
            return;
        }
        (void)unlink(t->part);
        give_up(batch, t, STATUS_CRYPTO,
                xasprintf("%s has the wrong SHA-256: expected %s, found %s (%" CURL_FORMAT_CURL_OFF_T " bytes)",
                          t->address, expected, found, t->got));
        return;
    }
    _cleanup_free_ char *path = cache_path(batch->options->cache, "sha256", found, &why);
    if (path == NULL || rename(t->part, path) < 0) {
        give_up(batch, t, STATUS_FILE, path == NULL ? xstrdup(why->message) : xasprintf("cannot make %s", path));
        return;
    }
    stop(batch, t);
    t->download->got->path = STEAL(path);
    free(t->download->got->sha256);
    t->download->got->sha256 = STEAL(found);
    t->phase = DONE;
    batch->done++;
    log_info("%s: %" CURL_FORMAT_CURL_OFF_T " bytes from %s", t->download->name, t->from + t->got, t->address);
}

static bool is_passing(CURLcode code, long http)
{
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
        return http == 408 || http == 429 || http >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static int64_t back_off_ms(const struct fetch_options *options, int tries)
{
    int64_t first = options->back_off_ms > 0 ? options->back_off_ms : 1000;
    unsigned char random = 0;
    if (getrandom(&random, 1, GRND_NONBLOCK) != 1) {
        random = 0;
    }
    return (first << (tries - 1)) + first * random / 1024;
}

static void finished(struct batch *batch, struct transfer *t, CURLcode code)
{
    long http = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &http);
    note_progress(t);
    if (code == CURLE_OK) {
        take(batch, t);
        return;
    }
    /* the server cannot resume, or has nothing past what is here */
    if (t->resumed && t->tries < TRIES && (code == CURLE_RANGE_ERROR || http == 416)) {
        start_over(batch, t);
        return;
    }
    _cleanup_free_ char *reason = t->write_errno != 0
                                      ? xasprintf("cannot write %s: %s", t->part, strerrordesc_np(t->write_errno))
                                      : xstrdup(t->why[0] != '\0' ? t->why : curl_easy_strerror(code));
    if (!is_passing(code, http) || t->tries >= TRIES) {
        give_up(batch, t, STATUS_FILE,
                xasprintf("%s: %s (try %d; %" CURL_FORMAT_CURL_OFF_T " bytes are kept)", t->address, reason, t->tries,
                          t->from + t->got));
        return;
    }
    int64_t wait = back_off_ms(batch->options, t->tries);
    log_info("%s: %s; next try in %.1f s", t->download->name, reason, (double)wait / 1000);
    stop(batch, t);
    t->phase = WAITING;
    t->not_before = clock_ms() + wait;
}

static int start_some(struct batch *batch)
{
    int64_t now = clock_ms();
    int64_t next = now + POLL_MS;
    long running = 0;
    for (size_t i = 0; i < batch->n; i++) {
        running += batch->transfers[i].phase == RUNNING;
    }
    for (size_t i = 0; i < batch->n; i++) {
        struct transfer *t = &batch->transfers[i];
        if (t->phase == WAITING && t->not_before > now) {
            next = t->not_before < next ? t->not_before : next;
        } else if (t->phase == WAITING && running < batch->options->jobs) {
            start(batch, t);
            running++;
        }
    }
    return (int)(next - now);
}

static void report(struct batch *batch)
{
    int64_t got = 0;
    int64_t size = 0;
    for (size_t i = 0; i < batch->n; i++) {
        struct transfer *t = &batch->transfers[i];
        curl_off_t length = -1;
        if (t->easy != NULL && curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
            length > 0) {
            t->size = t->from + length;
        }
        got += t->from + t->got;
        size += t->size > t->from + t->got ? t->size : t->from + t->got;
    }
    progress_show(&batch->progress, batch->done, batch->n, got, size);
}

static int run(struct batch *batch, struct error **err)
{
    while (batch->done < batch->n) {
        int wait = start_some(batch);
        int active = 0;
        int left = 0;
        curl_multi_perform(batch->multi, &active);
        for (CURLMsg *m = curl_multi_info_read(batch->multi, &left); m != NULL;
             m = curl_multi_info_read(batch->multi, &left)) {
            struct transfer *t = NULL;
            CURLcode code = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
            finished(batch, t, code);
            wait = 0;
        }
        report(batch);
        if (interrupt_check(err) < 0) {
            return -1;
        }
        struct curl_waitfd fd = {.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN};
        curl_multi_poll(batch->multi, &fd, fd.fd >= 0 ? 1 : 0, wait, NULL);
    }
    return 0;
}

static int failures(const struct batch *batch, struct error **err)
{
    _cleanup_buffer_ struct buffer text = {0};
    int status = STATUS_OK;
    size_t broken = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const struct transfer *t = &batch->transfers[i];
        if (t->phase == BROKEN) {
            buffer_printf(&text, "\n  %s: %s: %s", t->download->where, t->download->name, t->failure);
            status = status == STATUS_CRYPTO ? status : t->status;
            broken++;
        }
    }
    return broken == 0 ? 0
                       : error_new(err, status, "%zu of %zu downloads failed (those that did not are kept in %s):%s",
                                   broken, batch->n, batch->options->cache, text.data);
}

/* 1 when the cache has it, 0 when it must be fetched. */
static int look_up(struct transfer *t, const struct fetch_options *options, struct error **err)
{
    _cleanup_free_ char *url_hash = sha256_hex(t->download->url, strlen(t->download->url));
    _cleanup_free_ char *part = xasprintf("%s.part", t->download->sha256 != NULL ? t->download->sha256 : url_hash);
    if (in_cache(options, t->download)) {
        return 1;
    }
    if (options->offline) {
        return error_new(err, STATUS_FILE,
                         "%s: %s is not in the cache (%s/sha256/%s), and with --offline %s cannot be fetched",
                         t->download->where, t->download->name, options->cache,
                         t->download->sha256 == NULL ? "HASH" : t->download->sha256, t->download->url);
    }
    t->address = fetch_address(options->mirror, t->download->url);
    t->part = cache_path(options->cache, "part", part, err);
    return t->part == NULL ? -1 : 0;
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        stop(batch, &batch->transfers[i]);
        free(batch->transfers[i].address);
        free(batch->transfers[i].part);
        free(batch->transfers[i].failure);
    }
    free(batch->transfers);
    if (batch->multi != NULL) {
        curl_multi_cleanup(batch->multi);
    }
    progress_end(&batch->progress);
}

int fetch_all(struct download *downloads, size_t n, const struct fetch_options *options, struct error **err)
{
    _cleanup_(batch_free) struct batch batch = {.options = options};
    batch.transfers = xcalloc(n + 1, sizeof *batch.transfers);
    for (size_t i = 0; i < n; i++) {
        struct transfer *t = &batch.transfers[batch.n];
        *t = (struct transfer){.download = &downloads[i], .fd = -1};
        int cached = look_up(t, options, err);
        batch.n += cached == 0;
        if (cached < 0) {
            return -1;
        }
    }
    if (batch.n == 0) {
        return 0;
    }
    batch.multi = curl_multi_init();
    progress_begin(&batch.progress);
    return run(&batch, err) < 0 ? -1 : failures(&batch, err);
}

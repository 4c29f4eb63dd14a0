#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/stream.h"

#define CHUNK ((size_t)2 << 20)
#define WAIT_S 10

/* Records of one tag on their way: [tag, [[time, record]...], {"size": N}]. */
struct waiting {
    char *tag;
    struct buffer entries;
    unsigned long records;
    int tries;
    long next; /* when it is tried again; not 0: nothing is added */
    struct waiting *after;
};

struct target {
    size_t index; /* of its section */
    pthread_mutex_t lock;
    struct waiting *first, **end;
};

static struct target *targets;
static size_t n_targets;

/* MessagePack (github.com/msgpack/msgpack, spec.md): a type, and BYTES of VALUE, the highest first. */
static void put_number(struct buffer *out, unsigned char type, uint64_t value, size_t bytes)
{
    buffer_append(out, (const char *)&type, 1);
    for (size_t i = bytes; i > 0; i--) {
        unsigned char byte = (unsigned char)(value >> (8 * (i - 1)));
        buffer_append(out, (const char *)&byte, 1);
    }
}

static void put_text(struct buffer *out, const char *text, size_t length)
{
    put_number(out, length < 256 ? 0xd9 : 0xdb, length, length < 256 ? 1 : 4);
    buffer_append(out, text, length);
}

static void put_value(struct buffer *out, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    double real = json_real_value(value);
    uint64_t bits;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_number(out, 0xdf, json_object_size(value), 4);
        json_object_foreach ((json_t *)value, key, member) {
            put_text(out, key, strlen(key));
            put_value(out, member);
        }
        break;
    case JSON_ARRAY:
        put_number(out, 0xdd, json_array_size(value), 4);
        json_array_foreach (value, i, member) {
            put_value(out, member);
        }
        break;
    case JSON_STRING:
        put_text(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        put_number(out, 0xd3, (uint64_t)json_integer_value(value), 8);
        break;
    case JSON_REAL:
        memcpy(&bits, &real, sizeof bits);
        put_number(out, 0xcb, bits, 8);
        break;
    default:
        put_number(out, json_is_true(value) ? 0xc3 : json_is_false(value) ? 0xc2 : 0xc0, 0, 0);
    }
}

/* [time, record]; the time is an extension of type 0: seconds and nanoseconds. */
static void put_entry(struct buffer *out, struct timespec when, const json_t *record)
{
    put_number(out, 0x92, 0, 0);
    put_number(out, 0xd7, 0, 1);
    for (int i = 3; i >= 0; i--) {
        unsigned char byte = (unsigned char)((uint64_t)when.tv_sec >> (8 * i));
        buffer_append(out, (const char *)&byte, 1);
    }
    for (int i = 3; i >= 0; i--) {
        unsigned char byte = (unsigned char)((uint64_t)when.tv_nsec >> (8 * i));
        buffer_append(out, (const char *)&byte, 1);
    }
    put_value(out, record);
}

static bool send_waiting(const struct target *target, const struct waiting *waiting)
{
    const struct section *section = &sections[target->index];
    struct buffer message = {0};
    json_t *options = json_pack("{sI}", "size", (json_int_t)waiting->records);
    put_number(&message, 0x93, 0, 0);
    put_text(&message, waiting->tag, strlen(waiting->tag));
    put_number(&message, 0xdd, waiting->records, 4);
    buffer_append(&message, waiting->entries.data, waiting->entries.len);
    put_value(&message, options);
    json_decref(options);
    struct stream *s = stream_connect(conf_text(section, "host", "127.0.0.1"),
                                      number_of(conf_text(section, "port", "24224")), false, NULL, WAIT_S);
    bool sent = s != NULL && stream_write(s, message.data, message.len);
    stream_close(s);
    buffer_free(&message);
    return sent;
}

static void drop_first(struct target *target)
{
    struct waiting *first = target->first;
    target->first = first->after;
    if (target->first == NULL) {
        target->end = &target->first;
    }
    free(first->tag);
    buffer_free(&first->entries);
    free(first);
}

/* In their order: one that is tried again keeps the others of this target waiting, of which real ones have more at
 * once. */
static void flush(struct target *target)
{
    struct counters *count = &counters[target->index];
    for (;;) {
        (void)pthread_mutex_lock(&target->lock);
        struct waiting *first = target->first;
        bool due = first != NULL && first->next <= now_s();
        if (due) {
            first->next = 1;
        }
        (void)pthread_mutex_unlock(&target->lock);
        if (!due) {
            return;
        }
        bool sent = send_waiting(target, first);
        (void)pthread_mutex_lock(&target->lock);
        long limit = conf_retry_limit(&sections[target->index]);
        first->tries++;
        if (sent) {
            count->sent += first->records;
            drop_first(target);
        } else if (limit >= 0 && first->tries > limit) {
            say("[output:forward] chunk cannot be retried: %lu records are given up", first->records);
            count->errors++;
            count->failed++;
            count->dropped += first->records;
            drop_first(target);
        } else {
            count->errors++;
            count->retries++;
            first->next = now_s() + conf_retry_wait(first->tries);
        }
        (void)pthread_mutex_unlock(&target->lock);
    }
}

static void *flush_all(void *data)
{
    double interval = strtod(conf_text(conf_service(), "flush", "5"), NULL);
    for (;;) {
        (void)usleep((useconds_t)(interval * 1e6));
        flush(data);
    }
    return NULL;
}

static void put_waiting(struct target *target, const char *tag, struct timespec when, const json_t *record)
{
    struct waiting *last = NULL;
    (void)pthread_mutex_lock(&target->lock);
    for (struct waiting *one = target->first; one != NULL; one = one->after) {
        if (one->next == 0 && one->entries.len < CHUNK && strcmp(one->tag, tag) == 0) {
            last = one;
        }
    }
    if (last == NULL) {
        last = xcalloc(1, sizeof *last);
        last->tag = xstrdup(tag);
        *target->end = last;
        target->end = &last->after;
    }
    put_entry(&last->entries, when, record);
    last->records++;
    (void)pthread_mutex_unlock(&target->lock);
}

void forward_take(const char *tag, struct timespec when, const json_t *record)
{
    for (size_t i = 0; i < n_targets; i++) {
        if (matches(conf_text(&sections[targets[i].index], "match", NULL), tag)) {
            put_waiting(&targets[i], tag, when, record);
        }
    }
}

void forward_out_start(void)
{
    targets = xcalloc(n_sections + 1, sizeof *targets);
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "OUTPUT") != 0 || strcasecmp(sections[i].name, "forward") != 0) {
            continue;
        }
        struct target *target = &targets[n_targets++];
        pthread_t thread;
        target->index = i;
        target->end = &target->first;
        (void)pthread_mutex_init(&target->lock, NULL);
        if (pthread_create(&thread, NULL, flush_all, target) != 0) {
            fail("making a thread failed");
        }
        (void)pthread_detach(thread);
    }
}

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/stream.h"

#define MAX_MESSAGE ((size_t)4 << 20)

/* MessagePack as the forward protocol sends it (github.com/msgpack/msgpack, spec.md). */
struct packed {
    const unsigned char *data;
    size_t length;
    bool cut; /* more is to come */
};

static uint64_t get_number(struct packed *in, size_t bytes)
{
    uint64_t value = 0;
    if (in->length < bytes) {
        in->cut = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | in->data[i];
    }
    in->data += bytes;
    in->length -= bytes;
    return value;
}

static json_t *get_text(struct packed *in, size_t length)
{
    if (in->length < length) {
        in->cut = true;
        return json_null();
    }
    json_t *text = json_stringn((const char *)in->data, length);
    in->data += length;
    in->length -= length;
    return text == NULL ? json_null() : text;
}

static json_t *get_value(struct packed *in, int depth);

static json_t *get_list(struct packed *in, size_t n, bool pairs, int depth)
{
    json_t *list = pairs ? json_object() : json_array();
    for (size_t i = 0; i < n && !in->cut; i++) {
        _cleanup_json_ json_t *key = pairs ? get_value(in, depth + 1) : NULL;
        json_t *value = in->cut ? json_null() : get_value(in, depth + 1);
        if (!pairs) {
            json_array_append_new(list, value);
        } else if (json_is_string(key)) {
            json_object_set_new(list, json_string_value(key), value);
        } else {
            json_decref(value);
        }
    }
    return list;
}

/* An extension of type 0 is a time: seconds and nanoseconds. */
static json_t *get_extension(struct packed *in, size_t length)
{
    (void)get_number(in, 1);
    if (length == 8) {
        uint64_t seconds = get_number(in, 4);
        uint64_t nanoseconds = get_number(in, 4);
        return json_real((double)seconds + (double)nanoseconds / 1e9);
    }
    json_decref(get_text(in, length));
    return json_null();
}

static json_t *get_sized(struct packed *in, unsigned char type, int depth)
{
    switch (type) {
    case 0xc2:
    case 0xc3:
        return json_boolean(type == 0xc3);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return json_integer((json_int_t)get_number(in, (size_t)1 << (type - 0xcc)));
    case 0xd0:
        return json_integer((int8_t)get_number(in, 1));
    case 0xd1:
        return json_integer((int16_t)get_number(in, 2));
    case 0xd2:
        return json_integer((int32_t)get_number(in, 4));
    case 0xd3:
        return json_integer((int64_t)get_number(in, 8));
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return get_text(in, (size_t)get_number(in, (size_t)1 << (type - 0xc4)));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return get_text(in, (size_t)get_number(in, (size_t)1 << (type - 0xd9)));
    case 0xdc:
    case 0xdd:
        return get_list(in, (size_t)get_number(in, type == 0xdc ? 2 : 4), false, depth);
    case 0xde:
    case 0xdf:
        return get_list(in, (size_t)get_number(in, type == 0xde ? 2 : 4), true, depth);
    case 0xd7:
        return get_extension(in, 8);
    case 0xc7:
        return get_extension(in, (size_t)get_number(in, 1));
    case 0xcb: {
        uint64_t bits = get_number(in, 8);
        double real;
        memcpy(&real, &bits, sizeof real);
        json_t *number = json_real(real);
        return number == NULL ? json_null() : number;
    }
    default:
        return json_null();
    }
}

static json_t *get_value(struct packed *in, int depth)
{
    unsigned char type = (unsigned char)get_number(in, 1);
    if (in->cut || depth > 32) {
        in->cut = true;
        return json_null();
    }
    if (type < 0x80 || type >= 0xe0) {
        return json_integer((int8_t)type);
    }
    if (type < 0x90) {
        return get_list(in, type & 0x0f, true, depth);
    }
    if (type < 0xa0) {
        return get_list(in, type & 0x0f, false, depth);
    }
    return type < 0xc0 ? get_text(in, type & 0x1f) : get_sized(in, type, depth);
}

static size_t section_index;

static void take_record(const char *tag, const json_t *time, json_t *record)
{
    double seconds = json_number_value(time);
    struct timespec when = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    _cleanup_free_ char *name = xasprintf("%s%s", conf_text(&sections[section_index], "tag_prefix", ""), tag);
    if (json_is_object(record)) {
        emit(section_index, name, when, json_incref(record));
    }
}

/* [tag, time, record] or [tag, [[time, record]...]] */
static void take_message(const json_t *message)
{
    const char *tag = json_string_value(json_array_get(message, 0));
    json_t *second = json_array_get(message, 1);
    size_t i;
    json_t *entry;
    if (tag == NULL) {
        say("[input:forward] not a message of the forward protocol");
    } else if (json_is_array(second)) {
        json_array_foreach (second, i, entry) {
            take_record(tag, json_array_get(entry, 0), json_array_get(entry, 1));
        }
    } else {
        take_record(tag, second, json_array_get(message, 2));
    }
}

static void *serve(void *data)
{
    struct stream *s = data;
    struct buffer in = {0};
    char chunk[16384];
    for (ssize_t n = stream_read(s, chunk, sizeof chunk); n > 0 && in.len < MAX_MESSAGE;
         n = stream_read(s, chunk, sizeof chunk)) {
        buffer_append(&in, chunk, (size_t)n);
        for (;;) {
            struct packed packed = {(const unsigned char *)in.data, in.len, false};
            _cleanup_json_ json_t *message = in.len == 0 ? NULL : get_value(&packed, 0);
            if (message == NULL || packed.cut) {
                break;
            }
            take_message(message);
            memmove(in.data, packed.data, packed.length);
            in.len = packed.length;
        }
    }
    buffer_free(&in);
    stream_close(s);
    return NULL;
}

static void *accept_all(void *data)
{
    int listener = *(const int *)data;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct stream *s = fd < 0 ? NULL : stream_accept(fd, NULL, 3600);
        pthread_t thread;
        if (s != NULL && pthread_create(&thread, NULL, serve, s) == 0) {
            (void)pthread_detach(thread);
        }
    }
    return NULL;
}

void forward_start(size_t index)
{
    static int listener;
    pthread_t thread;
    section_index = index;
    listener = listen_tcp(number_of(conf_text(&sections[index], "port", "24224")));
    if (pthread_create(&thread, NULL, accept_all, &listener) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}

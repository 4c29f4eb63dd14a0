#include "tests/lab/images/shared/protobuf.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void put_varint(struct buffer *out, uint64_t value)
{
    do {
        const unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        buffer_append(out, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_bytes(struct buffer *out, unsigned field, const char *data, size_t length)
{
    put_varint(out, field << 3 | LENGTH);
    put_varint(out, length);
    buffer_append(out, data == NULL ? "" : data, length);
}

void pb_number(struct buffer *out, unsigned field, uint64_t value)
{
    if (value != 0) {
        put_varint(out, field << 3 | VARINT);
        put_varint(out, value);
    }
}

void pb_text(struct buffer *out, unsigned field, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        put_bytes(out, field, text, strlen(text));
    }
}

void pb_message(struct buffer *out, unsigned field, const struct buffer *message)
{
    put_bytes(out, field, message->data, message->len);
}

void pb_map(struct buffer *out, unsigned field, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)map, key, value) {
        _cleanup_buffer_ struct buffer entry = {0};
        pb_text(&entry, 1, key);
        pb_text(&entry, 2, json_string_value(value));
        pb_message(out, field, &entry);
    }
}

static bool get_varint(const char **data, size_t *length, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *length > 0; shift += 7) {
        unsigned char byte = (unsigned char)**data;
        (*data)++;
        (*length)--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

bool pb_next(const char **data, size_t *length, struct pb_field *field)
{
    uint64_t key;
    *field = (struct pb_field){0};
    if (*length == 0 || !get_varint(data, length, &key)) {
        return false;
    }
    field->number = (unsigned)(key >> 3);
    size_t size = (key & 7) == FIXED64 ? 8 : (key & 7) == FIXED32 ? 4 : 0;
    if ((key & 7) == VARINT) {
        return get_varint(data, length, &field->value);
    }
    if ((key & 7) == LENGTH) {
        uint64_t n;
        if (!get_varint(data, length, &n)) {
            return false;
        }
        size = (size_t)n;
    }
    if (size > *length) {
        return false;
    }
    field->data = *data;
    field->length = size;
    *data += size;
    *length -= size;
    return true;
}

static bool find(const struct buffer *message, unsigned number, struct pb_field *field)
{
    const char *data = message->data;
    size_t length = message->len;
    while (pb_next(&data, &length, field)) {
        if (field->number == number) {
            return true;
        }
    }
    return false;
}

char *pb_find_text(const struct buffer *message, unsigned number)
{
    struct pb_field field;
    return find(message, number, &field) && field.data != NULL ? xstrndup(field.data, field.length) : xstrdup("");
}

uint64_t pb_find_number(const struct buffer *message, unsigned number)
{
    struct pb_field field;
    return find(message, number, &field) ? field.value : 0;
}

struct buffer pb_find_message(const struct buffer *message, unsigned number)
{
    struct pb_field field;
    if (!find(message, number, &field)) {
        return (struct buffer){0};
    }
    return (struct buffer){.data = (char *)field.data, .len = field.length};
}

json_t *pb_find_map(const struct buffer *message, unsigned number)
{
    json_t *map = json_object();
    struct pb_field field;
    const char *data = message->data;
    size_t length = message->len;
    while (pb_next(&data, &length, &field)) {
        if (field.number == number && field.data != NULL) {
            const struct buffer entry = {.data = (char *)field.data, .len = field.length};
            _cleanup_free_ char *key = pb_find_text(&entry, 1);
            _cleanup_free_ char *value = pb_find_text(&entry, 2);
            json_object_set_new(map, key, json_string(value));
        }
    }
    return map;
}

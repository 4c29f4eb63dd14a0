/* Protocol Buffers' wire format, as far as CSI's messages need it. */
#ifndef LAB_IMAGES_PROTOBUF_H
#define LAB_IMAGES_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/core/util.h"

void pb_number(struct buffer *out, unsigned field, uint64_t value); /* nothing for 0, as the format has it */
void pb_text(struct buffer *out, unsigned field, const char *text);
void pb_message(struct buffer *out, unsigned field, const struct buffer *message);
/* A map of texts. */
void pb_map(struct buffer *out, unsigned field, const json_t *map);

struct pb_field {
    unsigned number;
    uint64_t value;   /* of a number */
    const char *data; /* of a text or message, with its length */
    size_t length;
};
/* Takes the next field off DATA; false at the end and at what is malformed. */
bool pb_next(const char **data, size_t *length, struct pb_field *field);
/* The first text of FIELD in a message, "" when there is none; the caller frees. */
char *pb_find_text(const struct buffer *message, unsigned field);
uint64_t pb_find_number(const struct buffer *message, unsigned field);
/* The first message of FIELD, empty when there is none; borrowed from MESSAGE. */
struct buffer pb_find_message(const struct buffer *message, unsigned field);

/* The entries of FIELD, a map of texts, as an object; a new reference. */
json_t *pb_find_map(const struct buffer *message, unsigned field);

#endif

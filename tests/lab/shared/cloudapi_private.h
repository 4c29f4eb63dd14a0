/* What the parts of the cloud API's stand-in share. */
#ifndef TESTS_LAB_SHARED_CLOUDAPI_PRIVATE_H
#define TESTS_LAB_SHARED_CLOUDAPI_PRIVATE_H

#include <stddef.h>
#include <time.h>

#include <jansson.h>

/* One parameter of a request, decoded. */
struct cloudapi_argument {
    char *name, *value;
};

struct cloudapi_arguments {
    struct cloudapi_argument *list;
    size_t count;
};

const char *cloudapi_argument(const struct cloudapi_arguments *arguments, const char *name);

/* 0, or the API's ret_code for what is wrong with the request, and *message why. */
int cloudapi_verify(const struct cloudapi_arguments *arguments, const json_t *data, time_t now, const char **message);

/* The answer to a request that is in order; a new reference. */
json_t *cloudapi_answer(const struct cloudapi_arguments *arguments, const json_t *data);

#endif

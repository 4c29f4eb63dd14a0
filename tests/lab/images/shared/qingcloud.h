/* The cloud's API as its public SDK calls it: signed GET requests, polled jobs, errors in its words. */
#ifndef LAB_IMAGES_QINGCLOUD_H
#define LAB_IMAGES_QINGCLOUD_H

#include <stdbool.h>

#include <jansson.h>

/* Reads the file that the SDK reads (qy_access_key_id, qy_secret_access_key, zone, host, port, protocol, uri). Ends the
 * program when something is missing, empty or of another kind. */
void qingcloud_open(const char *path);
const char *qingcloud_zone(void);
const char *qingcloud_key(void);

/* PARAMETERS (taken; NULL: none) is an object: texts and integers by their name, an array of texts as NAME.1, NAME.2,
 * an array of objects as NAME.1.MEMBER; what is null is left out. The answer when its ret_code is 0, a new reference;
 * else NULL and *WHY, which the caller frees. */
json_t *qingcloud_call(const char *action, json_t *parameters, char **why);

/* Until the job is over; false and *WHY when it failed or went on for three minutes. The SDK waits a whole interval
 * before it asks for the first time; that is a second here, and 2 to 10 in the programs these stand for. */
bool qingcloud_wait(const char *job, char **why);

#endif

#ifndef LAB_IMAGES_YAML_H
#define LAB_IMAGES_YAML_H

#include <jansson.h>

/* A file of one YAML document as JSON: plain scalars that are numbers, true, false and null become those. The program
 * ends when it does not parse. */
json_t *yaml_read(const char *path);

#endif

/* Which volumes the cluster's machines take, and the storage classes that follow. */
#ifndef APP_FACTS_STORAGE_TYPES_H
#define APP_FACTS_STORAGE_TYPES_H

#include <stdbool.h>

#include <jansson.h>

#include "app/facts/facts.h"

/* No class is known. */
enum { CLASS_UNKNOWN = -1 };

/* Whether the CSI driver attaches a volume of TYPE to an instance of CLASS (yunify/qingcloud-csi v1.1.1,
 * pkg/disk/driver/types.go). */
bool volume_type_attaches(int type, int class);

/* The type of volume for instances of CLASS in a zone: the class's own, and where VALID (the zone's types, ended by -1;
 * NULL or empty: not known) leaves that out the next best. CAPACITY: large and slow. -1 where there is none. */
int volume_type_for(int class, bool capacity, const int *valid);

/* The instance class of the hosts of ROLE: CLASSES (role: number, what the cloud's API answered; may be NULL), else the
 * metadata, else that of the app's package. */
int instance_class_of(const struct facts *facts, const json_t *classes, const char *role);

/* `storage` of the context: its list `classes` of {name, default, type, restricted, instance_types, capacity}. The
 * first is qingcloud-storageclass, of the ordinary nodes' type (without any, of the ssd_nodes', else of the master's),
 * the second qingcloud-storageclass-capacity; where node and ssd_node take different types, one more for each type.
 * restricted: there are hosts that do not take the type, so pods must be kept on instance_types, which do. */
json_t *facts_storage(const struct facts *facts, const json_t *classes);

#endif

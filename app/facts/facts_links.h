/* Parts of facts_load: what lies outside the cluster's own hosts. For lib/facts*.c alone. */
#ifndef APP_FACTS_FACTS_LINKS_H
#define APP_FACTS_FACTS_LINKS_H

#include "app/facts/facts.h"
#include "app/facts/parameters.h"

/* Where logs go and where etcd is, from /links and the parameters; and vertical-scaling-roles. */
int facts_read_links(struct facts *facts, const json_t *tree, struct problems *problems, struct error **err);

/* <opt>/versions.json, or the one beside the bin/ the running binary lies in; an empty object when there is none. */
int facts_read_versions(struct facts *facts, const struct conf *conf, struct error **err);

/* Every FROM in S becomes TO. */
void replace_char(char *s, char from, char to);

#endif

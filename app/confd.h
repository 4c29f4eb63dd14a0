/* The part of the agent's configuration (confd.toml, written by AppCenter) that names where the metadata servers are.
 */
#ifndef APP_CONFD_H
#define APP_CONFD_H

/* The strings of the `nodes = ["http://IP:PORT", ...]` entry in TEXT, "http://" put before those without a scheme.
 * Never NULL; empty when there is no such entry. Freed by strv_free. */
char **confd_parse_nodes(const char *text);

/* The same from a file; empty when it cannot be read. */
char **confd_nodes(const char *path);

#endif

/* Stands for a node of Elasticsearch 7: documents in its data directory, dynamic mappings as strict as the real ones
 * (elastic/elasticsearch, 7.10: server, index/mapper), the part of the API that the hooks, Fluent Bit and Kibana use.
 */
#ifndef LAB_IMAGES_ELASTICSEARCH_H
#define LAB_IMAGES_ELASTICSEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "tests/lab/images/shared/http.h"

#define VERSION "7.10.2"

struct index {
    char *name;
    json_t *mapping; /* fields by dotted path: their types */
    json_t *ids;     /* those that documents were given */
    unsigned long long documents;
    unsigned long long lines; /* in its file */
};

/* NULL, or why NAME cannot be an index's. */
const char *index_name_problem(const char *name);

struct document {
    const char *id; /* NULL: a new one */
    bool creates;   /* not over one that is there */
    const json_t *source;
};

/* The copies of indices below the current directory. One thread at a time. */
void store_load(
    const json_t *known); /* those of KNOWN, {name: index} of the state; others are dangling and left alone */
size_t store_count(void);
struct index *store_at(size_t i);
struct index *store_find(const char *name);
struct index *store_open(const char *name); /* a new one */
void store_delete(struct index *index);
/* DYNAMIC: the index's dynamic templates. The status (201, 200, 400, 409); *PROBLEM (may be NULL) is then the error
 * object of the answer, *LINE (NULL when nothing was written) what another copy is given by store_add. */
int store_put(struct index *index, const json_t *dynamic, const struct document *document, char **line,
              json_t **problem);
void store_add(struct index *index, const json_t *dynamic, const char *line);
json_t *store_lines(const struct index *index);
/* Each document of INDEX as {"_id", "_source"} until TAKE returns false. */
void store_each(const struct index *index, bool (*take_one)(const json_t *document, void *data), void *data);

/* Fits DOCUMENT into MAPPING, which learns its new fields as DYNAMIC (templates) says; NULL, or the error object.
 * Nothing is learnt of a document that does not fit. */
json_t *mapping_take(json_t *mapping, const json_t *dynamic, const json_t *document);

/* Index templates: GET, PUT and DELETE of /_template/NAME. */
void templates_answer(const struct http_request *request, const char *name, struct http_reply *reply);
/* The dynamic templates of an index NAME that is made in STATE: a new list. */
json_t *templates_dynamic(const json_t *state, const char *name);
/* What is wrong with a mapping as of 7, {"dynamic_templates": [...]}: an error object, or NULL. */
json_t *mapping_problem(const json_t *mapping);

/* An error object: {"type", "reason"}. */
json_t *es_error(const char *type, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Indices of ITEMS (as shards_write has them) that are not there yet. */
void make_indices(const json_t *items);
void bulk(const char *index, const struct http_request *request, struct http_reply *reply);
void get_cat(const struct http_request *request, const char *what, struct http_reply *reply);
void get_health(const struct http_request *request, struct http_reply *reply);
void voting_exclusions(const struct http_request *request, struct http_reply *reply);
/* An answer that is an error; ERROR is released. */
void refuse(struct http_reply *reply, int status, json_t *error);
/* What becomes of a change: acknowledged, or PROBLEM (released), which may be NULL. */
void reply_acknowledged(struct http_reply *reply, json_t *problem);
json_t *names_of(const char *list); /* of the indices in the state: [name] */
json_t *search_store(const json_t *query, const json_t *names);
void search(const char *indices, const struct http_request *request, struct http_reply *reply);
bool name_in_list(const char *list, const char *name); /* names and patterns with commas between; "", "_all": all */
char *query_value(const struct http_request *request, const char *name); /* the caller frees; NULL: not there */
http_handler es_answer;

#endif

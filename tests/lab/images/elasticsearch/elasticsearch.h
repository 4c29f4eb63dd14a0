/* Stands for one node of Elasticsearch 7: documents in its data directory, dynamic mappings as strict as the real ones
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
    json_t *mapping;  /* fields by dotted path: their types */
    json_t *ids;      /* those that documents were given */
    json_t *settings; /* flat: "index.number_of_replicas" */
    json_t *dynamic;  /* its dynamic templates */
    unsigned long long documents;
};

/* NULL, or why NAME cannot be an index's. */
const char *index_name_problem(const char *name);

/* The store below the current directory. One thread at a time. */
void store_load(void);
size_t store_count(void);
struct index *store_at(size_t i);
struct index *store_find(const char *name);
struct index *store_make(const char *name);
/* As set, else one where there is more than one node. */
const char *store_replicas(const struct index *index);
void store_delete(struct index *index);
/* INDEX has the dynamic templates LIST from now on, in the place of those it had. */
void store_set_dynamic(struct index *index, const json_t *list);
/* Adds SOURCE under ID (NULL: a new one); CREATES: not over one that is there. The status (201, 200, 400, 409);
 * *PROBLEM (may be NULL) is then the error object of the answer, the caller's. */
int store_put(struct index *index, const char *id, bool creates, const json_t *source, json_t **problem);
/* Each document of INDEX as {"_id", "_source"} until TAKE returns false. */
void store_each(const struct index *index, bool (*take)(const json_t *document, void *data), void *data);

/* Fits DOCUMENT into MAPPING, which learns its new fields as DYNAMIC (templates) says; NULL, or the error object.
 * Nothing is learnt of a document that does not fit. */
json_t *mapping_take(json_t *mapping, const json_t *dynamic, const json_t *document);

/* Index templates, kept beside the indices: GET, PUT and DELETE of /_template/NAME. */
void templates_load(void);
void templates_answer(const struct http_request *request, const char *name, struct http_reply *reply);
/* The dynamic templates of an index NAME that is made: a new list. */
json_t *templates_dynamic(const char *name);
/* What is wrong with a mapping as of 7, {"dynamic_templates": [...]}: an error object, or NULL. */
json_t *mapping_problem(const json_t *mapping);

/* An error object: {"type", "reason"}. */
json_t *es_error(const char *type, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct node {
    const char *name;
    int nodes;        /* of the cluster, as the settings say */
    json_t *members;  /* their names */
    json_t *settings; /* of the cluster, "persistent" */
};
extern struct node node;

void bulk(const char *index, const struct http_request *request, struct http_reply *reply);
void search(const char *indices, const struct http_request *request, struct http_reply *reply);
bool name_in_list(const char *list, const char *name); /* names and patterns with commas between; "", "_all": all */
char *query_value(const struct http_request *request, const char *name); /* the caller frees; NULL: not there */
http_handler es_answer;

#endif

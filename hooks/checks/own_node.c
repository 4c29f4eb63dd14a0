#include "hooks/checks/own_node.h"

#include <pthread.h>

#include "hooks/engine/run.h"

struct own_node {
    pthread_mutex_t lock; /* held while the object is fetched */
    size_t holders;
    bool fetched;
    json_t *object;
    struct error *failure;
};

struct own_node *own_node_new(void)
{
    struct own_node *node = xcalloc(1, sizeof *node);
    pthread_mutex_init(&node->lock, NULL);
    node->holders = 1;
    return node;
}

struct own_node *own_node_ref(struct own_node *node)
{
    __atomic_add_fetch(&node->holders, 1, __ATOMIC_RELAXED);
    return node;
}

void own_node_unref(struct own_node *node)
{
    if (node != NULL && __atomic_sub_fetch(&node->holders, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&node->lock);
        json_decref(node->object);
        error_free(node->failure);
        free(node);
    }
}

int own_node_get(const struct check_context *context, json_t **object, struct error **err)
{
    struct own_node *node = context->own_node;
    if (node == NULL) {
        return run_own_node(context->run, context->deadline, object, err);
    }
    int r = 0;
    pthread_mutex_lock(&node->lock);
    if (!node->fetched) {
        (void)run_own_node(context->run, context->deadline, &node->object, &node->failure);
        node->fetched = true;
    }
    if (node->object != NULL) {
        *object = json_incref(node->object);
    } else {
        r = error_new(err, node->failure->status, "%s", node->failure->message);
    }
    pthread_mutex_unlock(&node->lock);
    return r;
}

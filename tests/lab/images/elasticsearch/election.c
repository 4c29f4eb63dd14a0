#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

#define PORT 9300

enum { ROUND_MS = 500, FAILURES = 3, RECOVER_AFTER_S = 300 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_int_t voted_in; /* the term of this node's last vote */
static long last_said;

static json_int_t number_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Above 0 when A is of a later term than B, or of the same and a later version. */
static json_int_t ahead_of(const json_t *a, const json_t *b)
{
    json_int_t terms = number_at(a, "term") - number_at(b, "term");
    return terms != 0 ? terms : number_at(a, "version") - number_at(b, "version");
}

/* What a node says of itself to another. */
static json_t *introduction(const json_t *state)
{
    return json_pack("{ss ss ss sO sO sO sO}", "name", node.name, "address", node.address, "id", node.id, "uuid",
                     json_object_get(state, "uuid"), "term", json_object_get(state, "term"), "version",
                     json_object_get(state, "version"), "master", json_object_get(state, "master"));
}

/* Whether PEER is a node of STATE, and not one that has started again since. */
static bool has_node(const json_t *state, const json_t *peer)
{
    const json_t *about = json_object_get(json_object_get(state, "nodes"), text_at(peer, "name"));
    return about != NULL && strcmp(text_at(about, "id"), text_at(peer, "id")) == 0;
}

static json_t *answer_ping(const json_t *state, const json_t *peer)
{
    json_t *answer = introduction(state);
    json_object_set_new(answer, "knows", json_boolean(has_node(state, peer)));
    return answer;
}

static json_t *ping(const char *address)
{
    json_t *state = state_get();
    json_t *peer = transport_call(address, "/ping", introduction(state));
    json_decref(state);
    return peer;
}

/* PEERS: {name: introduction}. */
static void ping_into(json_t *peers, const char *address)
{
    json_t *peer = ping(address);
    const char *name = json_text(peer, "name");
    if (name != NULL && strcmp(text_at(peer, "id"), node.id) != 0) {
        json_object_set(peers, name, peer);
    }
    json_decref(peer);
}

static void ping_seed(json_t *peers, const char *seed)
{
    size_t len = strcspn(seed, ":");
    int port = seed[len] == ':' ? number_of(seed + len + 1) : PORT;
    _cleanup_free_ char *host = xstrndup(seed, len);
    _cleanup_strv_ char **addresses = host_addresses(host);
    for (char **one = addresses; *one != NULL; one++) {
        _cleanup_free_ char *address = xasprintf("%s:%d", *one, port);
        if (strcmp(address, node.address) != 0) {
            ping_into(peers, address);
        }
    }
}

static json_t *find_peers(const json_t *state)
{
    json_t *peers = json_object();
    const char *name;
    json_t *about;
    for (char **seed = node.seeds; *seed != NULL; seed++) {
        ping_seed(peers, *seed);
    }
    json_object_foreach (json_object_get((json_t *)state, "nodes"), name, about) {
        if (strcmp(name, node.name) != 0 && json_object_get(peers, name) == NULL) {
            ping_into(peers, text_at(about, "address"));
        }
    }
    return peers;
}

bool is_quorum(const json_t *voting, const json_t *nodes)
{
    size_t n = 0;
    size_t i;
    json_t *name;
    json_array_foreach (voting, i, name) {
        n += json_object_get(nodes, json_string_value(name)) != NULL;
    }
    return json_array_size(voting) > 0 && n * 2 > json_array_size(voting);
}

static json_t *initial_voting(void)
{
    json_t *voting = json_array();
    for (char **name = node.initial; *name != NULL; name++) {
        json_array_append_new(voting, json_string(*name));
    }
    return voting;
}

/* Of another cluster: the real one refuses such a node's data for good. */
static bool same_cluster(const json_t *state, const json_t *peer)
{
    const char *mine = text_at(state, "uuid");
    const char *theirs = text_at(peer, "uuid");
    return mine[0] == '\0' || theirs[0] == '\0' || strcmp(mine, theirs) == 0;
}

/* 1: a master was found, and it has heard of this node. */
static bool join_found(const json_t *state, const json_t *peers)
{
    const char *name;
    json_t *peer;
    json_object_foreach ((json_t *)peers, name, peer) {
        if (strcmp(text_at(peer, "master"), name) != 0) {
            continue;
        }
        if (!same_cluster(state, peer)) {
            say("this node previously joined a cluster with UUID [%s] and is now trying to join a different cluster "
                "with UUID [%s]",
                text_at(state, "uuid"), text_at(peer, "uuid"));
            continue;
        }
        json_t *answer = transport_call(text_at(peer, "address"), "/join", introduction(state));
        bool taken = answer != NULL && json_object_get(answer, "error") == NULL;
        json_decref(answer);
        return taken;
    }
    return false;
}

/* Whether this node is the one of those that can be reached that should ask for votes. */
static bool should_stand(const json_t *state, const json_t *voting, const json_t *peers)
{
    json_t *alive = json_pack("{sb}", node.name, 1);
    const char *name;
    json_t *peer;
    bool mine = false;
    bool best = true;
    size_t i;
    json_t *voter;
    json_object_foreach ((json_t *)peers, name, peer) {
        bool fits = strcmp(text_at(state, "uuid"), text_at(peer, "uuid")) == 0;
        bool votes = false;
        json_array_foreach (voting, i, voter) {
            votes = votes || strcmp(json_string_value(voter), name) == 0;
        }
        if (!fits || !votes) {
            continue;
        }
        json_object_set_new(alive, name, json_true());
        json_int_t ahead = ahead_of(peer, state);
        best = best && (ahead < 0 || (ahead == 0 && strcmp(node.name, name) < 0));
    }
    json_array_foreach (voting, i, voter) {
        mine = mine || strcmp(json_string_value(voter), node.name) == 0;
    }
    bool quorum = is_quorum(voting, alive);
    json_decref(alive);
    return mine && best && quorum;
}

static json_t *with_master(const json_t *state, const json_t *voting, json_int_t term, json_t *nodes)
{
    json_t *next = json_deep_copy(state);
    if (text_at(state, "uuid")[0] == '\0') {
        json_object_set_new(next, "uuid", json_string(node.id));
    }
    json_object_set_new(next, "term", json_integer(term));
    json_object_set_new(next, "master", json_string(node.name));
    json_object_set_new(next, "nodes", nodes);
    json_object_set(next, "voting", (json_t *)voting);
    allocate(next);
    return next;
}

static void stand(const json_t *state, const json_t *voting, const json_t *peers)
{
    json_t *nodes = json_pack("{s{ss ss}}", node.name, "address", node.address, "id", node.id);
    const char *name;
    json_t *peer;
    (void)pthread_mutex_lock(&lock);
    json_int_t term = (voted_in > number_at(state, "term") ? voted_in : number_at(state, "term")) + 1;
    voted_in = term;
    (void)pthread_mutex_unlock(&lock);
    json_object_foreach ((json_t *)peers, name, peer) {
        json_t *question = introduction(state);
        json_object_set_new(question, "term_wanted", json_integer(term));
        json_t *answer = transport_call(text_at(peer, "address"), "/vote", question);
        if (json_is_true(json_object_get(answer, "granted"))) {
            json_object_set_new(nodes, name,
                                json_pack("{ss ss}", "address", text_at(peer, "address"), "id", text_at(peer, "id")));
        }
        json_decref(answer);
    }
    if (!is_quorum(voting, nodes)) {
        json_decref(nodes);
        return;
    }
    json_t *next = with_master(state, voting, term, nodes);
    if (master_publish(next)) {
        say("elected-as-master: term %lld", (long long)term);
    }
    json_decref(next);
}

/* One vote a term, for a state that is not behind this node's, and none where there is a master. */
static json_t *vote(const json_t *question)
{
    json_t *state = state_get();
    (void)pthread_mutex_lock(&lock);
    json_int_t wanted = number_at(question, "term_wanted");
    bool granted = wanted > voted_in && wanted > number_at(state, "term") && ahead_of(question, state) >= 0 &&
                   text_at(state, "master")[0] == '\0' &&
                   strcmp(text_at(state, "uuid"), text_at(question, "uuid")) == 0;
    if (granted) {
        voted_in = wanted;
    }
    (void)pthread_mutex_unlock(&lock);
    json_decref(state);
    return json_pack("{sb}", "granted", granted);
}

/* One after the other: of two that come at once the later one stays. */
static json_t *take_state(const json_t *state)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&one);
    json_t *mine = state_get();
    bool taken = ahead_of(state, mine) > 0 && same_cluster(mine, state);
    json_decref(mine);
    if (taken) {
        state_set((json_t *)state);
        shards_follow(state);
    }
    (void)pthread_mutex_unlock(&one);
    return json_pack("{sb}", "taken", taken);
}

static json_t *join(const json_t *peer)
{
    json_t *state = state_get();
    bool mine = state_is_mine(state);
    json_t *problem = NULL;
    json_decref(state);
    return mine && master_apply("join", peer, &problem) ? json_object()
                                                        : json_pack("{ss so*}", "error", "not joined", "why", problem);
}

json_t *election_take(const char *path, const json_t *body)
{
    json_t *state = state_get();
    json_t *answer = strcmp(path, "/ping") == 0      ? answer_ping(state, body)
                     : strcmp(path, "/vote") == 0    ? vote(body)
                     : strcmp(path, "/publish") == 0 ? take_state(body)
                     : strcmp(path, "/join") == 0    ? join(body)
                                                     : NULL;
    json_decref(state);
    return answer;
}

static void without_master(const json_t *state)
{
    json_t *lost = json_deep_copy(state);
    json_object_set_new(lost, "master", json_string(""));
    state_set(lost);
    json_decref(lost);
}

static void look_for_master(const json_t *state)
{
    bool fresh = text_at(state, "uuid")[0] == '\0';
    json_t *peers = find_peers(state);
    json_t *voting = fresh ? initial_voting() : json_incref(json_object_get(state, "voting"));
    if (join_found(state, peers)) {
        last_said = 0;
    } else if (should_stand(state, voting, peers)) {
        stand(state, voting, peers);
    } else if (now_s() - last_said >= 10) {
        _cleanup_free_ char *names = json_dumps(voting, 0);
        last_said = now_s();
        say(fresh ? "master not discovered yet, this node has not previously joined a bootstrapped (v7+) cluster, and "
                    "this node must discover master-eligible nodes %s to bootstrap a cluster; found %zu others"
                  : "master not discovered or elected yet, an election requires a majority of %s; found %zu others",
            names, json_object_size(peers));
    }
    json_decref(voting);
    json_decref(peers);
}

/* A master that gave this node up, or was elected again without it, has a later state that does not have it
 * (coordination.LeaderChecker: such a master refuses the check). */
static void follow_master(const json_t *state, int *failures)
{
    json_t *peer = ping(address_of(state, text_at(state, "master")));
    json_t *me = json_object_get(json_object_get(state, "nodes"), node.name);
    bool left_out = ahead_of(peer, state) > 0 && json_is_false(json_object_get(peer, "knows"));
    bool good = peer != NULL && strcmp(text_at(peer, "master"), text_at(peer, "name")) == 0 &&
                strcmp(text_at(me, "id"), node.id) == 0 && !left_out;
    json_decref(peer);
    *failures = good ? 0 : *failures + 1;
    if (*failures >= FAILURES) {
        say("master node [%s] failed, restarting discovery", text_at(state, "master"));
        without_master(state);
        *failures = 0;
    }
}

/* A node that did not take the last state in time gets it again (coordination.LagDetector). */
static void catch_up(const json_t *state, const json_t *peer)
{
    if (ahead_of(state, peer) > 0) {
        json_decref(transport_call(text_at(peer, "address"), "/publish", json_incref((json_t *)state)));
    }
}

/* FAILED: {name: how often a node gave no answer}. */
static void check_followers(const json_t *state, json_t *failed)
{
    const char *name;
    json_t *about;
    json_t *problem = NULL;
    json_object_foreach (json_object_get((json_t *)state, "nodes"), name, about) {
        if (strcmp(name, node.name) == 0) {
            continue;
        }
        json_t *peer = ping(text_at(about, "address"));
        bool good = peer != NULL && strcmp(text_at(peer, "id"), text_at(about, "id")) == 0;
        json_int_t n = good ? 0 : number_at(failed, name) + 1;
        if (good) {
            catch_up(state, peer);
        }
        json_decref(peer);
        json_object_set_new(failed, name, json_integer(n));
        if (n >= FAILURES) {
            json_t *left = json_pack("{ss}", "name", name);
            say("node-left: %s", name);
            (void)master_apply("leave", left, &problem);
            json_decref(left);
            json_decref(problem);
            json_object_del(failed, name);
            return; /* there is another state now */
        }
    }
}

static void recover_state(const json_t *state, long *since)
{
    int there = (int)json_object_size(json_object_get(state, "nodes"));
    bool enough = there >= node.recover_after;
    if (json_is_true(json_object_get(state, "recovered")) || !enough) {
        *since = enough ? *since : 0;
        return;
    }
    *since = *since == 0 ? now_s() : *since;
    if (there >= node.expected || now_s() - *since >= RECOVER_AFTER_S) {
        json_t *problem = NULL;
        json_t *none = json_object();
        (void)master_apply("recover", none, &problem);
        json_decref(none);
        json_decref(problem);
        *since = 0;
    }
}

static void round_once(json_t *failed)
{
    static int failures;
    static long since;
    json_t *state = state_get();
    if (state_is_mine(state)) {
        check_followers(state, failed);
        json_decref(state);
        state = state_get();
        if (state_is_mine(state)) {
            recover_state(state, &since);
        }
    } else if (text_at(state, "master")[0] != '\0') {
        follow_master(state, &failures);
    } else {
        since = 0;
        look_for_master(state);
    }
    json_decref(state);
    shards_recover();
}

static void *run(void *data)
{
    for (;;) {
        (void)usleep(ROUND_MS * 1000);
        round_once(data);
    }
    return NULL;
}

void election_start(void)
{
    pthread_t thread;
    json_t *failed = json_object();
    for (int i = 0; i < 3; i++) { /* one node alone is its own master at once */
        round_once(failed);
    }
    if (pthread_create(&thread, NULL, run, failed) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}

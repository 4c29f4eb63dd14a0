/* The key that Secrets are encrypted with in etcd: made once, and never replaced by one that cannot read them. The file
 * as it lies in a mount namespace with an empty /data. */
#include "tests/integration/control_plane/fixture.h"

#include <sys/stat.h>

#include "hooks/engine/stamp.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"

#define CONFIGURATION "/data/kubernetes/pki/encryption.yaml"
#define MANIFEST "/data/kubernetes/manifests/kube-apiserver.yaml"
#define STAMP "/data/kubernetes/hooks/stamps/encryption"

static char *key;      /* the file that was made */
static char *key_name; /* of the first key in it */

/* As the runner does it. */
static int run_step(const struct step *step, struct error **err)
{
    struct run run = new_run();
    int done = step->done == NULL ? 0 : step->done(&run, err);
    return done != 0 ? done : step->apply(&run, err);
}

/* "absent" where there is none. The caller frees. */
static char *text_of(const char *path)
{
    _cleanup_free_ char *text = NULL;
    return xstrdup(file_read(path, 0, &text, NULL, NULL) == 0 ? text : "absent");
}

/* The caller frees. */
static char *first_key_of(const char *text)
{
    const char *name = strstr(text, "key-");
    assert_non_null(name);
    return xstrndup(name, strcspn(name, "\""));
}

/* A cluster whose key was made and recorded, as `encrypt Secrets` does it. */
static int new_cluster(void **state)
{
    (void)state;
    new_data_of("16m");
    assert_int_equal(run_step(&step_generate_encryption_key, NULL), 0);
    key = text_of(CONFIGURATION);
    key_name = first_key_of(key);
    put(STAMP, key_name);
    return 0;
}

static int end_cluster(void **state)
{
    free(STEAL(key));
    free(STEAL(key_name));
    return drop_data(state);
}

/* The event ends here, says what to do, and changed nothing. */
static void assert_refused(const char *problem)
{
    struct error *err = NULL;
    _cleanup_free_ char *before = text_of(CONFIGURATION);
    assert_int_equal(run_step(&step_generate_encryption_key, &err), -1);
    assert_non_null(strstr(err->message, CONFIGURATION + strlen("/data")));
    assert_non_null(strstr(err->message, problem));
    assert_non_null(strstr(err->message, "put the file back, or run `k8s-master restore`"));
    error_free(err);
    _cleanup_free_ char *after = text_of(CONFIGURATION);
    assert_string_equal(before, after);
}

static void a_new_cluster_gets_one_private_key(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(run_step(&step_generate_encryption_key, NULL), 1);
    _cleanup_free_ char *again = text_of(CONFIGURATION);
    assert_string_equal(key, again);
    assert_int_equal(stat(CONFIGURATION, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Either evidence is enough. */
static void a_lost_key_is_not_replaced(void **state)
{
    (void)state;
    assert_int_equal(unlink(CONFIGURATION), 0);
    assert_refused("this cluster's Secrets are encrypted with it");
    assert_int_equal(unlink(STAMP), 0);
    put(MANIFEST, "    - --encryption-provider-config=/etc/kubernetes/pki/encryption.yaml\n");
    assert_refused("this cluster's Secrets are encrypted with it");
    put(CONFIGURATION, key);
    assert_int_equal(run_step(&step_generate_encryption_key, NULL), 1);
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "kind: EncryptionConfiguration\n",
                                        "{\"resources\": [{\"providers\": [{\"secretbox\": {\"keys\": []}}]}]}"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        put(CONFIGURATION, texts[i]);
        assert_refused("does not hold the keys");
    }
}

static void the_key_of_another_cluster_is_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *other =
        xasprintf("{\"resources\": [{\"providers\": [{\"secretbox\": {\"keys\": [{\"name\": \"key-19990101t000000z\", "
                  "\"secret\": \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}]}}]}]}");
    put(CONFIGURATION, other);
    assert_refused(key_name);
    put(CONFIGURATION, key);
    assert_int_equal(run_step(&step_generate_encryption_key, NULL), 1);
}

/* Until Secrets are encrypted with the new key, the record names the old one, which the file still holds. */
static void a_rotation_that_is_not_finished_goes_on(void **state)
{
    (void)state;
    /* names have the second in them */
    _cleanup_free_ char *renamed = xstrdup(key);
    strstr(renamed, "key-")[strlen("key-")] = '1';
    _cleanup_free_ char *old_name = first_key_of(renamed);
    put(CONFIGURATION, renamed);
    put(STAMP, old_name);
    assert_int_equal(run_step(&step_rotate_encryption_key, NULL), 0);
    _cleanup_free_ char *rotated = text_of(CONFIGURATION);
    assert_string_not_equal(rotated, renamed);
    assert_non_null(strstr(rotated, old_name));
    assert_int_equal(run_step(&step_generate_encryption_key, NULL), 1);
    assert_int_equal(run_step(&step_rotate_encryption_key, NULL), 0);
    _cleanup_free_ char *again = text_of(CONFIGURATION);
    assert_string_equal(rotated, again);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, new_cluster, end_cluster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_cluster_gets_one_private_key),
        TEST(a_lost_key_is_not_replaced),
        TEST(a_damaged_file_is_refused),
        TEST(the_key_of_another_cluster_is_refused),
        TEST(a_rotation_that_is_not_finished_goes_on),
    };
    return cmocka_run_group_tests_name("encryption_key", tests, set_up_machine, NULL);
}

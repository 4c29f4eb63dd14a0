#include "lib/net/curl.h"

#include <dlfcn.h>
#include <pthread.h>

#include "lib/core/util.h"

struct curl curl;
static char *complaint; /* NULL when they can be used */

#define CURL_FIND(name)                                                                                                \
    if (complaint == NULL && (*(void **)&curl.name = dlsym(library, "curl_" #name)) == NULL) {                         \
        complaint = xstrdup(dlerror());                                                                                \
    }

static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    if (library == NULL) {
        complaint = xstrdup(dlerror());
        return;
    }
    CURL_FUNCTIONS(CURL_FIND)
    CURLcode result = complaint == NULL ? curl.global_init(CURL_GLOBAL_DEFAULT) : CURLE_OK;
    if (result != CURLE_OK) {
        complaint = xstrdup(curl.easy_strerror(result));
    }
}

int curl_load(struct error **err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return complaint == NULL ? 0 : error_new(err, STATUS_FAILED, "starting libcurl: %s", complaint);
}

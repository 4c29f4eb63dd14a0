/* libcurl, loaded by the first request: it brings thirty libraries, and loading those takes as long as
 * rendering the files of a thousand hosts does. */
#ifndef LIB_NET_CURL_H
#define LIB_NET_CURL_H

#include <curl/curl.h>

#include "lib/core/error.h"

#define CURL_FUNCTIONS(f)                                                                                              \
    f(easy_cleanup) f(easy_escape) f(easy_getinfo) f(easy_header) f(easy_init) f(easy_reset) f(easy_setopt)            \
        f(easy_strerror) f(free) f(global_init) f(multi_add_handle) f(multi_cleanup) f(multi_info_read) f(multi_init)  \
            f(multi_perform) f(multi_poll) f(multi_remove_handle) f(multi_strerror) f(slist_append) f(slist_free_all)

#define CURL_MEMBER(name) __typeof__(curl_##name) *(name);
struct curl {
    CURL_FUNCTIONS(CURL_MEMBER)
};

/* Its functions without their prefix, once curl_load has succeeded. */
extern struct curl curl;

/* STATUS_FAILED. */
int curl_load(struct error **err);

#endif

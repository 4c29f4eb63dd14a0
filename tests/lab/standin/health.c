/* The health end points of kubelet (10248), controller manager (10257) and scheduler (10259): well while kubelet runs.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include <microhttpd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "tests/lab/standin/standin.h"

static const struct standin *machine;

static enum MHD_Result on_request(void *server, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **of_request)
{
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    (void)of_request;
    enum fault fault = standin_fault(machine, server);
    if (fault == FAULT_CLOSE || !standin_unit_active(machine, "kubelet.service")) {
        return MHD_NO;
    }
    const char *text = fault == FAULT_NONSENSE ? "\001 what?" : "ok";
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, fault == FAULT_NONSENSE ? 500 : 200, response);
    MHD_destroy_response(response);
    return result;
}

static int serve(uint16_t port, char *server, const char *cert, const char *key, struct error **err)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | (cert != NULL ? MHD_USE_TLS : 0);
    const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)cert},
                                         {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
                                         {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, port, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_ARRAY,
                         cert != NULL ? tls : none, MHD_OPTION_END);
    return daemon != NULL ? 0 : error_new(err, STATUS_FAILED, "cannot serve port %u", port);
}

int health_serve(const struct standin *standin, struct error **err)
{
    static char kubelet[] = "kubelet";
    static char components[] = "components";
    machine = standin;
    char *cert = NULL; /* until the process ends */
    char *key = NULL;
    if (serve(10248, kubelet, NULL, NULL, err) < 0) {
        return -1;
    }
    if (standin->cert == NULL) {
        return 0;
    }
    return file_read(standin->cert, 0, &cert, NULL, err) < 0 || file_read(standin->key, 0, &key, NULL, err) < 0 ||
                   serve(10257, components, cert, key, err) < 0 || serve(10259, components, cert, key, err) < 0
               ? -1
               : 0;
}

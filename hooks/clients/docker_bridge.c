#include "hooks/clients/docker_bridge.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/core/util.h"

char *docker_bridge_address(void)
{
    struct ifaddrs *list = NULL;
    char *address = NULL;
    if (getifaddrs(&list) < 0) {
        return NULL;
    }
    for (const struct ifaddrs *entry = list; entry != NULL && address == NULL; entry = entry->ifa_next) {
        if (strcmp(entry->ifa_name, "docker0") != 0 || entry->ifa_addr == NULL || entry->ifa_netmask == NULL ||
            entry->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        char text[INET_ADDRSTRLEN];
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)entry->ifa_addr;
        const struct sockaddr_in *mask = (const struct sockaddr_in *)(const void *)entry->ifa_netmask;
        if (inet_ntop(AF_INET, &in->sin_addr, text, sizeof text) != NULL) {
            address = xasprintf("%s/%d", text, __builtin_popcount(mask->sin_addr.s_addr));
        }
    }
    freeifaddrs(list);
    return address;
}

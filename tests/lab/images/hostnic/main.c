#include <errno.h>
#include <string.h>

#include "tests/lab/images/hostnic/hostnic.h"

int main(int argc, char **argv)
{
    (void)argc;
    if (strcmp(program_invocation_short_name, "hostnic-agent") == 0) {
        return agent_main(argv);
    }
    if (strcmp(program_invocation_short_name, "hostnic-controller") == 0) {
        return controller_main(argv);
    }
    return plugin_main();
}

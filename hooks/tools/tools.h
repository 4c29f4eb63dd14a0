/* The tools of k8s-hook: each is a main of its own and returns the exit status. */
#ifndef HOOKS_TOOLS_TOOLS_H
#define HOOKS_TOOLS_TOOLS_H

int template_main(int argc, char **argv);
int config_main(int argc, char **argv);
int statuses_main(int argc, char **argv);

#endif

/* k8s-hook template: one rendered template on stdout, for people who write templates. */
#ifndef HOOKS_TOOLS_TEMPLATE_H
#define HOOKS_TOOLS_TEMPLATE_H

/* ARGV is "template", then FILE --context FILE.json [--partials DIR] [--format NAME] [--strict], in any order; "-" is
 * stdin. Lenient and plain by default. Returns the exit status, with the reason on stderr. */
int template_main(int argc, char **argv);

#endif

#include "hooks/tools/template.h"

#include <getopt.h>
#include <string.h>

#include "lib/system/file.h"
#include "lib/text/mustache.h"

static const char usage[] = "Usage: k8s-hook template FILE --context FILE.json [OPTION...]\n"
                            "Prints the Mustache template FILE, rendered with the context.\n"
                            "\"-\" is standard input.\n\n"
                            "      --context FILE.json  what names stand for\n"
                            "      --partials DIR       where {{> NAME}} finds NAME.mustache\n"
                            "      --format NAME        how {{x}} is escaped: plain (default, not at all),\n"
                            "                           html, json, yaml, env, ini\n"
                            "      --strict             a name that is not in the context is an error\n"
                            "      --help\n";

struct arguments {
    const char *file;
    const char *context;
    struct mustache_options options;
};

static int usage_error(struct error **err, const char *what)
{
    return error_new(err, STATUS_USAGE, "%s; see k8s-hook template --help", what);
}

static int take_format(const char *name, enum format *format, struct error **err)
{
    if (format_by_name(name, format)) {
        return 0;
    }
    return error_new(err, STATUS_USAGE, "--format %s: plain, html, json, yaml, env or ini is needed", name);
}

static int parse_arguments(int argc, char **argv, struct arguments *a, struct error **err)
{
    static const struct option options[] = {
        {"context", required_argument, NULL, 'c'}, {"partials", required_argument, NULL, 'p'},
        {"format", required_argument, NULL, 'f'},  {"strict", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {0},
    };
    optind = 0; /* whoever called us has read options before */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            a->context = optarg;
            break;
        case 'p':
            a->options.partials = optarg;
            break;
        case 'f':
            if (take_format(optarg, &a->options.format, err) < 0) {
                return -1;
            }
            break;
        case 's':
            a->options.strict = true;
            break;
        case 'h':
            a->file = NULL;
            return 0;
        default:
            return error_new(err, STATUS_USAGE,
                             "%s: unknown option, or its value is missing; see k8s-hook template --help",
                             argv[optind - 1]);
        }
    }
    a->file = argv[optind];
    if (a->file == NULL || optind + 1 < argc) {
        return usage_error(err, a->file != NULL ? "one template at a time" : "which template?");
    }
    if (a->context == NULL) {
        return usage_error(err, "--context FILE.json is needed");
    }
    return 0;
}

static const char *path_of(const char *argument)
{
    return strcmp(argument, "-") == 0 ? "/dev/stdin" : argument;
}

static int load_context(const char *path, json_t **context, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read_input(path_of(path), 0, &text, &len, err) < 0) {
        return -1;
    }
    json_error_t why;
    *context = json_loadb(text, len, JSON_DECODE_ANY, &why);
    if (*context == NULL) {
        return error_new(err, STATUS_TEMPLATE, "%s:%d: the context is not JSON: %s", path, why.line, why.text);
    }
    return 0;
}

static int print_template(const struct arguments *a, struct error **err)
{
    _cleanup_json_ json_t *context = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_buffer_ struct buffer out = {0};
    size_t len = 0;
    if (file_read_input(path_of(a->file), 0, &text, &len, err) < 0 || load_context(a->context, &context, err) < 0 ||
        mustache_render(a->file, text, len, context, &a->options, &out, err) < 0) {
        return -1;
    }
    if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
        return error_new(err, STATUS_FILE, "cannot write to stdout");
    }
    return 0;
}

int template_main(int argc, char **argv)
{
    struct arguments arguments = {.options = {.format = FORMAT_PLAIN}};
    _cleanup_error_ struct error *err = NULL;
    if (parse_arguments(argc, argv, &arguments, &err) == 0) {
        if (arguments.file == NULL || arguments.context == NULL) { /* --help */
            (void)fputs(usage, stdout);
            return STATUS_OK;
        }
        if (print_template(&arguments, &err) == 0) {
            return STATUS_OK;
        }
    }
    (void)fprintf(stderr, "k8s-hook template: %s\n", err->message);
    return (int)err->status;
}

/* Mustache templates over a jansson context: the whole core of the Mustache specification (comments, delimiters,
 * interpolation, inverted, partials, sections), lambdas excepted. https://github.com/mustache/spec
 *
 * {{x}} escapes for the file's declared format, {{{x}}} and {{&x}} are raw. */
#ifndef LIB_TEXT_MUSTACHE_H
#define LIB_TEXT_MUSTACHE_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* How {{x}} is written so that the value cannot leave its place. */
enum format {
    FORMAT_PLAIN, /* not at all */
    FORMAT_HTML,  /* the specification's own: & < > " as entities */
    FORMAT_JSON,  /* inside a JSON string: the template writes the quotes */
    FORMAT_YAML,  /* inside a YAML double-quoted string: the template writes the quotes */
    FORMAT_ENV,   /* inside double quotes of a shell or systemd EnvironmentFile value; control characters refused */
    FORMAT_INI,   /* a value up to the end of the line: control characters are refused, % and ; as the field does */
};

/* False when NAME is none of plain, html, json, yaml, env, ini. */
bool format_by_name(const char *name, enum format *format);

/* Appends VALUE escaped. STATUS_TEMPLATE when the format cannot hold it (a newline in an ini value). */
int format_escape(enum format format, const char *value, struct buffer *out, struct error **err);

struct mustache_options {
    enum format format;
    bool strict; /* a name that is not in the context is an error unless a section tests it */
    const char
        *partials; /* directory of NAME.mustache for {{> NAME}}; NULL: partials are empty, in strict mode an error */
};

/* Whether a section NAME (dotted names as in templates) of CONTEXT is shown: false, null, 0, "", an empty list and what
 * is absent are not, everything else is. */
bool mustache_truthy(const json_t *context, const char *name);

/* Renders TEXT. NAME is the template's, for messages ("kubelet.yaml.mustache:12: ..."). Appends to OUT; on error OUT is
 * as before. STATUS_TEMPLATE, with template and line. */
int mustache_render(const char *name, const char *text, size_t len, const json_t *context,
                    const struct mustache_options *options, struct buffer *out, struct error **err);

#endif

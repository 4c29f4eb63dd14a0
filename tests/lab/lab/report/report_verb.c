#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/report/report.h"
#include "tests/lab/lab/verbs/verb.h"

/* A page is written where a directory is: one that is made for a name that was mistyped is no help. */
static int check_place(const char *file, struct error **err)
{
    _cleanup_free_ char *copy = xstrdup(file);
    const char *directory = dirname(copy);
    return access(directory, W_OK) == 0 ? 0 : error_errno(err, STATUS_USAGE, errno, "writing into %s", directory);
}

int verb_report(struct lab *lab, char **argv, struct error **err)
{
    const char *from = NULL;
    if (take_value(&argv, "--from", &from, err) != 0) {
        return -1;
    }
    const char *file = *argv;
    if (file != NULL && take_end(argv + 1, err) != 0) {
        return -1;
    }
    if (from != NULL && access(from, R_OK) != 0) {
        return error_errno(err, STATUS_USAGE, errno, "reading %s", from);
    }
    if (file != NULL && check_place(file, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *beside = lab_path(lab, "report.html");
    _cleanup_free_ char *template = xasprintf("%s/tests/lab/lab/report/report.html.mustache", lab->source);
    _cleanup_free_ char *title = xasprintf("lab %s", lab->name);
    _cleanup_json_ json_t *entries = from != NULL ? record_read_file(from) : record_read(lab);
    struct buffer html = {0};
    if (file == NULL) {
        file = beside;
    }
    int r = report_render(entries, from != NULL ? from : title, template, &html, err);
    if (r == 0) {
        const struct file_spec spec = {
            .path = file, .data = html.data, .len = html.len, .mode = 0644, .uid = geteuid(), .gid = getegid()};
        r = file_put(&spec, NULL, err);
    }
    buffer_free(&html);
    if (r == 0) {
        printf("%s\n", file);
    }
    return r;
}

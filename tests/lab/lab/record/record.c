#include "tests/lab/lab/record/record.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/text/utf8.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/record/steps.h"

#define FILE_NAME "events.jsonl"
#define LONGEST_ERROR 2000

struct record {
    const struct lab *lab;
    const struct machine *machine;
    json_t *entry;
    int64_t began;
};

int64_t record_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *record_time(int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    char text[32] = "";
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    return xasprintf("%s.%03dZ", text, (int)(ns / 1000000 % 1000));
}

static void put_time(json_t *entry, const char *key, int64_t ns)
{
    _cleanup_free_ char *number = xasprintf("%s_ns", key);
    _cleanup_free_ char *text = record_time(ns);
    json_object_set_new(entry, number, json_integer(ns));
    json_object_set_new(entry, key, json_string(text));
}

static void put_machine(json_t *entry, const struct machine *machine)
{
    if (machine != NULL) {
        json_object_set_new(entry, "machine", json_string(machine->name));
        json_object_set_new(entry, "role", json_string(machine->role));
    }
}

static void put_error(json_t *entry, const char *error)
{
    if (!str_empty(error)) {
        _cleanup_free_ char *text = utf8_text(error, LONGEST_ERROR);
        json_object_set_new(entry, "error", json_string(text));
    }
}

/* One write, so that lines of several threads and programs do not mix. */
static void append(const struct lab *lab, const json_t *entry)
{
    if (!lab_exists(lab)) {
        return;
    }
    _cleanup_free_ char *text = json_dumps(entry, JSON_COMPACT);
    _cleanup_free_ char *line = text == NULL ? NULL : xasprintf("%s\n", text);
    _cleanup_free_ char *path = lab_path(lab, FILE_NAME);
    _cleanup_close_ int fd = line == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!write(fd, line, strlen(line));
    }
}

struct record *record_begin(const struct lab *lab, const struct machine *machine, const char *event)
{
    struct record *record = xcalloc(1, sizeof *record);
    _cleanup_free_ char *id = random_id("e-");
    *record = (struct record){.lab = lab, .machine = machine, .began = record_now()};
    record->entry = json_pack("{ss ss}", "kind", "begin", "id", id);
    put_machine(record->entry, machine);
    json_object_set_new(record->entry, "event", json_string(event));
    put_time(record->entry, "begin", record->began);
    struct process self = process_of(getpid());
    json_object_set_new(record->entry, "pid", json_integer(self.pid));
    json_object_set_new(record->entry, "pid_start", json_integer((json_int_t)self.start));
    append(lab, record->entry);
    json_object_set_new(record->entry, "kind", json_string("event"));
    json_object_del(record->entry, "pid");
    json_object_del(record->entry, "pid_start");
    return record;
}

void record_began(struct record *record, int64_t ns)
{
    record->began = ns;
    put_time(record->entry, "begin", ns);
}

void record_steps(struct record *record, const char *command)
{
    json_t *steps = steps_read(record->machine, command, record->began, record_now());
    if (steps != NULL) {
        json_object_set_new(record->entry, "steps", steps);
    }
}

void record_argument(struct record *record, const char *argument)
{
    if (argument != NULL) {
        _cleanup_free_ char *text = utf8_text(argument, LONGEST_ERROR);
        json_object_set_new(record->entry, "argument", json_string(text));
    }
}

static void put_status(const struct lab *lab, json_t *entry, int status, const char *error)
{
    json_object_set_new(entry, "status", json_integer(status));
    json_t *text = locale_status(lab->locale, status);
    if (text != NULL) {
        json_object_set_new(entry, "text", text);
    }
    put_error(entry, error);
}

void record_end(struct record *record, int status, const char *error)
{
    if (record == NULL) {
        return;
    }
    int64_t now = record_now();
    put_time(record->entry, "end", now);
    json_object_set_new(record->entry, "ms", json_integer((now - record->began) / 1000000));
    put_status(record->lab, record->entry, status, error);
    append(record->lab, record->entry);
    json_decref(record->entry);
    free(record);
}

int record_result(struct record *record, int r, struct error *const *err)
{
    const struct error *why = r == 0 || err == NULL ? NULL : *err;
    record_end(record,
               r == 0        ? STATUS_OK
               : why == NULL ? STATUS_FAILED
                             : why->status,
               why == NULL ? NULL : why->message);
    return r;
}

void record_health(const struct lab *lab, const struct machine *machine, bool healthy, int status, const char *error)
{
    _cleanup_json_ json_t *entry = json_pack("{ss ss}", "kind", "health", "health", healthy ? "healthy" : "unhealthy");
    put_machine(entry, machine);
    put_time(entry, "at", record_now());
    put_status(lab, entry, status, error);
    append(lab, entry);
}

void record_fault(const struct lab *lab, const char *id, const char *fault, const char *machine, bool begins,
                  int64_t until_ns, const char *detail)
{
    _cleanup_json_ json_t *entry = json_pack("{ss ss ss ss* ss ss*}", "kind", "fault", "id", id, "fault", fault,
                                             "machine", machine, "state", begins ? "begin" : "end", "detail", detail);
    put_time(entry, "at", record_now());
    if (begins && until_ns > 0) {
        json_object_set_new(entry, "until_ns", json_integer(until_ns));
    }
    append(lab, entry);
}

void record_action(const struct lab *lab, const struct machine *machine, const char *action)
{
    _cleanup_json_ json_t *entry = json_pack("{ss}", "kind", "action");
    _cleanup_free_ char *text = utf8_text(action, LONGEST_ERROR);
    json_object_set_new(entry, "action", json_string(text));
    put_machine(entry, machine);
    put_time(entry, "at", record_now());
    append(lab, entry);
}

json_t *record_read(const struct lab *lab)
{
    _cleanup_free_ char *path = lab_path(lab, FILE_NAME);
    return record_read_file(path);
}

json_t *record_read_file(const char *path)
{
    json_t *entries = json_array();
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    while (f != NULL && getline(&line, &size, f) > 0) {
        json_t *entry = json_loads(line, 0, NULL);
        if (entry != NULL) {
            json_array_append_new(entries, entry);
        }
    }
    free(line);
    return entries;
}

bool record_runs(const json_t *begin)
{
    struct process program = {(pid_t)json_integer_value(json_object_get(begin, "pid")),
                              (uint64_t)json_integer_value(json_object_get(begin, "pid_start"))};
    return process_alive(&program);
}

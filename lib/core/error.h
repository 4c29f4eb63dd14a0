/* One error object: made where a thing failed, wrapped on its way up, printed once at the top.
 *
 * Every function that can fail takes `struct error **err` last and returns 0, or -1 with *err set. *err must be
 * NULL on entry; err itself may be NULL when the caller does not care why. A message says what was tried, on what,
 * what came back and what to do; it never holds a secret.
 */
#ifndef LIB_CORE_ERROR_H
#define LIB_CORE_ERROR_H

/* What a utility of lib/ can fail with. The numbers are exit statuses and fixed; app/status.h has the table of all
 * statuses with their texts, and those that only this product knows. */
enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_CONFIG = 3,
    STATUS_TEMPLATE = 14,
    STATUS_FILE = 15,
    STATUS_UNIT = 16,
    STATUS_COMMAND = 17,
    STATUS_DEADLINE = 18,
    STATUS_INTERRUPTED = 19,
    STATUS_CRYPTO = 25,
};

struct error {
    int status; /* becomes the exit status */
    char *message;
};

/* All return -1, so that `return error_new(...)` reads well. */
int error_new(struct error **err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_new, with ": " and the text of ERRNUM (an errno value) behind. */
int error_errno(struct error **err, int status, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "FORMAT: " before the message of *err; the status stays. */
int error_wrap(struct error **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Passes *FROM on as *ERR and leaves *FROM NULL; freed when ERR is NULL. *FROM may be NULL: then nothing happens. */
int error_move(struct error **err, struct error **from);

/* clang's analyzer does not look into error.c, and would follow a failure as if it could return 0. */
#if defined(__clang_analyzer__) && !defined(LIB_CORE_ERROR_DEFINES)
#define error_new(...) (error_new(__VA_ARGS__), -1)
#define error_errno(...) (error_errno(__VA_ARGS__), -1)
#define error_wrap(...) (error_wrap(__VA_ARGS__), -1)
#define error_move(...) (error_move(__VA_ARGS__), -1)
#endif

void error_free(struct error *err);
void error_freep(struct error **err);

#define _cleanup_error_ __attribute__((cleanup(error_freep)))

#endif

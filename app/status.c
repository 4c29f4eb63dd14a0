#include "app/status.h"

#include <stddef.h>

/* the numbers of lib/core/error.h are those of the table */
#define SAME_NUMBER(name, number, english, chinese, remedy)                                                            \
    _Static_assert(STATUS_##name == (number), "STATUS_" #name " has another number in lib/core/error.h");
#define NOTHING(name, number, english, chinese, remedy)
STATUS_TABLE(NOTHING, SAME_NUMBER)

#define ROW(name, number, english, chinese, remedy) {STATUS_##name, #name, english, chinese, remedy},
const struct status_row status_rows[] = {STATUS_TABLE(ROW, ROW){STATUS_OK, NULL, NULL, NULL, NULL}};

const struct status_row *status_row(int status)
{
    const struct status_row *failed = NULL;
    for (const struct status_row *row = status_rows; row->name != NULL; row++) {
        if (row->status == status) {
            return row;
        }
        if (row->status == STATUS_FAILED) {
            failed = row;
        }
    }
    return failed;
}

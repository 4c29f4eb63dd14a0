#include "app/status.h"

#include <stddef.h>

#define ROW(name, number, english, chinese, remedy) {STATUS_##name, #name, english, chinese, remedy},
const struct status_row status_rows[] = {STATUS_TABLE(ROW){STATUS_OK, NULL, NULL, NULL, NULL}};

const struct status_row *status_row(enum status status)
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

/* What the templates of add-ons see. */
#ifndef HOOKS_ADDONS_ADDONS_CONTEXT_H
#define HOOKS_ADDONS_ADDONS_CONTEXT_H

#include "hooks/engine/role.h"

/* facts_context, and what this master has recorded of the world outside: the release of an external Elasticsearch, the
 * certificate of `admit`. A new reference, with secrets. */
json_t *addons_context(const struct run *run);

/* admission.certificate alone, where there is one (step_issue_admission_certificate). */
void addons_put_admission(const struct run *run, json_t *context);

#endif

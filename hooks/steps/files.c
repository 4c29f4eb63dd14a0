#include "hooks/files.h"
#include "hooks/steps/steps.h"

const struct step step_files = {"files", files_done, files_apply, files_preview};

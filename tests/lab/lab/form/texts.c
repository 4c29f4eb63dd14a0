#include "tests/lab/lab/form/texts.h"

#include <string.h>

#include "tests/lab/lab/form/locale.h"

static const struct {
    const char *english, *chinese;
} texts[FORM_REFUSALS] = {
    [FORM_UNKNOWN] = {"not a parameter of the app; there are: %s", "不是该应用的参数；可用的参数有：%s"},
    [FORM_REQUIRED] = {"a value is required%s", "必须填写%s"},
    [FORM_INTEGER] = {"must be an integer%s", "必须是整数%s"},
    [FORM_NUMBER] = {"must be a number%s", "必须是数字%s"},
    [FORM_BOOLEAN] = {"must be true or false%s", "必须是 true 或 false%s"},
    [FORM_STRING] = {"must be a string%s", "必须是字符串%s"},
    [FORM_GROUP] = {"is a group: its parameters are %s", "是一组参数：其中有 %s"},
    [FORM_RANGE] = {"must be one of: %s", "必须是以下值之一：%s"},
    [FORM_MIN] = {"must be at least %s", "不能小于 %s"},
    [FORM_MAX] = {"must be at most %s", "不能大于 %s"},
    [FORM_STEP] = {"must be a multiple of %s", "必须是 %s 的倍数"},
    [FORM_PATTERN] = {"does not match %s", "不符合格式 %s"},
    [FORM_FIXED] = {"cannot be changed once the cluster exists%s", "集群创建后不能修改%s"},
};

const char *form_text(enum form_refusal refusal, const char *language)
{
    return strcmp(language, LOCALE_CHINESE) == 0 ? texts[refusal].chinese : texts[refusal].english;
}

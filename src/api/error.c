/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/error.h"
#include "dp/version.h"

/* One entry of the table, picked by a switch: the compiler turns it into a lookup. */
const char *dp_strerror(int code)
{
    switch (code) {
    case DP_OK:
        return "success";
#define STRERROR_CASE(name, value, text) \
    case DP_##name:                      \
        return text;
        DP_ERROR_TABLE(STRERROR_CASE)
#undef STRERROR_CASE
    default:
        return "unknown error";
    }
}

const char *dp_errname(int code)
{
    switch (code) {
    case DP_OK:
        return "DP_OK";
#define ERRNAME_CASE(name, value, text) \
    case DP_##name:                     \
        return "DP_" #name;
        DP_ERROR_TABLE(ERRNAME_CASE)
#undef ERRNAME_CASE
    default:
        return "DP_EUNKNOWN";
    }
}

unsigned dp_version(void)
{
    return DP_VERSION;
}

#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x

const char *dp_version_string(void)
{
    return TEXT(DP_VERSION_MAJOR) "." TEXT(DP_VERSION_MINOR) "." TEXT(DP_VERSION_PATCH);
}

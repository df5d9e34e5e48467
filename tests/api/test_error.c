/* SPDX-License-Identifier: Apache-2.0 */

/* Error codes and versions. */

#include <limits.h>
#include <stdio.h>

#include "support/fixture.h"

static const struct {
    const char *name;
    int value;
} published[] = {
    /* What programs were compiled with; this list only ever grows. */
    {"DP_EINVAL", -1},     {"DP_ENOMEM", -2},      {"DP_EOVERFLOW", -3}, {"DP_ECLOSED", -4},
    {"DP_ECANCELLED", -5}, {"DP_ETIMEDOUT", -6},   {"DP_ETASK", -7},     {"DP_EDEADLOCK", -8},
    {"DP_ETHREAD", -9},    {"DP_EFORKED", -10},    {"DP_ENOTSUP", -11},  {"DP_EBUSY", -12},
    {"DP_EIO", -13},       {"DP_EFINISHED", -14},  {"DP_ESOURCE", -15},  {"DP_EINIT", -16},
    {"DP_ECRASH", -17},    {"DP_EBROKEN", -18},    {"DP_EPROCESS", -19}, {"DP_ENOTSHARED", -20},
    {"DP_EJOURNAL", -21},  {"DP_EOWNERDEAD", -22}, {"DP_EUNSAFE", -23},
};

enum { PUBLISHED = sizeof published / sizeof published[0] };

DP_TEST(error, values_never_change)
{
    int count = 0;
    for (int i = 0; i < PUBLISHED; i++)
        cr_assert_str_eq(dp_errname(published[i].value), published[i].name);
#define CHECK(code, number, text)    \
    cr_assert_eq(DP_##code, number); \
    count++;
    DP_ERROR_TABLE(CHECK)
#undef CHECK
    cr_assert_eq(count, PUBLISHED, "a code is missing in the list of this test");
    cr_assert_eq(DP_OK, 0);
}

DP_TEST(error, every_code_has_a_text_without_full_stop)
{
#define CHECK(code, number, text)                      \
    cr_assert_str_eq(dp_errname(number), "DP_" #code); \
    cr_assert_str_eq(dp_strerror(number), text);       \
    cr_assert(strlen(text) > 0 && text[strlen(text) - 1] != '.');
    DP_ERROR_TABLE(CHECK)
#undef CHECK
    cr_assert_str_eq(dp_strerror(0), "success");
    cr_assert_str_eq(dp_errname(0), "DP_OK");
}

DP_TEST(error, other_numbers_are_unknown)
{
    const int others[] = {1, 7, -PUBLISHED - 1, INT_MAX, INT_MIN};
    for (EACH(i, others)) {
        cr_assert_str_eq(dp_strerror(others[i]), "unknown error");
        cr_assert_str_eq(dp_errname(others[i]), "DP_EUNKNOWN");
    }
}

DP_TEST(error, the_library_has_the_version_of_its_headers)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", DP_VERSION_MAJOR, DP_VERSION_MINOR, DP_VERSION_PATCH);
    cr_assert_eq(dp_version(), (unsigned)DP_VERSION);
    cr_assert_str_eq(dp_version_string(), text);
    cr_assert_eq((dp_version() >> 16) & 0xff, (unsigned)DP_VERSION_MAJOR);
    cr_assert_eq((dp_version() >> 8) & 0xff, (unsigned)DP_VERSION_MINOR);
    cr_assert_eq(dp_version() & 0xff, (unsigned)DP_VERSION_PATCH);
}

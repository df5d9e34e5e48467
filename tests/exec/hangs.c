/* SPDX-License-Identifier: Apache-2.0 */
/* A program that never comes to dp_process_main() when it is begun anew. That is half a minute of
   waiting, for which the plain build alone has the time. */
#include "anew.h"

static char message[600];

__attribute__((constructor)) static void hang(void)
{
    while (getenv("DP_ZYGOTE") && getenv("DP_TEST_HANG"))
        pause();
}

static void hear(void *context, int level, const char *text)
{
    (void)context;
    if (level == 1 && strstr(text, "DP_START_EXEC"))
        snprintf(message, sizeof message, "%s", text);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    if (STRESS_ASAN || STRESS_TSAN || getenv("DP_TEST_SAMPLE") || getenv("DP_CHAOS"))
        return 77; /* Skipped. */
    dp_on_message(hear, NULL);
    CHECK(dp_shared_alloc(1) != NULL);
    int descriptors = stress_descriptors();
    CHECK_EQUAL(setenv("DP_TEST_HANG", "1", 1), 0);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_EPROCESS);
    CHECK(strstr(message, "30 seconds") != NULL);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    STRESS_UNTIL(count_processes() == 0);
    CHECK_EQUAL(unsetenv("DP_TEST_HANG"), 0);
    end_pool(make_pool((dp_pool_options){0}));
    return 0;
}

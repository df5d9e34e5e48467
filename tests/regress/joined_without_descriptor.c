/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process joined when it had no descriptor left to read when it was started, and left when it had
 * one: it was not found, and when it ended it was taken for one that had died without leaving.
 */
#include "../stress/stress.h"
#include "interprocess/roster.h"

static rlim_t limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = most;
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

int main(void)
{
    static dp__roster roster;
    rlim_t before = limit_descriptors(0);
    int code = dp__roster_join(&roster);
    limit_descriptors(before);
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(dp__roster_look(&roster), 1);
    CHECK_EQUAL(dp__roster_join(&roster), 0);
    CHECK_EQUAL(roster.joined, 1);
    dp__roster_leave(&roster);
    CHECK_EQUAL(dp__roster_look(&roster), 0);
    CHECK_EQUAL(roster.lost, 0);
    return 0;
}

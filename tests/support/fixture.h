/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_FIXTURE_H
#define DP_TEST_FIXTURE_H

/*
 * What every Criterion test of the library is made with.
 *
 * DP_TEST(suite, name) { ... } is a Criterion test that also fails when it leaves a thread, a
 * child, a descriptor or shared memory behind. The comparison stands in the test and not in
 * Criterion's .fini, because Criterion 2.4.1 prints an assertion that fails there and then counts
 * the test as passed.
 *
 * Assertions belong to the thread and the process of the test: never cr_assert in a worker or in a
 * forked child.
 */

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <dp/dp.h>

#include "support/engine.h"
#include "support/jobs.h"
#include "support/leftovers.h"
#include "support/sync.h"
#include "support/world.h"

#define DP_TEST(suite, name)                             \
    static void suite##_##name(void);                    \
    Test(suite, name)                                    \
    {                                                    \
        holdings before = holdings_now();                \
        world_run(suite##_##name);                       \
        const char *left = holdings_left_since(&before); \
        cr_assert(!left, "%s", left);                    \
        cr_assert(!has_leaked(), "memory was leaked");   \
    }                                                    \
    static void suite##_##name(void)

/* Asserts that a call returns a certain code, and tells both by name when it does not. */
#define EXPECT(expected, call)                                                \
    do {                                                                      \
        int expect_got = (call), expect_wanted = (expected);                  \
        cr_assert(expect_got == expect_wanted, "%s: %s instead of %s", #call, \
                  dp_errname(expect_got), dp_errname(expect_wanted));         \
    } while (0)

/* Ends a test on the process engine, on which what it shows is different. */
#define SKIP_ON_PROCESSES(why)       \
    do {                             \
        if (is_processes())          \
            cr_skip_test("%s", why); \
    } while (0)

/* Why, where several tests have the same reason. */
#define NO_HANDLES "what the application has made cannot be used in a worker"
#define OWN_POOL   "in a worker the pool is another one, with the worker's share of the CPUs"

/* for (EACH(i, array)) { ... array[i] ... } */
#define EACH(i, array)                    \
    size_t i = 0;                         \
    i < sizeof(array) / sizeof(array)[0]; \
    i++

#endif

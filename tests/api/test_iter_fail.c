/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps: items and sources that fail. */

#include <sched.h>
#include <stdatomic.h>

#include "support/fixture.h"
#include "support/iter.h"

DP_TEST(iter_fail, a_source_that_fails_ends_it_after_the_earlier_results)
{
    const int codes[] = {-1, 2, 100, DP_EFINISHED, DP_ETIMEDOUT};
    for (EACH(m, makings))
        for (EACH(i, codes))
            for (int good = 0; good < 8; good += 7)
                for (size_t chunk = 1; chunk < 6; chunk += 2) {
                    dp_pool *pool = new_pool(2);
                    counting c = {.end = good, .end_code = codes[i]};
                    dp_source source = counting_source(&c);
                    dp_options options = {.chunk = chunk, .on_error = (dp_error_policy)(i % 3)};
                    dp_iter *iter;
                    EXPECT(0, makings[m].make(pool, add_one, &source, 4, &options, &iter));
                    for (int k = 0; k < good; k++)
                        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                    expect_error(iter, 0, 0, DP_NO_ITEM);
                    for (int repeat = 0; repeat < 2; repeat++)
                        EXPECT(DP_ESOURCE, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                    expect_error(iter, DP_ESOURCE, codes[i], (size_t)good);
                    cr_assert_eq(c.calls, good + 1, "not asked again after it has failed");
                    EXPECT(0, dp_iter_destroy(iter));
                    end_pool(pool);
                }
}

/* Items 5 and 9 fail, with their number. */
static int fail_some(void *out, const void *in, void *context)
{
    int i = *(const int *)in;
    (void)context;
    *(int *)out = i + 1;
    return i == 5 || i == 9 ? i : 0;
}

static dp_iter *start_failing(const making *how, dp_pool *pool, counting *c, dp_error_policy policy,
                              size_t chunk)
{
    dp_source source = counting_source(c);
    dp_options options = {.on_error = policy, .chunk = chunk};
    dp_iter *iter;
    EXPECT(0, how->make(pool, fail_some, &source, sizeof(int), &options, &iter));
    return iter;
}

DP_TEST(iter_fail, stop_ends_it_after_the_failed_item)
{
    for (EACH(m, makings))
        for (size_t chunk = 1; chunk <= 12; chunk++) {
            dp_pool *pool = new_pool(2);
            counting c = {.end = -1};
            dp_iter *iter = start_failing(&makings[m], pool, &c, DP_ERRORS_STOP, chunk);
            size_t index = 0, seen = 0;
            int code, out = 0;
            while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) == 0) {
                cr_assert_eq(out, (int)index + 1);
                cr_assert(index != 5 && index != 9);
                cr_assert(!makings[m].ordered || index == seen);
                seen++;
            }
            EXPECT(DP_ETASK, code);
            cr_assert(index == 5 || (index == 9 && !makings[m].ordered));
            cr_assert(!makings[m].ordered || seen == 5);
            expect_error(iter, DP_ETASK, (int)index, index);
            int calls = c.calls;
            EXPECT(DP_ETASK, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            cr_assert_eq(c.calls, calls, "the source is not asked any more");
            EXPECT(0, dp_iter_destroy(iter));
            end_pool(pool);
        }
}

DP_TEST(iter_fail, finish_leaves_failed_items_out)
{
    for (EACH(m, makings))
        for (size_t chunk = 1; chunk <= 12; chunk++)
            for (int source_code = 0; source_code < 5; source_code += 4) {
                dp_pool *pool = new_pool(2);
                counting c = {.end = 30, .end_code = source_code};
                dp_iter *iter = start_failing(&makings[m], pool, &c, DP_ERRORS_FINISH, chunk);
                size_t index, sum = 0;
                int out;
                for (int i = 0; i < 28; i++) {
                    EXPECT(0, dp_iter_next(iter, DP_FOREVER, &index, &out));
                    cr_assert(index != 5 && index != 9 && out == (int)index + 1);
                    sum += index;
                }
                cr_assert_eq(sum, 30 * 29 / 2 - 14);
                for (int repeat = 0; repeat < 2; repeat++)
                    EXPECT(DP_ETASK, dp_iter_next(iter, DP_FOREVER, &index, &out));
                expect_error(iter, DP_ETASK, 5, 5);
                EXPECT(0, dp_iter_destroy(iter));
                end_pool(pool);
            }
}

DP_TEST(iter_fail, collect_hands_failed_items_out_with_their_code)
{
    for (EACH(m, makings))
        for (size_t chunk = 1; chunk <= 12; chunk++) {
            dp_pool *pool = new_pool(2);
            counting c = {.end = 30};
            dp_iter *iter = start_failing(&makings[m], pool, &c, DP_ERRORS_COLLECT, chunk);
            size_t index, sum = 0;
            for (size_t i = 0; i < 30; i++) {
                int out = 99, code = dp_iter_next(iter, DP_FOREVER, &index, &out);
                int is_bad = index == 5 || index == 9;
                EXPECT(is_bad ? DP_ETASK : 0, code);
                cr_assert(!makings[m].ordered || index == i);
                cr_assert_eq(out, is_bad ? 99 : (int)index + 1);
                if (is_bad)
                    expect_error(iter, DP_ETASK, (int)index, index);
                sum += index;
            }
            cr_assert_eq(sum, 30 * 29 / 2);
            EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, &index, NULL));
            EXPECT(0, dp_iter_destroy(iter));
            end_pool(pool);
        }
}

/* Two items make a chunk. Item 2 fails while item 0 runs: items 0 and 1 are wanted all the same. */
static int fail_third(void *out, const void *in, void *context)
{
    counter *failed = context;
    int i = *(const int *)in;
    *(int *)out = i + 1;
    if (i == 2)
        counter_add(failed, 1);
    else if (i == 0)
        counter_wait(failed, 1);
    return i == 2 ? 7 : dp_cancelled() && i < 2 ? 8 : 0;
}

DP_TEST(iter_fail, stop_lets_earlier_items_run)
{
    counter failed = COUNTER_INIT;
    counting c = {.end = -1};
    dp_source source = counting_source(&c);
    dp_options options = {.context = &failed, .chunk = 2};
    dp_iter *iter;
    int out;
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_imap(pool, fail_third, &source, sizeof out, &options, &iter));
    for (int i = 0; i < 2; i++) {
        EXPECT(0, dp_iter_next(iter, 60, NULL, &out));
        cr_assert_eq(out, i + 1);
    }
    EXPECT(DP_ETASK, dp_iter_next(iter, 60, NULL, &out));
    expect_error(iter, DP_ETASK, 7, 2);
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
}

static int fail_and_count(void *out, const void *in, void *context)
{
    add_one_and_count(out, in, context);
    return 7;
}

DP_TEST(iter_fail, stop_starts_no_other_item_of_the_chunk)
{
    for (EACH(m, makings)) {
        counting c = {.end = 10};
        dp_source source = counting_source(&c);
        dp_options options = {.context = &c, .chunk = 10, .window = 10};
        dp_iter *iter;
        dp_pool *pool = new_pool(2);
        EXPECT(0, makings[m].make(pool, fail_and_count, &source, 4, &options, &iter));
        EXPECT(DP_ETASK, dp_iter_next(iter, 60, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        cr_assert_eq(atomic_load(&c.ran), 1);
        end_pool(pool);
    }
}

/* Item 0 fails as soon as item 1 runs; item 1 runs until it is told to stop. */
typedef struct pair {
    counter entered, cancelled;
} pair;

static int fail_first(void *out, const void *in, void *context)
{
    pair *p = context;
    double deadline = seconds_now() + PATIENCE;
    (void)out;
    if (*(const int *)in == 0) {
        counter_wait(&p->entered, 1);
        return 7;
    }
    counter_add(&p->entered, 1);
    while (!dp_cancelled() && seconds_now() < deadline)
        sched_yield();
    counter_add(&p->cancelled, dp_cancelled());
    return DP_ECANCELLED;
}

DP_TEST(iter_fail, stop_asks_later_items_to_stop)
{
    if (is_serial())
        cr_skip_test("one item at a time");
    for (EACH(m, makings)) {
        pair p = {COUNTER_INIT, COUNTER_INIT};
        counting c = {.end = -1};
        dp_source source = counting_source(&c);
        dp_options options = {.context = &p};
        dp_iter *iter;
        dp_pool *pool = new_pool(2);
        EXPECT(0, makings[m].make(pool, fail_first, &source, 4, &options, &iter));
        EXPECT(DP_ETASK, dp_iter_next(iter, 60, NULL, NULL));
        counter_wait(&p.cancelled, 1);
        expect_error(iter, DP_ETASK, 7, 0);
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
        cr_assert(counter_get(&p.entered) == 1 && counter_get(&p.cancelled) == 1);
    }
}

/* Short items long enough to share tasks, then one that fails. */
static int fail_at_1500(void *out, const void *in, void *context)
{
    int i = *(const int *)in;
    (void)context;
    *(int *)out = i + 1;
    return i == 1500 ? 7 : 0;
}

DP_TEST(iter_fail, an_item_fails_in_a_task_that_has_grown)
{
    enum { ITEMS = 3000, BAD = 1500 };
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (int policy = 0; policy < 3; policy++) {
            counting c = {.end = ITEMS};
            dp_source source = counting_source(&c);
            dp_options options = {.on_error = (dp_error_policy)policy};
            dp_iter *iter;
            size_t index, good = 0, failed = 0;
            int out, code;
            EXPECT(0, makings[m].make(pool, fail_at_1500, &source, sizeof out, &options, &iter));
            while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) == 0 ||
                   (code == DP_ETASK && policy == DP_ERRORS_COLLECT)) {
                cr_assert(!makings[m].ordered || policy == DP_ERRORS_FINISH ||
                          index == good + failed);
                cr_assert_eq(index == BAD, code != 0);
                cr_assert(code || out == (int)index + 1);
                *(code ? &failed : &good) += 1;
            }
            EXPECT(policy == DP_ERRORS_COLLECT ? DP_EFINISHED : DP_ETASK, code);
            expect_error(iter, DP_ETASK, 7, BAD);
            if (policy != DP_ERRORS_STOP)
                cr_assert(good == ITEMS - 1 && failed == (policy == DP_ERRORS_COLLECT));
            else
                cr_assert(good == BAD || !makings[m].ordered);
            EXPECT(0, dp_iter_destroy(iter));
        }
    end_pool(pool);
}

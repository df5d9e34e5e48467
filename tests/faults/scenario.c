/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

struct refusals now;

const char *const fault_names[] = {
#define NAME(name, code) #name,
    FAULT_TABLE(NAME)
#undef NAME
};

const int fault_codes[] = {
#define CODE(name, code) code,
    FAULT_TABLE(CODE)
#undef CODE
};

void begin(void)
{
    fault_begin(now.list, now.count);
}

int is_to_refuse(fault which)
{
    for (int i = 0; i < now.count; i++)
        if (now.list[i].which == which)
            return 1;
    return 0;
}

int lacks_something(void)
{
    for (int i = 0; i < FAULTS; i++)
        if (fault_codes[i] && fault_refused((fault)i))
            return 1;
    return 0;
}

int succeeded(int code)
{
    if (code == 0)
        return 1;
    int expected = 0;
    for (int i = 0; i < FAULTS && expected != code; i++)
        if (fault_refused((fault)i))
            expected = fault_codes[i];
    CHECK_EQUAL(code, expected);
    return 0;
}

int succeeded_with_all(int code)
{
    CHECK_EQUAL(code != 0, lacks_something());
    return succeeded(code);
}

void same_holdings(const fault_holdings *before)
{
    fault_holdings after = fault_held();
    long stuck = after.stuck - before->stuck;
    CHECK_EQUAL(after.threads, before->threads);
    CHECK_EQUAL(after.blocks, before->blocks);
    /* Memory that the system refuses to take back is lost, unless it takes it at a second try. */
    if (stuck)
        CHECK(after.mapped <= before->mapped + stuck);
    else
        CHECK_EQUAL(after.mapped, before->mapped);
}

void loop(dp_pool *pool)
{
    unsigned char hits[ITEMS] = {0};
    CHECK_EQUAL(dp_pool_for(pool, mix_hit_range, hits, 0, ITEMS, NULL), 0);
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], 1);
}

void use(dp_pool *pool)
{
    uint64_t random = 1;
    loop(pool);
    CHECK_EQUAL(DP_RUN(pool, mix_fib, 8), 21);
    mix_futures(pool, &random);
    mix_reduce(pool, &random);
}

void use_and_destroy(dp_pool *pool)
{
    use(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

void finish(dp_future *future, void *result, size_t size)
{
    CHECK_EQUAL(dp_future_get(future, result, size), 0);
    dp_future_release(future);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_pool_map() without an input and dp_pool_starmap() with a column that is NULL added 0 to a null
 * pointer for every item, which C leaves undefined; clang's sanitizer tells. Found by tests/fuzz.
 * The addresses are computed as numbers now.
 */
#include "../stress/stress.h"

enum { ITEMS = 100 };

static int map_nothing(void *out, const void *in, void *context)
{
    (void)context;
    return out || in ? 7 : 0;
}

static int map_columns(void *out, const void *const *in, void *context)
{
    (void)context;
    return out || in[0] || !in[1] ? 7 : 0;
}

int main(void)
{
    const char letters[ITEMS] = {0};
    const dp_column columns[] = {{NULL, 0, 0}, {letters, 1, 1}};
    dp_options retried = {.retries = 1};
    dp_pool *pool = stress_pool(2);
    CHECK_EQUAL(dp_pool_map(pool, map_nothing, NULL, 0, NULL, 0, ITEMS, NULL), 0);
    CHECK_EQUAL(dp_pool_starmap(pool, map_columns, columns, 2, NULL, 0, ITEMS, NULL), 0);
    CHECK_EQUAL(dp_pool_starmap(pool, map_columns, columns, 2, NULL, 0, ITEMS, &retried), 0);
    stress_destroy(pool);
    return 0;
}

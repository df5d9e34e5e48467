/* SPDX-License-Identifier: Apache-2.0 */
/* A graph of work: each step begins when those before it are done, and no thread waits in between.

       load a --> clean a --.
                            +--> merge --> report
       load b --> clean b --'                                                                   */
#include <dp/dp.h>
#include <stdio.h>

typedef struct table {
    int rows;
} table;

static int load(void *out, const void *in, void *context)
{
    (void)context;
    ((table *)out)->rows = *(const int *)in;
    return 0;
}

static int clean(void *out, const void *in, void *context)
{
    (void)context;
    ((table *)out)->rows = ((const table *)in)->rows * 9 / 10;
    return 0;
}

static int merge(void *out, const void *const *in, void *context)
{
    const table *a = in[0], *b = in[1];
    (void)context;
    ((table *)out)->rows = a->rows + b->rows;
    return 0;
}

int main(void)
{
    const int sizes[2] = {1000, 500};
    dp_future *loaded[2], *cleaned[2], *merged;
    for (int i = 0; i < 2; i++) {
        if (dp_pool_apply_async(NULL, load, &sizes[i], sizeof(int), NULL, sizeof(table), NULL,
                                &loaded[i]) ||
            dp_future_then(loaded[i], NULL, clean, NULL, sizeof(table), NULL, &cleaned[i]))
            return 1;
        dp_future_release(loaded[i]);
    }
    if (dp_future_then_all(cleaned, 2, NULL, merge, NULL, sizeof(table), NULL, &merged))
        return 1;
    table result = {0};
    int code = dp_future_get(merged, &result, sizeof result);
    printf("%d rows (%s)\n", result.rows, dp_strerror(code));
    dp_future_release(cleaned[0]);
    dp_future_release(cleaned[1]);
    dp_future_release(merged);
    return result.rows == 1350 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Results one by one while later ones are computed, with a bound on how far that runs ahead. */
#include <dp/dp.h>
#include <stdio.h>

static int collatz(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 0;
    for (long n = *(const long *)in; n != 1; ++*(int *)out)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return 0;
}

/* Writes the next item and returns 1, or returns 0 at the end. */
static int next_number(void *last, void *item)
{
    *(long *)item = ++*(long *)last;
    return *(long *)item <= 1000;
}

int main(void)
{
    long last = 0;
    dp_source numbers = {.next = next_number, .context = &last, .item_size = sizeof last};
    dp_options ahead = {.window = 100};
    dp_iter *lazy;
    if (dp_pool_imap(NULL, collatz, &numbers, sizeof(int), &ahead, &lazy) != 0)
        return 1;
    size_t index;
    int steps, longest = 0, code;
    while ((code = dp_iter_next(lazy, DP_FOREVER, &index, &steps)) == 0) {
        if (steps > longest) {
            longest = steps;
            printf("%zu takes %d steps\n", index + 1, steps);
        }
    }
    dp_iter_destroy(lazy);
    return code == DP_EFINISHED ? 0 : 1;
}

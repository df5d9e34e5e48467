/* SPDX-License-Identifier: Apache-2.0 */
/* A map over input without end: how many steps does the Collatz sequence of 1, 2, 3, ... take? The
   first number that needs more than 300 ends the search. */
#include <dp/dp.h>
#include <stdio.h>

/* The source: writes the next item and returns 1; 0 would be the end of the input. It is called by
   the thread that uses the iterator, so it needs no lock. */
static int count_up(void *context, void *item)
{
    long *last = context;
    *(long *)item = ++*last;
    return 1;
}

static int collatz(void *out, const void *in, void *context)
{
    long n = *(const long *)in;
    int *steps = out;
    (void)context;
    for (*steps = 0; n != 1; ++*steps)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return 0;
}

int main(void)
{
    long last = 0;
    dp_source numbers = {.next = count_up, .context = &last, .item_size = sizeof last};
    /* At most 1000 numbers are taken ahead of the results; 50 make one task. */
    dp_options ahead = {.window = 1000, .chunk = 50};
    dp_iter *results;
    if (dp_pool_imap(NULL, collatz, &numbers, sizeof(int), &ahead, &results) != 0)
        return 1;

    /* Results come in the order of the input while later ones are being computed. */
    size_t index = 0;
    int steps = 0, code;
    while ((code = dp_iter_next(results, DP_FOREVER, &index, &steps)) == 0 && steps <= 300)
        ;
    dp_iter_destroy(results); /* Half way: what has not begun never will. */

    printf("%zu takes %d steps (%s); %ld numbers were taken\n", index + 1, steps, dp_strerror(code),
           last);
    return code == 0 && index + 1 == 26623 && steps == 307 && last <= 26623 + 1000 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Work in two steps, taken in the order in which it finishes. */
#include <dp/dp.h>
#include <stdio.h>

enum { NUMBERS = 8 };

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

/* Follows square(): its `in` is what square() wrote. */
static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static void complain(const dp_error *error, void *context)
{
    (void)context;
    fprintf(stderr, "nobody asked, but: %s\n", error->text);
}

/* Starts both steps for one number. The futures may be released as soon as the set has its own
   reference; the work still runs. */
static int start(dp_completed *set, int number)
{
    dp_future *first, *second = NULL;
    if (dp_pool_apply_async(NULL, square, &number, sizeof number, NULL, sizeof(int), NULL,
                            &first) != 0)
        return 1;
    int code = dp_future_then(first, NULL, add_one, NULL, sizeof(int), NULL, &second);
    if (code == 0)
        code = dp_completed_add(set, second);
    dp_future_release(first);
    dp_future_release(second);
    return code != 0;
}

int main(void)
{
    dp_completed *set;
    dp_future *done;
    int sum = 0, failures = 0;
    if (dp_on_unobserved_error(complain, NULL) != 0 || dp_completed_create(&set) != 0)
        return 1;
    for (int i = 0; i < NUMBERS; i++)
        failures += start(set, i);

    while (dp_completed_next(set, DP_FOREVER, &done) == 0) {
        int result = 0;
        if (dp_future_get(done, &result, sizeof result) != 0)
            failures++;
        dp_future_release(done);
        sum += result;
    }
    dp_completed_destroy(set);

    printf("%d\n", sum);
    return failures == 0 && sum == 148 ? 0 : 1;
}

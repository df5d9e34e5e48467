/* SPDX-License-Identifier: Apache-2.0 */
/* Different functions at the same time: three questions about one text. */
#include <ctype.h>
#include <dp/dp.h>
#include <stdio.h>
#include <string.h>

static int count_words(void *out, const void *in, void *context)
{
    int inside = 0, *words = out;
    (void)context;
    *words = 0;
    for (const char *text = in; *text; text++) {
        int is_letter = isalpha((unsigned char)*text) != 0;
        *words += is_letter && !inside;
        inside = is_letter;
    }
    return 0;
}

static int count_lines(void *out, const void *in, void *context)
{
    int *lines = out;
    (void)context;
    *lines = 0;
    for (const char *text = in; (text = strchr(text, '\n')); text++)
        ++*lines;
    return 0;
}

/* A result other than 0 says that a call has failed. */
static int find_first(void *out, const void *in, void *context)
{
    const char *found = strpbrk(in, context);
    *(const char **)out = found;
    return found ? 0 : 1;
}

int main(void)
{
    const char text[] = "Many hands\nmake light work,\nif they know what to do.\n";
    int words, lines, status[3];
    const char *mark;
    char marks[] = ",.;:!?";

    const dp_delayed calls[] = {
        {.f = count_words, .arg = text, .result = &words},
        {.f = count_lines, .arg = text, .result = &lines},
        {.f = find_first, .arg = text, .result = &mark},
    };
    dp_options options = {.context = marks, .on_error = DP_ERRORS_COLLECT, .status = status};
    int code = dp_pool_run(NULL, calls, 3, &options);
    if (code || status[0] || status[1] || status[2])
        return 1;

    printf("%d words, %d lines, first mark '%c'\n", words, lines, *mark);
    return words == 11 && lines == 3 && *mark == ',' ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Words are packed into one text. Where one goes depends on all before it: that is a prefix scan.
 */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 200000 };

static const char *const samples[] = {"scan", "a", "prefix", "is", "of", "everything"};

static size_t plus(size_t a, size_t b)
{
    return a + b;
}

/* starts() is a scan of an array of size_t with plus(), which is inlined into its loops. */
DP_SCAN_DEFINE(starts, size_t, plus, 0)

typedef struct job {
    const char **words;
    size_t *places;
    char *text;
} job;

static void measure(size_t i, job *j)
{
    j->words[i] = samples[i * i % 6];
    j->places[i] = strlen(j->words[i]);
}

static void copy(size_t i, job *j)
{
    memcpy(j->text + j->places[i], j->words[i], strlen(j->words[i]));
}

DP_FOR_DEFINE(measure_all, measure, job)
DP_FOR_DEFINE(copy_all, copy, job)

int main(void)
{
    job j = {malloc(WORDS * sizeof *j.words), malloc((WORDS + 1) * sizeof *j.places), NULL};
    int code = j.words && j.places ? measure_all(NULL, &j, 0, WORDS, NULL) : DP_ENOMEM;
    /* Exclusive: every length becomes the sum of those before it. The one item more, which may hold
       anything, becomes the sum of all. */
    if (code == 0) {
        j.places[WORDS] = 0;
        code = starts(NULL, j.places, j.places, WORDS + 1, DP_SCAN_EXCLUSIVE, NULL);
    }
    if (code || !(j.text = calloc(j.places[WORDS] + 1, 1)) || copy_all(NULL, &j, 0, WORDS, NULL))
        return 1;
    printf("%zu letters, the last ones are %s\n", j.places[WORDS], j.text + j.places[WORDS - 3]);
    int wrong = strlen(j.text) != j.places[WORDS] || memcmp(j.text, "scanaofis", 9) != 0;
    free(j.words);
    free(j.places);
    free(j.text);
    return wrong;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_STRESS_FLAT_H
#define DP_TESTS_STRESS_FLAT_H

/*
 * What a process holds while it does the same again and again: threads, descriptors and children
 * stay as they were, and resident memory does not grow. Memory is compared between the first and
 * the last third of the samples, by their medians, because allocators keep some and give it back
 * late.
 */

#include <errno.h>
#include <sys/wait.h>

#include "stress.h"

enum { FLAT_SAMPLES = 240 };

typedef struct flat {
    int threads, descriptors;
    unsigned count, every, skipped;
    long rss[FLAT_SAMPLES]; /* KiB, one of every so many. */
} flat;

static inline void flat_begin(flat *f)
{
    *f =
        (flat){.threads = stress_threads_before(), .descriptors = stress_descriptors(), .every = 1};
}

static inline void flat_expect_no_child(void)
{
    siginfo_t info;
    CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 && errno == ECHILD);
}

/* Between two rounds, when all that the round had is gone. */
static inline void flat_note(flat *f)
{
    if (++f->skipped < f->every)
        return;
    f->skipped = 0;
    if (f->count == FLAT_SAMPLES) {
        for (unsigned i = 0; i < FLAT_SAMPLES / 2; i++)
            f->rss[i] = f->rss[2 * i + 1];
        f->count /= 2;
        f->every *= 2;
    }
    f->rss[f->count++] = stress_rss_kib();
}

static inline int flat_by_size(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static inline long flat_median(const long *samples, unsigned count)
{
    long sorted[FLAT_SAMPLES];
    memcpy(sorted, samples, count * sizeof *samples);
    qsort(sorted, count, sizeof sorted[0], flat_by_size);
    return sorted[count / 2];
}

/* Sanitizers keep what was freed, so memory is not judged there. */
static inline void flat_end(const flat *f, const char *what, long most_kib)
{
    unsigned third = f->count / 3;
    stress_expect_threads(f->threads);
    CHECK_EQUAL(stress_descriptors(), f->descriptors);
    flat_expect_no_child();
    if (third == 0)
        return;
    long first = flat_median(f->rss, third), last = flat_median(f->rss + f->count - third, third);
    printf("%s: %ld KiB, grown by %ld\n", what, last, last - first);
    if (!STRESS_TSAN && !STRESS_ASAN)
        CHECK(last - first <= most_kib);
}

#endif

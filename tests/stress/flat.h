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
#include <malloc.h>
#include <sys/wait.h>

#include "stress.h"

enum { FLAT_SAMPLES = 240 };

typedef struct flat {
    int threads, descriptors;
    unsigned count, every, skipped;
    /* KiB, one of every so many. */
    long rss[FLAT_SAMPLES];  /* Resident. */
    long heap[FLAT_SAMPLES]; /* Handed out by malloc(), which knows to the byte. */
} flat;

static inline long flat_heap_kib(void)
{
    struct mallinfo2 info = mallinfo2();
    return (long)((info.uordblks + info.hblkhd) / 1024);
}

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
            f->rss[i] = f->rss[2 * i + 1], f->heap[i] = f->heap[2 * i + 1];
        f->count /= 2;
        f->every *= 2;
    }
    f->rss[f->count] = stress_rss_kib();
    f->heap[f->count++] = flat_heap_kib();
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

static inline void flat_judge(const char *what, const long *samples, unsigned count, long most)
{
    unsigned third = count / 3;
    long first = flat_median(samples, third), last = flat_median(samples + count - third, third);
    printf("%s: %ld KiB, grown by %ld\n", what, last, last - first);
    /* Sanitizers keep what was freed. */
    if (!STRESS_TSAN && !STRESS_ASAN)
        CHECK(last - first <= most);
}

/* Memory may have grown by so many KiB. */
static inline void flat_end(const flat *f, long heap_kib, long rss_kib)
{
    stress_expect_threads(f->threads);
    CHECK_EQUAL(stress_descriptors(), f->descriptors);
    flat_expect_no_child();
    /* Too short to say anything of memory, or on an allocator that does not count, such as that of
       valgrind, which keeps what was freed. */
    if (f->count < 3 || f->heap[0] == 0) {
        printf("memory: not judged\n");
        return;
    }
    flat_judge("heap", f->heap, f->count, heap_kib);
    flat_judge("resident", f->rss, f->count, rss_kib);
}

#endif

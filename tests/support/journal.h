/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_JOURNAL_H
#define DP_TEST_JOURNAL_H

/* What the tests of journals share. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/fixture.h"

enum { N = 40 };

static char folder[64], file[80];

static inline void make_folder(void)
{
    strcpy(folder, "/tmp/dp-journal-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/map", folder);
}

static inline void remove_folder(void)
{
    unlink(file);
    cr_assert_eq(rmdir(folder), 0);
}

static inline size_t read_journal(char *bytes, size_t room)
{
    int fd = open(file, O_RDONLY);
    cr_assert_geq(fd, 0);
    ssize_t got = read(fd, bytes, room);
    close(fd);
    cr_assert(got >= 0 && (size_t)got < room);
    return (size_t)got;
}

static inline void write_journal(const char *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* The work. */
static atomic_int runs, failing; /* `failing`: items below this number fail. */
static int in[N];
static long out[N];

static inline int square(void *result, const void *item, void *context)
{
    long i = *(const int *)item;
    (void)context;
    atomic_fetch_add(&runs, 1);
    *(long *)result = i * i + 7;
    return i < atomic_load(&failing) ? 5 : 0;
}

/* Makes no result. */
static inline int touch(void *result, const void *item, void *context)
{
    (void)item, (void)context;
    atomic_fetch_add(&runs, 1);
    return result != NULL;
}

enum { LARGE = 200001 };

static inline int fill(void *result, const void *item, void *context)
{
    (void)context;
    atomic_fetch_add(&runs, 1);
    memset(result, *(const int *)item + 1, LARGE);
    return 0;
}

static inline void begin(void)
{
    make_folder();
    atomic_store(&failing, 0);
    for (int i = 0; i < N; i++)
        in[i] = i;
}

static inline int map(dp_pool *pool, dp_options *options)
{
    memset(out, 0xee, sizeof out);
    atomic_store(&runs, 0);
    options->journal = file;
    return dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], N, options);
}

static inline void expect_squares(int from)
{
    for (long i = from; i < N; i++)
        cr_assert_eq(out[i], i * i + 7, "item %ld is %ld", i, out[i]);
}

static inline void expect_runs(int count)
{
    cr_assert_eq(atomic_load(&runs), count, "%d runs instead of %d", atomic_load(&runs), count);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program was started without standard input and output. A journal was opened in their place, and
 * what the items printed went over its beginning: the results of a week were no journal any more.
 * The descriptors of a process lay there as well, until the program opened its standard ones.
 * What a call opens for longer than a moment now lies beyond them.
 */
#include <errno.h>
#include <fcntl.h>

#include "../stress/stress.h"

enum { ITEMS = 8 };

static const char text[] =
    "everything is fine, and this line is longer than a journal's beginning\n";
static char path[64];
static atomic_int runs;

/* Prints to what is closed. */
static int twice(void *out, const void *in, void *context)
{
    (void)context;
    for (int fd = 0; fd <= 1; fd++)
        CHECK(write(fd, text, sizeof text) < 0 && errno == EBADF);
    atomic_fetch_add(&runs, 1);
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static void call(dp_pool *pool, int run)
{
    int in[ITEMS], out[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    atomic_store(&runs, 0);
    CHECK_EQUAL(dp_pool_map(pool, twice, in, sizeof in[0], out, sizeof out[0], ITEMS,
                            &(dp_options){.journal = path}),
                0);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], 2 * i);
    CHECK_EQUAL(atomic_load(&runs), run);
}

static int seven(void *unused)
{
    (void)unused;
    return 7;
}

/* The program opens its standard input and output after all, as daemon() does. */
static void start_process(void)
{
    dp_process *process;
    int result;
    CHECK_EQUAL(dp_process_start(&process, seven, NULL, NULL), 0);
    int null = open("/dev/null", O_RDWR);
    CHECK(null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1);
    CHECK_EQUAL(dp_process_join(process, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_process_exit_code(process, &result), 0);
    CHECK_EQUAL(result, 7);
    CHECK(dp_process_sentinel_fd(process) > 2);
    dp_process_release(process);
}

int main(void)
{
    dp_pool *pool;
    alarm((unsigned)STRESS_DEADLINE);
    close(0);
    close(1);
    snprintf(path, sizeof path, "/tmp/dp-closed-%ld", (long)getpid());
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.workers = 2}), 0);
    call(pool, ITEMS);
    call(pool, 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    CHECK_EQUAL(unlink(path), 0);
    start_process();
    return 0;
}

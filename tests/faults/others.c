/* SPDX-License-Identifier: Apache-2.0 */
/* The end of pools, engines of one's own, what a terminal shows, and calls that need nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>

#include "scenario.h"
#include "support/custom.h"

/* ---- The end of a pool ---- */

static int note_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add((_Atomic(int) *)context, 1);
    return dp_sleep(dp_cancelled() ? 0 : 0.0001) == DP_ECANCELLED;
}

/* Ends a pool that has work, as `end` does it. What was accepted is finished one way or another. */
static void end_pool(int (*end)(dp_pool *pool))
{
    enum { CALLS = 5 };
    dp_pool *pool = stress_pool(2);
    dp_future *futures[CALLS] = {NULL};
    _Atomic(int) items = 0;
    dp_options options = {.context = &items};
    dp_stats stats;
    loop(pool);
    begin();
    for (int i = 0; i < CALLS; i++)
        if (!succeeded(
                dp_pool_map_async(pool, note_item, NULL, 0, NULL, 0, 4, &options, &futures[i])))
            CHECK(!futures[i]);
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    CHECK(dp_pool_lanes(pool) >= 2);
    CHECK_EQUAL(end(pool), 0);
    for (int i = 0; i < CALLS; i++) {
        int code = dp_future_wait(futures[i], STRESS_DEADLINE);
        CHECK(code == (futures[i] ? 0 : DP_EINVAL));
        dp_future_release(futures[i]);
    }
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    fault_end();
    CHECK(atomic_load(&items) <= 4 * CALLS);
}

static int close_and_join(dp_pool *pool)
{
    int code = dp_pool_close(pool);
    return code ? code : dp_pool_join(pool, STRESS_DEADLINE);
}

static void close_pool(void)
{
    end_pool(close_and_join);
}

static void cancel_pool(void)
{
    end_pool(dp_pool_cancel);
}

static void terminate_pool(void)
{
    end_pool(dp_pool_terminate);
}

/* ---- An engine of one's own ---- */

/* Its own allocations and threads are refused as well. */
static void executor(void)
{
    fault_holdings before = fault_held();
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    unsigned char hits[ITEMS] = {0};
    begin();
    int code = dp_pool_create(&pool, &(dp_pool_options){.engine = custom_engine(), .workers = 2});
    if (succeeded(code)) {
        uint64_t in = 5, out = 0;
        dp_future *future = UNSET_FUTURE;
        int done = succeeded(dp_pool_for(pool, mix_hit_range, hits, 0, ITEMS, NULL));
        for (size_t i = 0; i < ITEMS; i++)
            CHECK_EQUAL(hits[i], done);
        /* A function that its threads will not call is one that the system refused. */
        code =
            dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof out, NULL, &future);
        if (code == DP_ETHREAD && lacks_something()) {
            CHECK(!future);
        } else if (succeeded(code)) {
            finish(future, &out, sizeof out);
            CHECK_EQUAL(out, 10);
        }
        fault_end();
        loop(pool);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
    } else {
        fault_end();
        CHECK(!pool);
        same_holdings(&before);
    }
}

/* ---- What a terminal shows ---- */

/* The kernel hands on what was written to a terminal a while later, and in parts. */
static void read_line(int fd, char *line, size_t size)
{
    size_t length = 0;
    while (length == 0 || line[length - 1] != '\n') {
        ssize_t got = read(fd, line + length, size - length);
        CHECK(got > 0 || (got < 0 && errno == EINTR));
        length += got > 0 ? (size_t)got : 0;
    }
}

static int is_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&readable, 1, 0);
    while (ready < 0 && errno == EINTR);
    return ready;
}

static void progress_bar(void)
{
    int master, terminal, before = dup(STDERR_FILENO);
    struct winsize size = {.ws_row = 20, .ws_col = 60};
    char line[200];
    dp_progress progress = {.done = 3, .total = 4, .seconds = 1, .rate = 3, .finished = 1};
    CHECK_EQUAL(openpty(&master, &terminal, NULL, NULL, &size), 0);
    fflush(stderr);
    CHECK(dup2(terminal, STDERR_FILENO) >= 0);
    begin();
    dp_progress_bar(&progress, "label");
    fault_end();
    CHECK(dup2(before, STDERR_FILENO) >= 0);
    int shown = !fault_refused(FAULT_isatty) && !fault_refused(FAULT_write);
    if (shown) {
        read_line(master, line, sizeof line);
        CHECK(line[0] == '\r');
    }
    CHECK_EQUAL(is_readable(master), 0);
    close(before);
    close(master);
    close(terminal);
}

/* ---- Shared memory ---- */

enum { LARGE = 3 << 20 };

/* Takes a block as if it were the first one, and gives it back to the system. */
static int use_shared(size_t size)
{
    char *memory = dp_shared_alloc(size);
    if (!memory)
        return 0;
    for (size_t i = 0; i < size; i += 1000)
        CHECK_EQUAL(memory[i], 0);
    memset(memory, 1, size);
    CHECK_EQUAL(dp_shared_holds(memory, size), 1);
    dp_shared_free(memory);
    return 1;
}

static void shared_memory(void)
{
    int code = 0;
    begin();
    errno = 77;
    for (int i = 0; i < 3; i++) {
        code = use_shared(10) ? 0 : DP_ENOMEM;
        CHECK_EQUAL(use_shared(LARGE), code == 0);
    }
    CHECK_EQUAL(errno, 77);
    succeeded(code);
    fault_end();
    CHECK(use_shared(10) && use_shared(LARGE));
    CHECK_EQUAL(errno, 77);
}

/* ---- Calls that need nothing of the system ---- */

static void take_message(void *context, int level, const char *text)
{
    (void)level;
    CHECK(text[0]);
    ++*(int *)context;
}

static int draw(void *out, const void *in, void *context)
{
    dp_random random, part;
    double numbers[3];
    uint64_t words[3];
    (void)in;
    (void)context;
    CHECK_EQUAL(dp_item_random(&random), 0);
    part = dp_random_split(&random, 1);
    *(double *)out = dp_random_normal(&random);
    CHECK_EQUAL(dp_random_fill_u64(&part, words, 3), 0);
    CHECK_EQUAL(dp_random_fill_double(&part, numbers, 3), 0);
    CHECK_EQUAL(dp_random_fill_normal(&part, numbers, 3), 0);
    return dp_lane() < 0;
}

static void divide_and_collect(void)
{
    int items[ITEMS], copies[ITEMS];
    double weights[4] = {1, 2, 3, 4};
    dp_part part, parts[2];
    dp_view whole = {items, sizeof items[0], ITEMS}, views[3], slice;
    dp_view copy = {copies, sizeof copies[0], ITEMS};
    for (int i = 0; i < ITEMS; i++)
        items[i] = i;
    CHECK_EQUAL(dp_partition(ITEMS, 3, 1, DP_PARTITION_BALANCED, &part), 0);
    CHECK_EQUAL(dp_partition_weighted(weights, 4, 2, parts), 0);
    CHECK_EQUAL(dp_view_slice(&whole, part, &slice), 0);
    CHECK_EQUAL(dp_scatter(&whole, 3, DP_PARTITION_BALANCED, views), 0);
    CHECK_EQUAL(dp_gather(views, 3, sizeof items[0], &copy), 0);
    CHECK_EQUAL(memcmp(items, copies, sizeof items), 0);
}

static void nothing_needed(void)
{
    dp_pool *pool = stress_pool(1);
    double numbers[8];
    dp_options options = {.seed = 1};
    char line[100];
    int messages = 0;
    loop(pool); /* A thread that has been here before has its place. */
    begin();
    CHECK_EQUAL(dp_on_message(take_message, &messages), 0);
    divide_and_collect();
    succeeded(dp_pool_map(pool, draw, NULL, 0, numbers, sizeof numbers[0], 8, &options));
    CHECK_EQUAL(dp_sleep(0.0001), 0);
    CHECK(dp_progress_format(&(dp_progress){.total = 1}, "a", 60, line, sizeof line) > 0);
    CHECK_EQUAL(dp_version(), DP_VERSION);
    CHECK(dp_version_string()[0] && dp_strerror(DP_ENOMEM)[0] && dp_errname(DP_ENOMEM)[0]);
    CHECK_EQUAL(dp_unobserved_errors(), 0);
    CHECK_EQUAL(dp_on_message(NULL, NULL), 0);
    fault_end();
    CHECK_EQUAL(messages, 0);
    use_and_destroy(pool);
}

const scenario other_scenarios[] = {
    {"close_pool", close_pool, NULL},
    {"cancel_pool", cancel_pool, NULL},
    {"terminate_pool", terminate_pool, NULL},
    {"executor", executor, NULL},
    {"progress_bar", progress_bar, NULL},
    {"shared_memory", shared_memory, NULL}, /* A heap is never given back. */
    {"nothing_needed", nothing_needed, NULL},
    {NULL, NULL, NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that make calls of one pool at the same time, each with a snapshot of its own, of all
 * kinds: synchronous, asynchronous, cancelled, followed, lazy, and with processes that die; beside
 * forks of the application. Each call sees what its caller has written last, and nothing is left.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "flat.h"
#include "support/leftovers.h"

enum { CALLERS = 3, N = 6 };

typedef struct caller {
    dp_pool *pool;
    double end;
    int version; /* What the tasks read, in memory that is not shared. */
} caller;

static int tell_version(void *out, const void *in, void *context)
{
    (void)in;
    *(int *)out = ((const caller *)context)->version;
    return 0;
}

static int die_or_tell(void *out, const void *in, void *context)
{
    if (*(const int *)in == 1)
        kill(getpid(), SIGKILL);
    return tell_version(out, in, context);
}

static void map_some(caller *c)
{
    int in[N], out[N], status[N], dies = c->version % 4 == 0;
    dp_options options = {.context = c, .on_error = DP_ERRORS_COLLECT, .status = status};
    for (int i = 0; i < N; i++)
        in[i] = i;
    CHECK_EQUAL(dp_pool_map(c->pool, dies ? die_or_tell : tell_version, in, sizeof in[0], out,
                            sizeof out[0], N, &options),
                0);
    for (int i = 0; i < N; i++)
        if (dies && i == 1)
            CHECK_EQUAL(status[i], DP_ECRASH);
        else
            CHECK(status[i] == 0 && out[i] == c->version);
}

static void submit_some(caller *c, uint64_t *random)
{
    dp_future *first, *next;
    dp_options options = {.context = c};
    int told, is_cancelled = stress_below(random, 2) == 0;
    CHECK_EQUAL(
        dp_pool_apply_async(c->pool, tell_version, NULL, 0, NULL, sizeof told, &options, &first),
        0);
    c->version++;
    CHECK_EQUAL(dp_future_then(first, c->pool, tell_version, NULL, sizeof told, &options, &next),
                0);
    c->version++;
    if (is_cancelled)
        dp_future_cancel(first);
    int code = dp_future_get(next, NULL, 0);
    CHECK(code == 0 || (is_cancelled && code == DP_ECANCELLED));
    if (code == 0) {
        CHECK_EQUAL(dp_future_get(next, &told, sizeof told), 0);
        CHECK_EQUAL(told, c->version - 1);
    }
    if (dp_future_get(first, &told, sizeof told) == 0)
        CHECK_EQUAL(told, c->version - 2);
    dp_future_release(first);
    dp_future_release(next);
}

static void iterate_some(caller *c, uint64_t *random)
{
    int in[N] = {0}, told;
    dp_iter *iter;
    dp_source source = {.items = in, .item_size = sizeof in[0], .n = N};
    dp_options options = {.context = c};
    CHECK_EQUAL(dp_pool_imap(c->pool, tell_version, &source, sizeof told, &options, &iter), 0);
    c->version++;
    for (uint64_t left = stress_below(random, N + 2); left > 0; left--)
        if (dp_iter_next(iter, DP_FOREVER, NULL, &told) == 0)
            CHECK_EQUAL(told, c->version - 1);
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
}

/* The child has copies of all snapshots, and ends none of them. */
static void fork_once(const caller *c)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(dp_pool_destroy(c->pool) != 0);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
}

static void call_some(unsigned index, void *context)
{
    caller own = *(caller *)context;
    uint64_t random = stress_seed() + index;
    own.version = (int)index * 1000000;
    while (stress_goes_on(own.end)) {
        own.version++;
        switch (stress_below(&random, 4)) {
        case 0:
            map_some(&own);
            break;
        case 1:
            submit_some(&own, &random);
            break;
        case 2:
            iterate_some(&own, &random);
            break;
        default:
            if (!STRESS_TSAN && !STRESS_ASAN) /* Whose locks stay locked in the child. */
                fork_once(&own);
        }
    }
}

int main(void)
{
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES,
                               .workers = 2,
                               .process = {.start = DP_START_SNAPSHOT, .beside_threads = 1}};
    double end = stress_end(1);
    int descriptors = stress_descriptors();
    while (stress_goes_on(end)) {
        caller c = {.end = stress_now() + stress_seconds(0.5, 5)};
        CHECK_EQUAL(dp_pool_create(&c.pool, &options), 0);
        stress_together(CALLERS, call_some, &c);
        CHECK_EQUAL(count_processes(), 0);
        CHECK_EQUAL(dp_pool_destroy(c.pool), 0);
        CHECK_EQUAL(stress_descriptors(), descriptors);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Short calls of any verb, for whoever is no step: items, callbacks, reports, sources, children. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "machine.h"

enum { SHORT = 12 };

/* What a call is to count, and what it has. */
typedef struct tally {
    unsigned want;
    _Atomic(unsigned) got;
} tally;

/* ---- Functions that count ---- */

static void count(void *context, size_t n)
{
    tally *t = context;
    atomic_fetch_add(&t->got, (unsigned)n);
}

static int count_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    count(context, 1);
    return 0;
}

static int count_columns(void *out, const void *const *in, void *context)
{
    return count_item(out, in, context);
}

static int count_delayed(void *out, const void *in, void *context)
{
    (void)context;
    return count_item(out, NULL, (void *)(uintptr_t)in);
}

static int count_range(size_t begin, size_t end, void *context)
{
    count(context, end - begin);
    return 0;
}

static int count_2d(size_t r0, size_t r1, size_t c0, size_t c1, void *context)
{
    return count_range(0, (r1 - r0) * (c1 - c0), context);
}

static int count_3d(size_t p0, size_t p1, size_t r0, size_t r1, size_t c0, size_t c1, void *context)
{
    return count_range(0, (p1 - p0) * (r1 - r0) * (c1 - c0), context);
}

static int add_range(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    *(unsigned *)sum += (unsigned)(end - begin);
    return 0;
}

static int add_and_count(void *sum, size_t begin, size_t end, void *context)
{
    CHECK_EQUAL(*(unsigned *)sum, begin);
    count(context, end - begin);
    return add_range(sum, begin, end, context);
}

static void add(void *sum, const void *other, void *context)
{
    (void)context;
    *(unsigned *)sum += *(const unsigned *)other;
}

DP_TASK(unsigned, count_leaves, (unsigned, depth))
{
    if (depth == 0)
        return 1;
    DP_FORK(count_leaves, depth - 1);
    unsigned b = DP_CALL(count_leaves, depth - 1);
    return b + DP_JOIN(count_leaves);
}

/* ---- Verbs ---- */

static int call_runs(dp_pool *pool, tally *t)
{
    const dp_delayed one = {.f = count_delayed, .arg = t};
    dp_delayed calls[3] = {one, one, one};
    t->want = 3;
    return dp_pool_run(pool, calls, 3, NULL);
}

static int call_tiles(dp_pool *pool, tally *t, int in_boxes)
{
    dp_extent two = {0, 2, 1}, three = {1, 4, 0}, four = {0, 4, 2};
    return in_boxes ? dp_pool_for_3d(pool, count_3d, t, two, three, two, NULL)
                    : dp_pool_for_2d(pool, count_2d, t, three, four, NULL);
}

static int call_reduce(dp_pool *pool, tally *t)
{
    unsigned zero = 0, sum = 0;
    int code =
        dp_pool_reduce(pool, add_range, NULL, 3, 3 + SHORT, add, &zero, &sum, sizeof sum, NULL);
    atomic_store(&t->got, sum);
    return code;
}

static int call_scan(dp_pool *pool, tally *t)
{
    unsigned ones[SHORT], zero = 0;
    for (int i = 0; i < SHORT; i++)
        ones[i] = 1;
    int code = dp_pool_scan(pool, add, NULL, ones, ones, sizeof zero, SHORT, &zero,
                            DP_SCAN_INCLUSIVE, NULL);
    atomic_store(&t->got, code ? 0 : ones[SHORT - 1]);
    return code;
}

static int call_scan_range(dp_pool *pool, tally *t)
{
    const unsigned zero = 0;
    return dp_pool_scan_range(pool, add_range, add_and_count, t, 0, SHORT, add, &zero, sizeof zero,
                              NULL);
}

static int call_task(dp_pool *pool, tally *t)
{
    unsigned leaves = 0;
    int code = DP_RUN_INTO(&leaves, pool, count_leaves, 4);
    t->want = 16;
    atomic_store(&t->got, leaves);
    return code;
}

/* A lazy map that is asked for everything; what waits for it opens its own gates before. */
static int call_iter(dp_pool *pool, const dp_options *options, int is_ordered)
{
    dp_source source = {.n = SHORT};
    dp_iter *iter;
    int code = (is_ordered ? dp_pool_imap : dp_pool_imap_unordered)(pool, count_item, &source, 0,
                                                                    options, &iter);
    if (code)
        return code;
    if (me)
        open_gates(&m.players[me - 1]);
    while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) == 0)
        ;
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
    return code == DP_EFINISHED ? 0 : code;
}

/* One of the verbs, on the calling thread, to its end. */
static int call_verb(dp_pool *pool, unsigned which, tally *t)
{
    dp_options options = {.context = t, .chunk = which / SYNC_VERBS % 4};
    dp_column column = {t, 1, 0};
    t->want = SHORT;
    switch (which % SYNC_VERBS) {
    case 0:
        return dp_pool_map(pool, count_item, NULL, 0, NULL, 0, SHORT, &options);
    case 1:
        return dp_pool_starmap(pool, count_columns, &column, 1, NULL, 0, SHORT, &options);
    case 2:
        return dp_pool_for(pool, count_range, t, 5, 5 + SHORT, &options);
    case 3:
        t->want = 1;
        return dp_pool_apply(pool, count_item, NULL, 0, NULL, 0, &options);
    case 4:
        return call_runs(pool, t);
    case 5:
        return call_reduce(pool, t);
    case 6:
        return call_scan(pool, t);
    case 7:
        return call_scan_range(pool, t);
    case 8:
    case 9:
        return call_tiles(pool, t, which % SYNC_VERBS == 9);
    case 10:
        return call_task(pool, t);
    default:
        return call_iter(pool, &options, which % SYNC_VERBS == 11);
    }
}

/* Makes the call and checks what it gave: all, unless it was refused or stopped with what is around
   it, or with its pool. The code. */
static int check_verb(dp_pool *pool, unsigned which, pool_life *life)
{
    tally t = {0};
    unsigned cancels = atomic_load(&life->cancelled);
    int code = call_verb(pool, which, &t);
    if (code == 0)
        CHECK_EQUAL(atomic_load(&t.got), t.want);
    else if (code == DP_ECANCELLED)
        CHECK(dp_cancelled() || atomic_load(&life->terminating) ||
              (which % SYNC_VERBS >= 11 && atomic_load(&life->cancels) != cancels));
    else
        CHECK_EQUAL(code, DP_ECLOSED);
    CHECK(atomic_load(&t.got) <= t.want);
    return code;
}

/* Who is inside that pool as well, as callbacks may be, may go on when it is closed. */
static void check_refused(const pool_life *life, int code)
{
    CHECK(code != DP_ECLOSED || atomic_load(&life->closing));
}

/* From inside. There only what is asynchronous is refused. */
static void call_inside(dp_pool *pool, unsigned which, pool_life *life)
{
    int is_lazy = which % SYNC_VERBS >= 11, code = check_verb(pool, which, life);
    CHECK(code != DP_ECLOSED || (is_lazy && atomic_load(&life->closing)));
}

void call_own_pool(const fuzz_job *job, unsigned which)
{
    call_inside(job->life->pool, which, job->life);
}

/* The pool that is meant on this thread, where the default pool may stand for another. */
static unsigned slot_here(unsigned slot)
{
    dp_config config;
    CHECK_EQUAL(dp_config_get(&config), 0);
    return slot == MAX_POOLS && config.pool ? 0 : slot;
}

void call_null(const fuzz_job *job, unsigned which)
{
    unsigned slot = slot_here(MAX_POOLS);
    if (slot == job->life->slot) {
        call_inside(NULL, which, job->life);
        return;
    }
    pool_life *life = enter(slot);
    if (!life)
        return;
    check_refused(life, check_verb(NULL, which, life));
    leave(slot);
}

/* ---- Without waiting ---- */

/* What is not waited for counts here. */
static tally left;

static void count_end(dp_future *future, void *context)
{
    CHECK(dp_future_status(future) >= DP_FUTURE_DONE);
    count(context, 1);
}

static int follow(dp_future *future, pool_life *life)
{
    dp_options options = {.context = &left};
    dp_future *next;
    int code = dp_future_then(future, life->pool, count_item, NULL, 0, &options, &next);
    if (code == 0) {
        atomic_fetch_add(&m.forgotten, 1); /* It fails if the pool is closed by then. */
        dp_future_release(next);
    }
    return code;
}

static void leave_behind(pool_life *life, unsigned which)
{
    dp_options options = {.context = &left, .priority = (dp_priority)(which % 3) - 1};
    dp_future *future;
    closedness c = look_closed(life);
    int code =
        dp_pool_map_async(life->pool, count_item, NULL, 0, NULL, 0, SHORT, &options, &future);
    if (was_refused(c, code))
        return;
    CHECK_EQUAL(code, 0);
    if (which & 8)
        CHECK_EQUAL(dp_future_on_done(future, count_end, &left), 0);
    if (which & 16 && (code = follow(future, life)) != 0)
        CHECK_EQUAL(code, DP_ECLOSED);
    if (which & 32)
        (void)dp_future_cancel(future);
    code = dp_future_wait(future, 0);
    CHECK(code == 0 || code == DP_ETIMEDOUT);
    dp_future_release(future);
}

void call_anything(unsigned slot, unsigned which)
{
    slot = slot_here(slot);
    pool_life *life = enter(slot);
    if (!life)
        return;
    switch (which >> 5 & 7) {
    case 0:
    case 1:
    case 2:
    case 3:
        check_refused(life, check_verb(life->pool, which & 127, life));
        break;
    case 4:
    case 5:
        leave_behind(life, which);
        break;
    case 6:
        resize_pool(life, 1 + (int)(which & 3));
        look_at_stats(life);
        break;
    default:
        if (which & 1)
            close_pool(life);
        else
            cancel_pool(life);
        break;
    }
    leave(slot);
}

/* ---- Children ---- */

/* Everything that is the parent's is refused. */
static void look_at_parents(dp_pool *pool, const player *p)
{
    dp_future *made = (dp_future *)(uintptr_t)64;
    tally t = {0};
    CHECK_EQUAL(dp_pool_for(pool, count_range, &t, 0, SHORT, NULL), DP_EFORKED);
    CHECK_EQUAL(dp_pool_for_async(pool, count_range, &t, 0, SHORT, NULL, &made), DP_EFORKED);
    CHECK(!made);
    CHECK_EQUAL(dp_pool_workers(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_resize(pool, 2), DP_EFORKED);
    CHECK_EQUAL(dp_pool_cancel(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_close(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_join(pool, DP_FOREVER), DP_EFORKED);
    CHECK_EQUAL(dp_pool_terminate(pool), DP_EFORKED);
    CHECK_EQUAL(t.got, 0);
    for (unsigned i = 0; p && i < FUTURES; i++) {
        int code = p->futures[i].future ? dp_future_wait(p->futures[i].future, DP_FOREVER) : 0;
        CHECK(code == 0 || code == DP_EFORKED);
    }
    for (unsigned i = 0; p && i < ITERS; i++)
        if (p->lazies[i].iter)
            CHECK_EQUAL(dp_iter_next(p->lazies[i].iter, DP_FOREVER, NULL, NULL), DP_EFORKED);
}

static void use_own_pools(unsigned which)
{
    dp_pool_options options = {.workers = 2};
    dp_config config;
    tally t = {0};
    dp_pool *own;
    CHECK_EQUAL(dp_pool_create(&own, &options), 0);
    CHECK_EQUAL(call_verb(own, which, &t), 0);
    CHECK_EQUAL(atomic_load(&t.got), t.want);
    CHECK_EQUAL(dp_pool_destroy(own), 0);
    t = (tally){0};
    CHECK_EQUAL(dp_config_get(&config), 0);
    CHECK_EQUAL(call_verb(NULL, which, &t), config.pool ? DP_EFORKED : 0);
}

void fork_process(unsigned slot, const player *p, unsigned which)
{
    int status = -1;
    pool_life *life = enter(slot);
    if (!life || atomic_fetch_add(&m.children, 1) >= MOST_CHILDREN) {
        if (life)
            leave(slot);
        return;
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        me = 0; /* Locks of ours may be held for ever. */
        signal(SIGALRM, SIG_DFL);
        alarm(30);
        if (which % 4 && life->pool)
            look_at_parents(life->pool, p);
        /* The sanitizers have locks that the child may find held. */
        if (which % 4 != 1 && !STRESS_ASAN && !STRESS_TSAN)
            use_own_pools(which / 4);
        _exit(0);
    }
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    CHECK_EQUAL(status, 0);
    leave(slot);
}

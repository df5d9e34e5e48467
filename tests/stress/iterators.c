/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lazy maps from several threads at once, with random windows, chunks, sources, failures, retries,
 * time limits, streams and reports of progress, inside tasks and outside, dropped half way or not,
 * and with the pool cancelled meanwhile. Every result is the right one and comes once, and the
 * source never runs further ahead than the window.
 */
#include "stress.h"

enum { MOST = 300 };

typedef struct shared {
    dp_pool *pool;
    uint64_t seed;
    double end;
    int cancels; /* Now and then somebody drops all jobs of the pool. */
} shared;

/* One iterator. Plain numbers, which only the consumer and its source touch, or which only one
   thread at a time may be told: a second thread would be a race. */
typedef struct stream {
    long pulled, handed;
    long window;
    long end; /* Items, or -1. */
    long bad; /* The item that fails, or -1. */
    uint64_t seed;
    unsigned retries;
    uint64_t item_seed; /* dp_options::seed. */
    double deadline;
    dp_progress last;
    unsigned char attempts[MOST]; /* Of each item, by whoever runs it. */
} stream;

static int pull(void *context, void *item)
{
    stream *s = context;
    if (s->pulled == s->end)
        return 0;
    *(long *)item = s->pulled++;
    CHECK(s->pulled - s->handed <= s->window);
    return 1;
}

static void note(const dp_progress *progress, void *context)
{
    stream *s = context;
    CHECK(!s->last.finished);
    CHECK(progress->done >= s->last.done && progress->failed >= s->last.failed);
    CHECK(progress->total == DP_NO_TOTAL || (long)progress->total == s->end);
    s->last = *progress;
}

static int work(void *out, const void *in, void *context)
{
    stream *s = context;
    long item = *(const long *)in;
    uint64_t random = s->seed + (uint64_t)item;
    stress_spin(stress_below(&random, UINT64_C(1) << stress_below(&random, 11)));
    dp_random mine, wanted = dp_random_at(s->item_seed, (uint64_t)item);
    CHECK_EQUAL(dp_item_random(&mine), s->item_seed ? 0 : DP_ENOTSUP);
    CHECK(dp_random_u64(&mine) == dp_random_u64(&wanted) || !s->item_seed);
    /* Some fail until their last attempt. */
    if (item == s->bad || (stress_below(&random, 4) == 0 && s->attempts[item] < s->retries)) {
        s->attempts[item]++;
        return 7;
    }
    *(long *)out = 3 * item;
    return 0;
}

typedef struct outcome {
    size_t seen[MOST];
    dp_error_policy policy;
    int ordered;
} outcome;

/* What the code says must fit the stream. Whether there is more to come. */
static int judge(const shared *all, const stream *s, const outcome *o, int code, size_t index)
{
    if (code == 0)
        return 1;
    if (code == DP_ECANCELLED) {
        CHECK(all->cancels);
    } else if (code == DP_ETIMEDOUT) {
        CHECK(s->deadline > 0);
    } else if (code == DP_EFINISHED) {
        CHECK_EQUAL(s->handed, s->end);
        CHECK(s->bad < 0 || s->bad >= s->end || o->policy == DP_ERRORS_COLLECT);
    } else {
        CHECK_EQUAL(code, DP_ETASK);
        /* An item whose time is over is not tried again. */
        CHECK(s->bad >= 0 || (s->deadline > 0 && s->retries > 0));
        if (o->policy == DP_ERRORS_COLLECT && s->deadline == 0)
            CHECK_EQUAL(index, s->bad);
        return o->policy == DP_ERRORS_COLLECT;
    }
    return 0;
}

static void consume(const shared *all, stream *s, outcome *o, dp_iter *iter, long takes,
                    uint64_t *random)
{
    while (takes > 0) {
        size_t index = MOST;
        long result = -1;
        double seconds = stress_below(random, 4) ? DP_FOREVER : (double)stress_below(random, 3);
        int code = dp_iter_next(iter, seconds, &index, &result);
        dp_error error;
        CHECK_EQUAL(dp_iter_error(iter, &error), 0);
        if (code == DP_ETIMEDOUT && error.code != DP_ETIMEDOUT) {
            CHECK(seconds < 3);
            sched_yield();
            continue;
        }
        if (!judge(all, s, o, code, index))
            return;
        CHECK(index < MOST);
        CHECK_EQUAL(o->seen[index]++, 0);
        CHECK(!o->ordered || o->policy == DP_ERRORS_FINISH || (long)index == s->handed);
        if (code == 0)
            CHECK_EQUAL(result, 3 * (long)index);
        s->handed++;
        takes--;
        if (stress_below(random, 8) == 0)
            stress_dawdle(random);
    }
}

/* Wishes beyond running the items, each of them in some iterators. */
static void add_wishes(stream *s, dp_options *options, uint64_t *random)
{
    s->retries = (unsigned)stress_below(random, 3);
    s->item_seed = stress_below(random, 2) ? stress_random(random) : 0;
    if (stress_below(random, 3) == 0)
        s->deadline = stress_below(random, 2) ? 60 : 1e-5 * (double)stress_below(random, 100);
    options->retries = s->retries;
    options->seed = s->item_seed;
    options->deadline = s->deadline;
    options->run_timeout = stress_below(random, 2) ? 60 : 0;
    if (stress_below(random, 2)) {
        options->progress = note;
        options->progress_context = s;
    }
}

static void one_iterator(const shared *all, uint64_t *random)
{
    stream s = {.window = 1 + (long)stress_below(random, 40),
                .end = (long)stress_below(random, MOST),
                .bad = stress_below(random, 3) ? -1 : (long)stress_below(random, 100),
                .seed = stress_random(random)};
    outcome o = {.policy = (dp_error_policy)stress_below(random, 3),
                 .ordered = (int)stress_below(random, 2)};
    dp_options options = {.context = &s,
                          .window = (size_t)s.window,
                          .chunk = stress_below(random, 2) ? stress_below(random, 50) : 0,
                          .on_error = o.policy};
    if (stress_below(random, 2))
        add_wishes(&s, &options, random);
    dp_source source = {.next = pull, .context = &s, .item_size = sizeof(long)};
    dp_iter *iter;
    long takes = stress_below(random, 2) ? (long)stress_below(random, MOST) : MOST + 10;
    /* An item that is left out is not told of, so the bound cannot be checked from outside. */
    if (o.policy == DP_ERRORS_FINISH && s.bad >= 0)
        s.window++;
    CHECK_EQUAL((o.ordered ? dp_pool_imap : dp_pool_imap_unordered)(all->pool, work, &source,
                                                                    sizeof(long), &options, &iter),
                0);
    if (takes > 0)
        consume(all, &s, &o, iter, takes, random);
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
    CHECK_EQUAL(s.last.finished, options.progress != NULL);
    CHECK(!options.progress || ((long)s.last.done >= s.handed && (long)s.last.done <= s.pulled));
    memset(&s, 0, sizeof s); /* Nobody may look at it any more. */
}

static int one_in_task(void *out, const void *in, void *context)
{
    uint64_t random = *(const uint64_t *)in;
    (void)out;
    one_iterator(context, &random);
    return 0;
}

static void live(unsigned index, void *context)
{
    shared *all = context;
    uint64_t random = all->seed + index;
    do {
        if (stress_below(&random, 3)) {
            one_iterator(all, &random);
        } else {
            uint64_t seeds[5];
            dp_options options = {.context = all, .chunk = 1};
            for (int i = 0; i < 5; i++)
                seeds[i] = stress_random(&random);
            CHECK_EQUAL(
                dp_pool_map(all->pool, one_in_task, seeds, sizeof *seeds, NULL, 0, 5, &options), 0);
        }
        if (all->cancels && stress_below(&random, 3) == 0)
            CHECK_EQUAL(dp_pool_cancel(all->pool), 0);
    } while (stress_goes_on(all->end));
}

static void lives(int workers, int spares, int cancels, double share)
{
    dp_pool_options how = {.workers = workers, .spares = spares};
    shared all = {.seed = stress_seed(), .end = stress_end(share), .cancels = cancels};
    CHECK_EQUAL(dp_pool_create(&all.pool, &how), 0);
    stress_together(3, live, &all);
    stress_destroy(all.pool);
}

/* ---- One iterator, many threads, and the end of its pool ---- */

typedef struct contended {
    dp_iter *iter;
    dp_pool *pool;
    _Atomic(long) handed;
    uint64_t seed;
} contended;

static void take(unsigned index, void *context)
{
    contended *c = context;
    uint64_t random = c->seed + index;
    long result;
    int code;
    if (index == 0) {
        stress_dawdle(&random);
        CHECK_EQUAL(stress_below(&random, 2) ? dp_pool_terminate(c->pool) : dp_pool_close(c->pool),
                    0);
        return;
    }
    while ((code = dp_iter_next(c->iter, DP_FOREVER, NULL, &result)) == 0 || code == DP_EBUSY)
        if (code == 0)
            atomic_fetch_add(&c->handed, 1);
        else
            sched_yield();
    CHECK(code == DP_ECLOSED || code == DP_ECANCELLED);
}

static int count_up(void *context, void *item)
{
    *(long *)item = ++*(long *)context;
    return 1;
}

static int triple(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = 3 * *(const long *)in;
    return 0;
}

static void ends(double share)
{
    double end = stress_end(share);
    uint64_t random = stress_seed();
    do {
        long pulled = 0;
        contended c = {.pool = stress_pool(1 + (int)stress_below(&random, 3)),
                       .seed = stress_random(&random)};
        dp_source source = {.next = count_up, .context = &pulled, .item_size = sizeof pulled};
        dp_options options = {.chunk = stress_below(&random, 4)};
        CHECK_EQUAL((stress_below(&random, 2) ? dp_pool_imap : dp_pool_imap_unordered)(
                        c.pool, triple, &source, sizeof(long), &options, &c.iter),
                    0);
        stress_together(3, take, &c);
        CHECK(atomic_load(&c.handed) <= pulled);
        if (stress_below(&random, 2)) {
            stress_destroy(c.pool);
            CHECK_EQUAL(dp_iter_destroy(c.iter), 0);
        } else {
            CHECK_EQUAL(dp_iter_destroy(c.iter), 0);
            stress_destroy(c.pool);
        }
    } while (stress_goes_on(end));
}

int main(void)
{
    lives(1, 0, 0, 0.2);
    lives(1, -1, 0, 0.1);
    lives(2, 0, 0, 0.2);
    lives(4, 0, 0, 0.1);
    lives(2, 0, 1, 0.2);
    ends(0.2);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lazy maps. */
#include "machine.h"

enum { SOURCE_FAILURE = 5 };

/* The items of a lazy map say which they are. */
static int compute(void *out, const void *in, void *context)
{
    fuzz_job *job = context;
    uint64_t i;
    memcpy(&i, in, sizeof i);
    CHECK(i < job->n);
    fuzz_item *it = &job->items[i];
    take_token(job);
    CHECK_EQUAL(it->begun, it->ended);
    it->begun++;
    if (job->step.act == ACT_step) { /* It cannot wait for itself. */
        dp_iter *self = atomic_load(&job->self_iter);
        int code = self ? dp_iter_next(self, 0, NULL, NULL) : DP_EDEADLOCK;
        CHECK(code == DP_EDEADLOCK || code == DP_EBUSY);
    } else if (act_in_item(job, (size_t)i) == DP_ECANCELLED) {
        it->gave_up = 1;
    }
    uint64_t result = result_of(job_in(job, (size_t)i));
    if (out)
        memcpy(out, &result, sizeof result);
    it->ended++;
    give_token(job);
    it->code = it->gave_up ? DP_ECANCELLED : job_code(job, (size_t)i, it->begun);
    return it->code;
}

/* ---- Sources ---- */

/* Changes the pool of the lazy map, or uses it; but it may be gone by now. */
static void act_in_source(const fuzz_job *job)
{
    unsigned slot = job->life->slot, which = job->step.slot / ITERS;
    if (which == 0) {
        pool_destroy(slot);
        return;
    }
    if (which == 1) {
        call_anything(slot, job->number * 37);
        return;
    }
    pool_life *life = enter(slot);
    if (!life)
        return;
    if (which == 2)
        close_pool(life);
    else if (job->number % 2)
        cancel_pool(life);
    else
        terminate_pool(life);
    leave(slot);
}

static int next_item(void *context, void *item)
{
    lazy_map *l = context;
    uint64_t i = l->taken;
    CHECK(!l->source_ended);
    if (l->iter) /* It is in use by this very call. */
        CHECK_EQUAL(dp_iter_next(l->iter, 0, NULL, NULL), DP_EBUSY);
    if (i == l->job->n) {
        l->source_ended = 1;
        return l->job->step.extra & 32 ? SOURCE_FAILURE : 0;
    }
    CHECK(l->window == 0 || l->taken - l->handed < l->window);
    if (l->job->step.act == ACT_source && i == 3u * l->job->step.at)
        act_in_source(l->job);
    memcpy(item, &i, sizeof i);
    l->taken++;
    return 1;
}

static dp_source source_of(lazy_map *l)
{
    fuzz_job *job = l->job;
    if (l->is_function)
        return (dp_source){.next = next_item, .context = l, .item_size = sizeof(uint64_t)};
    for (size_t i = 0; i < job->n; i++)
        memcpy(job->in + i * job->size, &(uint64_t){i}, sizeof(uint64_t));
    return (dp_source){.items = job->in, .n = job->n, .item_size = job->size};
}

/* ---- The end ---- */

/* What was handed out is in the items already; the rest never ran twice. */
void lazy_drop(player *p, lazy_map *l)
{
    fuzz_job *job = l->job;
    if (!l->iter)
        return;
    open_gates(p);
    CHECK_EQUAL(dp_iter_destroy(l->iter), 0);
    for (size_t i = 0; i < job->n; i++) {
        const fuzz_item *it = &job->items[i];
        CHECK_EQUAL(it->begun, it->ended);
        CHECK(it->begun <= 1 + job->options.retries);
        CHECK(!it->begun || !l->is_function || i < l->taken);
    }
    job->settled = 1;
    job_free_arrays(job);
    *l = (lazy_map){.iter = NULL};
}

/* ---- Making ---- */

static void make(player *p, const fuzz_step *s)
{
    unsigned slot = s->pool == MAX_POOLS && p->pushed ? p->config_pool[p->pushed - 1] : s->pool;
    lazy_map *l = &p->lazies[s->slot % ITERS];
    lazy_drop(p, l);
    pool_life *life = enter(slot);
    if (!life)
        return;
    size_t n = step_size(s) > 257 ? 257 : step_size(s);
    dp_pool *pool = s->pool == MAX_POOLS ? NULL : life->pool;
    fuzz_job *job = job_new(p, s, life, pool, JOB_ITER, n);
    closedness c = look_closed(life);
    *l = (lazy_map){.job = job,
                    .is_ordered = s->op == OP_imap,
                    .is_function = (s->extra & 4) != 0,
                    .window = s->extra & 8 ? 1 + s->fail % 23 : 0};
    job->options.window = l->window;
    if (job->chunk == SIZE_MAX) /* A window of such tasks would not fit in memory. */
        job->options.chunk = 1000;
    dp_source source = source_of(l);
    dp_iter *iter = (dp_iter *)(uintptr_t)64;
    int code = (l->is_ordered ? dp_pool_imap : dp_pool_imap_unordered)(
        pool, compute, &source, job->size, &job->options, &iter);
    if (was_refused(c, code)) {
        CHECK(!iter);
        CHECK_EQUAL(l->taken, 0);
        *l = (lazy_map){.iter = NULL};
    } else {
        CHECK_EQUAL(code, 0);
        l->iter = iter;
        atomic_store(&job->self_iter, iter);
    }
    leave(slot);
}

/* ---- Taking ---- */

static void check_result(lazy_map *l, size_t index, uint64_t out)
{
    fuzz_job *job = l->job;
    CHECK(index < job->n);
    CHECK_EQUAL(out, result_of(job_in(job, index)));
    CHECK(job->items[index].begun >= 1 && job->items[index].code == 0 && !job->tiny_timeout);
}

/* Each index is told once, and in order those before it were, but for failures that are left out.
 */
static void note_told(lazy_map *l, size_t index)
{
    fuzz_job *job = l->job;
    CHECK(index < job->n && !job->told[index]);
    job->told[index] = 1;
    if (l->is_ordered) {
        CHECK(index >= l->last);
        for (; l->last < index; l->last++) {
            CHECK_EQUAL(job->options.on_error, DP_ERRORS_FINISH);
            CHECK(job->items[l->last].code || job->tiny_timeout);
        }
        l->last = index + 1;
    }
}

/* Of those that have run, which are all that there are by now. */
static size_t first_failed(const fuzz_job *job)
{
    size_t i = 0;
    while (i < job->n && !(job->items[i].begun && (job->items[i].code || job->tiny_timeout)))
        i++;
    return i;
}

static void check_failed(lazy_map *l, size_t index)
{
    fuzz_job *job = l->job;
    dp_error error;
    CHECK_EQUAL(dp_iter_error(l->iter, &error), 0);
    CHECK_EQUAL(error.code, DP_ETASK);
    CHECK(error.item < job->n);
    CHECK_EQUAL(error.task_code, job->tiny_timeout ? DP_ETIMEDOUT : job->items[error.item].code);
    if (job->options.on_error == DP_ERRORS_FINISH) {
        CHECK_EQUAL(error.item, first_failed(job));
    } else {
        CHECK_EQUAL(error.item, index);
        note_told(l, index);
        l->handed++;
    }
}

static void check_end(lazy_map *l, int code)
{
    fuzz_job *job = l->job;
    dp_error error;
    int disturbed = is_disturbed(job) || atomic_load(&job->life->closing) ||
                    atomic_load(&job->life->cancels) != job->cancels_before;
    int is_short = job->options.deadline > 0 && job->options.deadline < 1;
    CHECK_EQUAL(dp_iter_error(l->iter, &error), 0);
    switch (code) {
    case DP_EFINISHED:
        CHECK(!l->is_function || l->source_ended);
        for (size_t i = 0; i < job->n; i++)
            CHECK(job->told[i]);
        break;
    case DP_ESOURCE:
        CHECK(l->source_ended && job->step.extra & 32);
        CHECK_EQUAL(error.task_code, SOURCE_FAILURE);
        CHECK_EQUAL(error.item, job->n);
        break;
    case DP_ETIMEDOUT:
        CHECK(is_short);
        break;
    case DP_ECLOSED:
    case DP_ECANCELLED:
        CHECK(disturbed || is_short);
        break;
    default:
        CHECK_EQUAL(code, DP_ETASK);
        break;
    }
    l->end = code;
}

static double limit_of(const fuzz_step *s)
{
    return (s->extra & 3) == 0 ? 0 : (s->extra & 3) == 1 ? 1e-5 : DP_FOREVER;
}

/* Whether it can go on after this code. */
static int goes_on(lazy_map *l, int code, double limit)
{
    dp_error error;
    if (code == DP_ETASK)
        return l->job->options.on_error == DP_ERRORS_COLLECT;
    if (code != DP_ETIMEDOUT || limit > 1)
        return 0;
    CHECK_EQUAL(dp_iter_error(l->iter, &error), 0);
    return error.code != DP_ETIMEDOUT;
}

static int take_one(lazy_map *l, double limit)
{
    size_t index = 77777;
    uint64_t out = 0;
    int code = dp_iter_next(l->iter, limit, &index, &out);
    if (l->end) {
        CHECK_EQUAL(code, l->end);
        return 0;
    }
    if (code == 0) {
        check_result(l, index, out);
        note_told(l, index);
        l->handed++;
        return 1;
    }
    CHECK_EQUAL(out, 0);
    if (code == DP_ETASK)
        check_failed(l, index);
    if (!goes_on(l, code, limit))
        check_end(l, code);
    return code == DP_ETASK;
}

static void take(player *p, const fuzz_step *s, lazy_map *l)
{
    open_gates(p);
    for (size_t i = 0; i < 1 + step_size(s) && take_one(l, limit_of(s)); i++)
        ;
}

int lazy_op(player *p, const fuzz_step *s)
{
    lazy_map *l = &p->lazies[s->slot % ITERS];
    dp_error error;
    if (s->op < OP_imap || s->op > OP_drop_iter)
        return 0;
    if (s->op == OP_imap || s->op == OP_imap_unordered)
        make(p, s);
    else if (!l->iter)
        return 1;
    else if (s->op == OP_next)
        take(p, s, l);
    else if (s->op == OP_drop_iter)
        lazy_drop(p, l);
    else
        CHECK_EQUAL(dp_iter_error(l->iter, &error), 0);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, synchronous and asynchronous. */
#include "machine.h"

/* How many items a call may have that is left. */
static size_t items_for(const fuzz_step *s, size_t most)
{
    size_t n = step_size(s);
    if (n > most)
        n = most;
    size_t before = atomic_fetch_add(&m.items, n);
    return before + n <= ITEM_BUDGET ? n : before < ITEM_BUDGET ? 3 : 1;
}

static job_kind kind_of(fuzz_op op)
{
    switch (op) {
    case OP_reduce:
        return JOB_REDUCE;
    case OP_scan:
        return JOB_SCAN;
    case OP_scan_range:
        return JOB_SCAN_RANGE;
    case OP_for:
    case OP_for_2d:
    case OP_for_3d:
        return JOB_RANGE;
    default:
        return JOB_MAP;
    }
}

/* ---- One function for each verb ---- */

static int call_apply(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t copied = job->step.extra & 8 ? job->size : 0;
    void *out = job->is_kept ? NULL : job->out;
    return future
               ? dp_pool_apply_async(pool, item_map, job->in, copied, out, job->size, &job->options,
                                     future)
               : dp_pool_apply(pool, item_map, job->in, copied, job->out, job->size, &job->options);
}

static int call_map(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t size = job->size;
    return future
               ? dp_pool_map_async(pool, item_map, job->in, size, job->out, size, job->n,
                                   &job->options, future)
               : dp_pool_map(pool, item_map, job->in, size, job->out, size, job->n, &job->options);
}

static int call_starmap(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t size = job->size;
    dp_column columns[] = {{job->in, size, size}, {job->in, size, 0}, {NULL, 0, 0}};
    size_t ncolumns = job->step.extra & 8 ? 3 : 2;
    return future ? dp_pool_starmap_async(pool, item_starmap, columns, ncolumns, job->out, size,
                                          job->n, &job->options, future)
                  : dp_pool_starmap(pool, item_starmap, columns, ncolumns, job->out, size, job->n,
                                    &job->options);
}

static int call_run(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    job->delayed = calloc(job->n + 1, sizeof *job->delayed);
    CHECK(job->delayed);
    for (size_t i = 0; i < job->n; i++)
        job->delayed[i] = (dp_delayed){
            .f = item_map, .arg = job->in + i * job->size, .result = job->out + i * job->size};
    return future ? dp_pool_run_async(pool, job->delayed, job->n, &job->options, future)
                  : dp_pool_run(pool, job->delayed, job->n, &job->options);
}

static int call_for(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t end = job->first + job->n;
    return future ? dp_pool_for_async(pool, item_range, job, job->first, end, &job->options, future)
                  : dp_pool_for(pool, item_range, job, job->first, end, &job->options);
}

/* Cuts the items into planes, rows and columns. */
static int call_tiles(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    unsigned extra = job->step.extra;
    job->columns = 1 + extra % 13;
    job->rows = job->step.op == OP_for_3d ? 1 + extra / 16 : (job->n + 1) / job->columns;
    size_t planes = job->rows ? job->n / (job->columns * job->rows) : 0;
    if (job->step.op == OP_for_2d)
        planes = job->rows * job->columns <= job->n;
    job->n = planes * job->rows * job->columns;
    job->first = 0;
    dp_extent p = {0, planes, job->step.slot & 3}, r = {0, job->rows, extra >> 6},
              c = {0, job->columns, job->step.slot >> 2};
    if (job->step.op == OP_for_2d) {
        if (planes == 0)
            r.end = 0;
        return future ? dp_pool_for_2d_async(pool, item_2d, job, r, c, &job->options, future)
                      : dp_pool_for_2d(pool, item_2d, job, r, c, &job->options);
    }
    return future ? dp_pool_for_3d_async(pool, item_3d, job, p, r, c, &job->options, future)
                  : dp_pool_for_3d(pool, item_3d, job, p, r, c, &job->options);
}

static void make_identity(fuzz_job *job)
{
    const uint64_t neutral[2] = {1, 0};
    job->identity = malloc(job->size);
    CHECK(job->identity);
    memset(job->identity, 0x77, job->size);
    memcpy(job->identity, neutral, sizeof neutral);
}

static int call_reduce(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t end = job->first + job->n;
    void *out = job->is_kept ? NULL : job->out;
    return future ? dp_pool_reduce_async(pool, item_fold, job, job->first, end, item_combine,
                                         job->identity, out, job->size, &job->options, future)
                  : dp_pool_reduce(pool, item_fold, job, job->first, end, item_combine,
                                   job->identity, job->out, job->size, &job->options);
}

static int call_scan(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    dp_scan_kind kind = job->step.extra & 1 ? DP_SCAN_EXCLUSIVE : DP_SCAN_INCLUSIVE;
    char *in = job->in;
    for (size_t i = 0; i < job->n; i++) {
        uint64_t value[2] = {job_in(job, i) | 1, job_in(job, i) >> 7};
        memcpy(in + i * job->size, value, sizeof value);
    }
    if (job->step.extra & 2) { /* in place */
        memcpy(job->out, in, job->n * job->size);
        in = job->out;
    }
    return future ? dp_pool_scan_async(pool, item_combine, job, in, job->out, job->size, job->n,
                                       job->identity, kind, &job->options, future)
                  : dp_pool_scan(pool, item_combine, job, in, job->out, job->size, job->n,
                                 job->identity, kind, &job->options);
}

static int call_scan_range(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    size_t end = job->first + job->n;
    return future ? dp_pool_scan_range_async(pool, item_fold, item_scan, job, job->first, end,
                                             item_combine, job->identity, job->size, &job->options,
                                             future)
                  : dp_pool_scan_range(pool, item_fold, item_scan, job, job->first, end,
                                       item_combine, job->identity, job->size, &job->options);
}

static int call(fuzz_job *job, dp_pool *pool, dp_future **future)
{
    switch (job->step.op) {
    case OP_apply:
        return call_apply(job, pool, future);
    case OP_map:
    case OP_limiter:
        return call_map(job, pool, future);
    case OP_starmap:
        return call_starmap(job, pool, future);
    case OP_run:
        return call_run(job, pool, future);
    case OP_for:
        return call_for(job, pool, future);
    case OP_reduce:
        return call_reduce(job, pool, future);
    case OP_scan:
        return call_scan(job, pool, future);
    case OP_scan_range:
        return call_scan_range(job, pool, future);
    default:
        return call_tiles(job, pool, future);
    }
}

/* ---- Making one ---- */

static void call_sync(fuzz_job *job, closedness c)
{
    int code = call(job, job->pool, NULL);
    was_refused(c, code);
    job_settle(job, code, &job->error);
}

/* Items that want to know the future that they belong to have it when they pass the gate. */
static void publish(fuzz_job *job, dp_future *future)
{
    if (job->step.act == ACT_cancel || job->step.act == ACT_wait)
        atomic_store(&job->self, dp_future_retain(future));
}

static void call_async(player *p, fuzz_job *job, closedness c)
{
    dp_future *future = (dp_future *)(uintptr_t)64;
    if (job->step.how & HOW_gate)
        job->gate = p->opened + 1;
    int code = call(job, job->pool, &future);
    if (was_refused(c, code)) {
        const dp_error error = {.code = code, .item = DP_NO_ITEM, .text = dp_strerror(code)};
        CHECK(!future);
        job_settle(job, code, &error);
        return;
    }
    CHECK_EQUAL(code, 0);
    publish(job, future);
    future_take(p, job->step.slot, future, job);
}

int call_op(player *p, const fuzz_step *s)
{
    /* What NULL means on this thread. */
    unsigned slot = s->pool == MAX_POOLS && p->pushed ? p->config_pool[p->pushed - 1] : s->pool;
    if (s->op > OP_for_3d && s->op != OP_limiter)
        return 0;
    pool_life *life = enter(slot);
    if (!life)
        return 1;
    job_kind kind = kind_of(s->op);
    size_t most = kind == JOB_MAP ? (s->op == OP_apply ? 1 : 700) : 3000;
    size_t n = s->op == OP_apply ? 1 : items_for(s, most);
    dp_pool *pool = s->pool == MAX_POOLS ? NULL : life->pool;
    fuzz_job *job = job_new(p, s, life, pool, kind, n);
    closedness c = look_closed(life);
    dp_limiter *limiter = job->options.limiter;
    job->is_kept = job->is_async && s->extra & 16 && (s->op == OP_apply || s->op == OP_reduce);
    if (kind != JOB_MAP && kind != JOB_RANGE)
        make_identity(job);
    if (job->is_async)
        call_async(p, job, c);
    else
        call_sync(job, c);
    if (s->op == OP_limiter)
        dp_limiter_destroy(limiter);
    leave(slot);
    return 1;
}

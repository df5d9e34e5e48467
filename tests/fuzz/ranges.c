/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls without items do: loops, tiles, folds and scans, and the sums that must come of
   them. */
#include "machine.h"

/* ---- Ranges ---- */

static void note_range_failed(fuzz_job *job, size_t begin, int code)
{
    pthread_mutex_lock(&m.mutex);
    if (begin < atomic_load(&job->lowest)) {
        atomic_store(&job->lowest, begin);
        atomic_store(&job->lowest_code, code);
    }
    pthread_mutex_unlock(&m.mutex);
}

/* Runs the indices begin to end, counted from 0; with `counts` each must come once. */
static int run_range(fuzz_job *job, size_t begin, size_t end, int counts)
{
    int code = 0;
    CHECK(begin < end && end <= job->n);
    pass_gate(job);
    take_token(job);
    atomic_store_explicit(&job->entered, 1, memory_order_relaxed);
    for (size_t i = begin; i < end && counts; i++) {
        CHECK_EQUAL(job->items[i].begun, 0);
        job->items[i].begun = 1;
    }
    for (size_t i = begin; i < end && code == 0; i++)
        code = act_in_item(job, i);
    for (size_t i = begin; i < end && counts; i++)
        job->items[i].ended = 1;
    if (code == DP_ECANCELLED)
        atomic_store(&job->gave_up, 1);
    for (size_t i = begin; i < end && code == 0; i++)
        code = job_code(job, i, 1);
    if (code && code != DP_ECANCELLED)
        note_range_failed(job, job->first + begin, code);
    give_token(job);
    return code;
}

int item_range(size_t begin, size_t end, void *context)
{
    fuzz_job *job = context;
    CHECK(begin >= job->first);
    CHECK(job->chunk == 0 || job->step.op == OP_then || end - begin <= job->chunk);
    return run_range(job, begin - job->first, end - job->first, 1);
}

int item_2d(size_t r0, size_t r1, size_t c0, size_t c1, void *context)
{
    return item_3d(0, 1, r0, r1, c0, c1, context);
}

/* A tile; what is counted are its cells. */
int item_3d(size_t p0, size_t p1, size_t r0, size_t r1, size_t c0, size_t c1, void *context)
{
    fuzz_job *job = context;
    int code = 0;
    size_t cell = (p0 * job->rows + r0) * job->columns + c0;
    CHECK(p0 < p1 && r0 < r1 && c0 < c1 && r1 <= job->rows && c1 <= job->columns);
    pass_gate(job);
    take_token(job);
    atomic_store_explicit(&job->entered, 1, memory_order_relaxed);
    for (size_t p = p0; p < p1; p++)
        for (size_t r = r0; r < r1; r++)
            for (size_t c = c0; c < c1; c++) {
                fuzz_item *it = &job->items[(p * job->rows + r) * job->columns + c];
                CHECK_EQUAL(it->begun++, 0);
                it->ended++;
            }
    code = act_in_item(job, cell);
    if (code == DP_ECANCELLED)
        atomic_store(&job->gave_up, 1);
    else if ((code = job_code(job, cell, 1)))
        note_range_failed(job, cell, code);
    give_token(job);
    return code;
}

/* ---- Folds and scans ---- */

/* x -> a x + b. Composition is associative and not commutative. When order is not promised, the
   parts are combined each for itself, which is commutative. */
typedef struct affine {
    uint64_t a, b;
} affine;

static affine affine_in(const fuzz_job *job, size_t i)
{
    uint64_t in = job_in(job, i);
    return (affine){in | 1, in >> 7};
}

static int keeps_order(const fuzz_job *job)
{
    return job->kind != JOB_REDUCE || job->options.deterministic;
}

static affine composed(const fuzz_job *job, affine first, affine second)
{
    if (!keeps_order(job))
        return (affine){first.a * second.a, first.b + second.b};
    return (affine){second.a * first.a, second.a * first.b + second.b};
}

static affine load(const void *memory)
{
    affine value;
    memcpy(&value, memory, sizeof value);
    return value;
}

/* What lies behind the two numbers belongs to the identity and must come along. */
void item_combine(void *accumulator, const void *other, void *context)
{
    const fuzz_job *job = context;
    affine value = composed(job, load(accumulator), load(other));
    memcpy(accumulator, &value, sizeof value);
}

int item_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    fuzz_job *job = context;
    affine value = load(accumulator);
    for (size_t i = begin; i < end; i++)
        value = composed(job, value, affine_in(job, i - job->first));
    memcpy(accumulator, &value, sizeof value);
    return run_range(job, begin - job->first, end - job->first, job->kind == JOB_REDUCE);
}

int item_scan(void *accumulator, size_t begin, size_t end, void *context)
{
    fuzz_job *job = context;
    affine value = load(accumulator);
    for (size_t i = begin - job->first; i < end - job->first; i++) {
        value = composed(job, value, affine_in(job, i));
        memcpy(job->out + i * job->size, &value, sizeof value);
    }
    memcpy(accumulator, &value, sizeof value);
    return run_range(job, begin - job->first, end - job->first, 1);
}

static void check_affine(const char *at, affine want)
{
    affine got = load(at);
    CHECK_EQUAL(got.a, want.a);
    CHECK_EQUAL(got.b, want.b);
}

void job_check_sums(const fuzz_job *job)
{
    int exclusive = job->kind == JOB_SCAN && job->step.extra & 1;
    affine sum = {1, 0};
    for (size_t i = 0; i < job->n; i++) {
        affine next = composed(job, sum, affine_in(job, i));
        if (job->kind != JOB_REDUCE)
            check_affine(job->out + i * job->size, exclusive ? sum : next);
        sum = next;
    }
    if (job->kind != JOB_REDUCE)
        return;
    check_affine(job->out, sum);
    CHECK_EQUAL(memcmp(job->out + sizeof sum, job->identity + sizeof sum, job->size - sizeof sum),
                0);
}

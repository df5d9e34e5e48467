/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: what their items do, and what must have come of them in the end. */
#include "machine.h"

enum { SCRIBBLE = 0x5b, NEVER = 12345 };

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    return stress_random(&state);
}

uint64_t job_in(const fuzz_job *job, size_t i)
{
    return mix(job->number, i);
}

uint64_t result_of(uint64_t in)
{
    return in * 3 + 1;
}

/* ---- Making ---- */

static void choose_options(fuzz_job *job, const fuzz_step *s)
{
    unsigned how = s->how;
    dp_options *o = &job->options;
    o->chunk = job->chunk = step_chunk(s);
    o->on_error = how & HOW_collect && job->has_items ? DP_ERRORS_COLLECT
                  : how & HOW_finish                  ? DP_ERRORS_FINISH
                                                      : DP_ERRORS_STOP;
    o->deterministic = (how & HOW_ordered) != 0;
    o->deadline = how & HOW_deadline ? (how & HOW_short ? (s->extra & 1 ? 3e-5 : 1e-9) : 3600) : 0;
    o->priority = how & HOW_high  ? DP_PRIORITY_HIGH
                  : how & HOW_low ? DP_PRIORITY_LOW
                                  : DP_PRIORITY_NORMAL;
    o->context = job;
    o->error = job->is_async ? NULL : &job->error;
    if (!job->has_items)
        return;
    o->retries = (how & HOW_retry ? 1u : 0) + (how & HOW_retry2 ? 2u : 0);
    o->seed = how & HOW_seed ? 1 + (uint64_t)s->extra : 0;
    job->tiny_timeout = how & HOW_limit && s->extra & 2;
    o->run_timeout = how & HOW_limit ? (job->tiny_timeout ? 1e-9 : 3600) : 0;
}

static void report(const dp_progress *progress, void *context)
{
    fuzz_job *job = context;
    CHECK_EQUAL(job->last_reports, 0);
    CHECK(progress->done >= job->reported);
    CHECK(progress->total == DP_NO_TOTAL || progress->done <= progress->total);
    CHECK(progress->failed <= progress->done);
    if (job->step.act == ACT_told)
        call_anything(job->life->slot, job->number);
    job->reported = progress->done;
    job->last_reports += progress->finished != 0;
}

static void add_limiter(fuzz_job *job, const fuzz_step *s)
{
    unsigned which = s->extra >> 7 & 1;
    if (s->op == OP_limiter) { /* One for this call alone, which the call keeps. */
        CHECK_EQUAL(dp_limiter_create(&job->options.limiter, 1), 0);
        job->active = &job->own_active;
        job->tokens = 1;
    } else if (s->how & HOW_limiter) {
        job->options.limiter = m.limiters[which];
        job->active = &m.active[which];
        job->tokens = m.tokens[which];
    }
}

/* With one more item than there are, so that nothing is ever NULL. */
static void make_arrays(fuzz_job *job)
{
    size_t n = job->n, size = job->size;
    job->items = calloc(n + 1, sizeof *job->items);
    job->in = calloc(n + 1, size);
    job->out = calloc(n + 1, size);
    job->told = calloc(n + 1, 1);
    CHECK(job->items && job->in && job->out && job->told);
    for (size_t i = 0; i < n && size >= sizeof(uint64_t); i++) {
        uint64_t in = job_in(job, i);
        memset(job->in + i * size, (int)i, size);
        memcpy(job->in + i * size, &in, sizeof in);
    }
    memset(job->out, SCRIBBLE, (n + 1) * size);
    if (job->step.how & (HOW_status | HOW_collect) && job->has_items && job->kind != JOB_ITER) {
        job->status = malloc((n + 1) * sizeof *job->status);
        CHECK(job->status);
        for (size_t i = 0; i <= n; i++)
            job->status[i] = NEVER;
        job->options.status = job->status;
    }
}

fuzz_job *job_new(player *p, const fuzz_step *s, pool_life *life, dp_pool *pool, job_kind kind,
                  size_t n)
{
    static const uint8_t sizes[] = {16, 24, 80, 16, 16, 200, 32, 48};
    fuzz_job *job = calloc(1, sizeof *job);
    CHECK(job);
    job->step = *s;
    job->thread = p->index;
    job->life = life;
    job->pool = pool;
    job->cancels_before = atomic_load(&life->cancelled);
    job->kind = kind;
    job->n = n;
    job->has_items = kind == JOB_MAP || kind == JOB_ITER || kind == JOB_NOTHING;
    job->is_async = s->how & HOW_async || s->op == OP_limiter;
    job->size = kind == JOB_REDUCE || kind == JOB_SCAN || kind == JOB_SCAN_RANGE
                    ? sizes[s->extra >> 2 & 7]
                    : sizeof(uint64_t);
    job->first = job->has_items || kind == JOB_SCAN ? 0 : s->at * (size_t)1000003;
    atomic_store(&job->lowest, SIZE_MAX);
    choose_options(job, s);
    if (s->how & HOW_progress) {
        job->options.progress = report;
        job->options.progress_context = job;
    }
    add_limiter(job, s);
    pthread_mutex_lock(&m.mutex);
    job->number = m.njobs++;
    job->next = m.jobs;
    m.jobs = job;
    pthread_mutex_unlock(&m.mutex);
    make_arrays(job);
    return job;
}

void job_free_arrays(fuzz_job *job)
{
    free(job->items);
    free(job->in);
    free(job->out);
    free(job->identity);
    free(job->status);
    free(job->told);
    free(job->delayed);
    job->items = NULL;
    job->in = job->out = job->identity = NULL;
    job->status = NULL;
    job->told = NULL;
    job->delayed = NULL;
}

/* ---- Which items fail ---- */

/* What the given attempt at an item returns, counted from 1. The low half of the code is which
   items, the upper how often. */
int job_code(const fuzz_job *job, size_t i, unsigned attempt)
{
    static const uint16_t every[16] = {0,  1,   2,   3,   5, 8,  16, 31,
                                       64, 100, 257, 700, 7, 13, 50, 1000};
    unsigned fail = job->step.fail, mod = every[fail & 15], times = fail >> 6;
    if (mod == 0 || i % mod != (fail >> 4 & 3) % mod || (times > 0 && attempt > times))
        return 0;
    return 7 + (int)(i & 3);
}

/* How often an item is run that nobody disturbs. */
static unsigned attempts_of(const fuzz_job *job, size_t i)
{
    unsigned attempt = 1;
    while (attempt <= job->options.retries && (job->tiny_timeout || job_code(job, i, attempt)))
        attempt++;
    return attempt;
}

/* What an item counts for after it was run. */
static int final_code(const fuzz_job *job, size_t i)
{
    return job->tiny_timeout ? DP_ETIMEDOUT : job->items[i].code;
}

/* ---- Inside ---- */

/* Waits until the thread that made the job lets it go on. The thread itself cannot wait for that.
 */
void pass_gate(fuzz_job *job)
{
    if (job->gate == 0 || me == job->thread + 1)
        return;
    const player *p = &m.players[job->thread];
    dp_blocking_begin();
    pthread_mutex_lock(&m.gates);
    while (p->opened < job->gate)
        pthread_cond_wait(&m.gate_opened, &m.gates);
    pthread_mutex_unlock(&m.gates);
    dp_blocking_end();
}

void take_token(fuzz_job *job)
{
    if (job->active)
        CHECK(atomic_fetch_add(job->active, 1) < job->tokens);
}

void give_token(fuzz_job *job)
{
    if (job->active)
        atomic_fetch_sub(job->active, 1);
}

static int run_item(fuzz_job *job, size_t i)
{
    fuzz_item *it = &job->items[i];
    pass_gate(job);
    take_token(job);
    atomic_store_explicit(&job->entered, 1, memory_order_relaxed);
    CHECK(i < job->n);
    CHECK_EQUAL(it->begun, it->ended);
    it->begun++;
    int code = act_in_item(job, i);
    it->gave_up = code == DP_ECANCELLED;
    if (code == 0)
        code = job_code(job, i, it->begun);
    it->code = code;
    it->ended++;
    give_token(job);
    return code;
}

static int compute(fuzz_job *job, void *out, uint64_t in, size_t i)
{
    int code = run_item(job, i);
    uint64_t result = result_of(in);
    if (out)
        memcpy(out, &result, sizeof result);
    return code;
}

int item_map(void *out, const void *in, void *context)
{
    fuzz_job *job = context;
    uint64_t value;
    /* A copied argument is that of an only item. */
    size_t i = job->n == 1 ? 0 : (size_t)((const char *)in - job->in) / job->size;
    memcpy(&value, in, sizeof value);
    CHECK_EQUAL(value, job_in(job, i));
    return compute(job, out, value, i);
}

int item_starmap(void *out, const void *const *in, void *context)
{
    fuzz_job *job = context;
    uint64_t value, same;
    size_t i = (size_t)((const char *)in[0] - job->in) / job->size;
    memcpy(&value, in[0], sizeof value);
    memcpy(&same, in[1], sizeof same);
    CHECK_EQUAL(value, job_in(job, i));
    CHECK_EQUAL(same, job_in(job, 0));
    return compute(job, out, value, i);
}

/* What a job that was followed hands on. */
static void check_handed_on(const fuzz_job *pred, const void *in)
{
    uint64_t value;
    CHECK_EQUAL(in != NULL, pred->is_kept);
    if (in && pred->kind == JOB_MAP) {
        memcpy(&value, in, sizeof value);
        CHECK_EQUAL(value, result_of(job_in(pred, 0)));
    }
}

int item_then(void *out, const void *in, void *context)
{
    fuzz_job *job = context;
    check_handed_on(job->preds[0], in);
    return compute(job, out, job_in(job, 0), 0);
}

int item_then_all(void *out, const void *const *in, void *context)
{
    fuzz_job *job = context;
    for (size_t i = 0; i < job->npreds; i++)
        check_handed_on(job->preds[i], in[i]);
    return compute(job, out, job_in(job, 0), 0);
}

/* ---- The oracle ---- */

/* Whether somebody has asked for the call to be stopped, in whatever way. */
int is_disturbed(const fuzz_job *job)
{
    return atomic_load(&job->cancelled) || atomic_load(&job->life->terminating) ||
           (job->is_async && atomic_load(&job->life->cancels) != job->cancels_before);
}

static int is_short(const fuzz_job *job)
{
    return job->options.deadline > 0 && job->options.deadline < 1;
}

/* What was found by looking at the items. */
typedef struct findings {
    size_t failed, skipped; /* how many */
    size_t lowest;          /* the first that failed */
    int code;               /* with this */
} findings;

static findings look_at_items(const fuzz_job *job)
{
    findings found = {0, 0, SIZE_MAX, 0};
    int stops = job->options.on_error == DP_ERRORS_STOP;
    for (size_t i = 0; i < job->n; i++) {
        const fuzz_item *it = &job->items[i];
        int code = final_code(job, i);
        CHECK_EQUAL(it->begun, it->ended);
        CHECK(it->begun <= attempts_of(job, i));
        if (it->begun && !stops && !is_disturbed(job) && !is_short(job) && !it->gave_up)
            CHECK_EQUAL(it->begun, attempts_of(job, i));
        if (!it->begun || code == DP_ECANCELLED)
            found.skipped++;
        else if (code && found.failed++ == 0)
            found = (findings){1, found.skipped, i, code};
        if (job->status)
            CHECK_EQUAL(job->status[i], it->begun ? code : DP_ECANCELLED);
        if (job->kind == JOB_MAP && it->begun && code == 0 && (job->settled || !job->is_kept)) {
            uint64_t out;
            memcpy(&out, job->out + i * job->size, sizeof out);
            CHECK_EQUAL(out, result_of(job_in(job, i)));
        }
    }
    return found;
}

static findings look_at_ranges(const fuzz_job *job)
{
    findings found = {0, atomic_load(&job->gave_up) != 0, SIZE_MAX, 0};
    for (size_t i = 0; i < job->n; i++) {
        CHECK_EQUAL(job->items[i].begun, job->items[i].ended);
        found.skipped += job->kind != JOB_SCAN && !job->items[i].begun;
    }
    found.lowest = atomic_load(&job->lowest);
    found.failed = found.lowest != SIZE_MAX;
    found.code = atomic_load(&job->lowest_code);
    return found;
}

static findings look(const fuzz_job *job)
{
    return job->has_items ? look_at_items(job) : look_at_ranges(job);
}

/* Whether what was left out may have been. */
static void check_skipped(const fuzz_job *job, const findings *found)
{
    int scans =
        job->kind == JOB_SCAN || job->kind == JOB_SCAN_RANGE; /* whose blocks need those before */
    int by_failure = found->failed && (scans || job->options.on_error == DP_ERRORS_STOP);
    if (found->skipped && !by_failure)
        CHECK(is_disturbed(job) || is_short(job));
}

static void check_code(const fuzz_job *job, int code, const findings *found)
{
    int collects = job->options.on_error == DP_ERRORS_COLLECT;
    if (found->failed && !collects) {
        CHECK_EQUAL(code, DP_ETASK);
    } else if (found->skipped) {
        CHECK(code == DP_ECANCELLED || code == DP_ETIMEDOUT);
        CHECK(code != DP_ETIMEDOUT || is_short(job));
    } else if (job->n == 0 || job->kind == JOB_SCAN || job->kind == JOB_NOTHING) {
        CHECK(code == 0 || is_disturbed(job) || is_short(job));
    } else {
        CHECK_EQUAL(code, 0);
    }
    CHECK(code != DP_ECANCELLED || is_disturbed(job) || is_short(job));
}

static void check_error(int code, const dp_error *error, const findings *found)
{
    CHECK_EQUAL(error->code, code);
    /* The time of an item is over: that is no code of the item's own. */
    int is_late = code == DP_ETASK && error->task_code == DP_ETIMEDOUT;
    CHECK(error->text && strcmp(error->text, dp_strerror(is_late ? DP_ETIMEDOUT : code)) == 0);
    CHECK_EQUAL(error->item, code == DP_ETASK ? found->lowest : DP_NO_ITEM);
    CHECK_EQUAL(error->task_code, code == DP_ETASK ? found->code : 0);
}

static void check_untouched(const fuzz_job *job)
{
    for (size_t i = 0; i < job->n; i++)
        CHECK_EQUAL(job->items[i].begun, 0);
}

/* A job that follows others ends like the first of them that did not end well. Whether it has run
   cannot be told when nobody has asked how one of them ended. */
typedef enum followed { MAY_RUN, MUST_NOT_RUN, UNKNOWN } followed;

static followed look_at_preds(const fuzz_job *job, int code, const dp_error *error)
{
    followed told = MAY_RUN;
    int own_end = is_disturbed(job) || is_short(job) || atomic_load(&job->life->closing);
    for (size_t i = 0; i < job->npreds; i++) {
        const fuzz_job *pred = job->preds[i];
        if (!pred->settled) {
            told = UNKNOWN;
        } else if (pred->code) {
            CHECK(code != 0);
            if (told == MAY_RUN && !own_end) {
                CHECK_EQUAL(code, pred->code);
                CHECK_EQUAL(error->item, pred->outcome.item);
                CHECK_EQUAL(error->task_code, pred->outcome.task_code);
            }
            return MUST_NOT_RUN;
        }
    }
    return code ? told : MAY_RUN;
}

static void check_end(fuzz_job *job, int code, const dp_error *error)
{
    findings found = look(job);
    check_skipped(job, &found);
    check_code(job, code, &found);
    check_error(code, error, &found);
    if (code == 0 && job->identity)
        job_check_sums(job);
}

void job_settle(fuzz_job *job, int code, const dp_error *error)
{
    followed told = look_at_preds(job, code, error);
    CHECK(!job->settled);
    job->settled = 1;
    job->code = code;
    job->outcome = *error;
    m.looked_at = job;
    if (atomic_load(&job->cancelled_clean)) {
        CHECK_EQUAL(code, DP_ECANCELLED);
        check_untouched(job);
    }
    if (code == DP_ECLOSED)
        CHECK(atomic_load(&job->life->closing) || job->npreds > 0);
    if (code == DP_ECLOSED || told == MUST_NOT_RUN)
        check_untouched(job);
    else if (told == MAY_RUN)
        check_end(job, code, error);
    job_free_arrays(job);
}

/* Nobody asked how it ended; its pool has. */
void job_check_orphan(fuzz_job *job)
{
    m.looked_at = job;
    if (job->npreds == 0 && job->kind != JOB_ITER) {
        findings found = look(job);
        /* What follows, even if it follows nothing, is due after it was made, perhaps too late. */
        if (!job->preds || !atomic_load(&job->life->closing) || found.skipped < job->n)
            check_skipped(job, &found);
        if (found.failed && job->options.on_error != DP_ERRORS_COLLECT)
            m.least += !atomic_load(&job->observed);
    }
    job_free_arrays(job);
}

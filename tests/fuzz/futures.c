/* SPDX-License-Identifier: Apache-2.0 */
/* Futures, what follows them, and waiting for several. */
#include "machine.h"

static int is_final(dp_future_state state)
{
    return state >= DP_FUTURE_DONE;
}

/* How long a step waits: not at all, a moment, or, after the gates were opened, for ever. */
static double limit_of(player *p, const fuzz_step *s)
{
    switch (s->extra & 3) {
    case 0:
        return 0;
    case 1:
        return 1e-5;
    case 2:
        open_gates(p);
        return STRESS_DEADLINE;
    default:
        open_gates(p);
        return DP_FOREVER;
    }
}

/* ---- Callbacks ---- */

static void on_done(dp_future *future, void *context)
{
    const notice *t = context;
    fuzz_job *job = t->job;
    dp_error error;
    CHECK(is_final(dp_future_status(future)));
    CHECK_EQUAL(dp_future_wait(future, 0), 0);
    CHECK_EQUAL(dp_future_error(future, &error), 0);
    if (atomic_fetch_add(&job->callbacks_called, 1) % 2 == 0 && job->step.extra & 64) {
        CHECK_EQUAL(dp_completed_add(m.set, future), 0);
        atomic_fetch_add(&m.added, 1);
    }
    if (t->step.fail)
        call_anything(t->step.pool, t->step.fail);
}

void add_callback(handle *h, const fuzz_step *s)
{
    notice *t = malloc(sizeof *t);
    CHECK(t);
    pthread_mutex_lock(&m.mutex);
    *t = (notice){m.notices, h->job, *s};
    m.notices = t;
    pthread_mutex_unlock(&m.mutex);
    atomic_store(&h->job->observed, 1);
    atomic_fetch_add(&h->job->callbacks_added, 1);
    CHECK_EQUAL(dp_future_on_done(h->future, on_done, t), 0);
}

/* ---- The end of a future ---- */

void release_handle(handle *h)
{
    dp_future_release(h->future);
    *h = (handle){NULL, NULL};
}

/* The result that a future keeps goes where the others go. */
static int get_result(handle *h)
{
    fuzz_job *job = h->job;
    size_t kept = job->is_kept ? job->size : 0;
    char extra[256];
    CHECK_EQUAL(dp_future_get(h->future, extra, kept + 1), DP_EINVAL);
    return dp_future_get(h->future, kept ? job->out : NULL, kept);
}

/* Looks at a future that has finished, for the first time or again. */
static void look_at_end(handle *h)
{
    fuzz_job *job = h->job;
    dp_error error;
    dp_future_state state = dp_future_status(h->future);
    CHECK(is_final(state));
    CHECK_EQUAL(dp_future_error(h->future, &error), 0);
    CHECK_EQUAL(state, error.code == 0               ? DP_FUTURE_DONE
                       : error.code == DP_ECANCELLED ? DP_FUTURE_CANCELLED
                                                     : DP_FUTURE_FAILED);
    atomic_store(&job->observed, 1);
    if (job->settled) {
        CHECK_EQUAL(error.code, job->code);
        CHECK_EQUAL(error.item, job->outcome.item);
        return;
    }
    CHECK_EQUAL(get_result(h), error.code);
    job_settle(job, error.code, &error);
}

void future_finish(player *p, handle *h)
{
    open_gates(p);
    CHECK_EQUAL(dp_future_wait(h->future, DP_FOREVER), 0);
    look_at_end(h);
}

/* A future that was just made takes a place of its thread, whose former one is waited for or just
   given back. */
void future_take(player *p, unsigned slot, dp_future *future, fuzz_job *job)
{
    handle *h = &p->futures[slot % FUTURES];
    if (h->future && job->number % 2)
        future_finish(p, h);
    if (h->future)
        release_handle(h);
    *h = (handle){future, job};
}

/* ---- One future ---- */

static void wait_for(player *p, const fuzz_step *s, handle *h)
{
    int code = dp_future_wait(h->future, limit_of(p, s));
    if (code == 0)
        look_at_end(h);
    else
        CHECK_EQUAL(code, DP_ETIMEDOUT);
    CHECK(code == 0 || (s->extra & 3) < 2);
}

static void get(player *p, const fuzz_step *s, handle *h)
{
    open_gates(p);
    if (s->extra & 1 && !h->job->is_kept && h->job->code == 0)
        (void)dp_future_get(h->future, NULL, 0);
    future_finish(p, h);
}

static void look_at_state(handle *h)
{
    dp_error error;
    dp_future_state state = dp_future_status(h->future);
    CHECK(state >= h->job->last_state && is_final(state) + is_final(h->job->last_state) < 3);
    CHECK(!is_final(h->job->last_state) || state == h->job->last_state);
    h->job->last_state = state;
    int code = dp_future_error(h->future, &error);
    CHECK(code == 0 || code == DP_EBUSY);
    CHECK(code == 0 || !is_final(state));
    if (is_final(state))
        look_at_end(h);
}

/* Also for a future of another thread. */
static void cancel(handle *h)
{
    atomic_store(&h->job->cancelled, 1);
    atomic_store(&h->job->observed, 1);
    int code = dp_future_cancel(h->future);
    dp_future_state state = dp_future_status(h->future);
    if (code == 0) {
        CHECK_EQUAL(state, DP_FUTURE_CANCELLED);
        atomic_store(&h->job->cancelled_clean, 1);
    } else if (code == DP_EFINISHED) {
        CHECK(state == DP_FUTURE_DONE || state == DP_FUTURE_FAILED);
    } else {
        CHECK_EQUAL(code, DP_EBUSY);
        CHECK(state >= DP_FUTURE_RUNNING);
    }
}

/* ---- What follows ---- */

static fuzz_job *following(player *p, const fuzz_step *s, pool_life *life, dp_pool *pool,
                           job_kind kind)
{
    fuzz_step made = *s;
    made.how |= HOW_async;
    made.act = s->act == ACT_wait ? ACT_none : s->act;
    fuzz_job *job = job_new(p, &made, life, pool, kind, kind == JOB_NOTHING ? 0 : 1);
    job->is_kept = kind != JOB_NOTHING && s->extra & 16;
    if (kind == JOB_NOTHING)
        job->options.status = NULL, job->options.on_error = DP_ERRORS_STOP;
    return job;
}

static void take_following(player *p, fuzz_job *job, closedness c, int code, dp_future *future)
{
    if (was_refused(c, code)) {
        const dp_error error = {.code = code, .item = DP_NO_ITEM, .text = dp_strerror(code)};
        CHECK(!future);
        job->npreds = 0;
        job_settle(job, code, &error);
    } else {
        CHECK_EQUAL(code, 0);
        future_take(p, job->step.slot, future, job);
    }
}

static void then(player *p, const fuzz_step *s, handle *h, pool_life *life, dp_pool *pool)
{
    dp_future *next = (dp_future *)(uintptr_t)64;
    fuzz_job *job = following(p, s, life, pool, JOB_MAP);
    closedness c = look_closed(life);
    job->preds = malloc(sizeof *job->preds);
    CHECK(job->preds);
    job->preds[job->npreds++] = h->job;
    atomic_store(&h->job->observed, 1);
    int code = dp_future_then(h->future, pool, item_then, job->is_kept ? NULL : job->out, job->size,
                              &job->options, &next);
    take_following(p, job, c, code, next);
}

static size_t gather(player *p, const fuzz_step *s, handle *found)
{
    size_t n = 0, step = 1 + (s->extra >> 5);
    for (size_t i = s->slot; i < FUTURES && n < FUTURES; i += step)
        if (p->futures[i].future)
            found[n++] = p->futures[i];
    if (n > 0 && n < FUTURES && s->extra & 4) {
        found[n] = found[0]; /* The same one twice. */
        n++;
    }
    return n;
}

static void then_all(player *p, const fuzz_step *s, pool_life *life, dp_pool *pool)
{
    handle found[FUTURES];
    dp_future *futures[FUTURES], *next = (dp_future *)(uintptr_t)64;
    size_t n = gather(p, s, found);
    int runs = (s->extra & 8) == 0;
    fuzz_job *job = following(p, s, life, pool, runs ? JOB_MAP : JOB_NOTHING);
    closedness c = look_closed(life);
    job->preds = calloc(n + 1, sizeof *job->preds);
    CHECK(job->preds);
    for (size_t i = 0; i < n; i++) {
        futures[i] = found[i].future;
        job->preds[job->npreds++] = found[i].job;
        atomic_store(&found[i].job->observed, 1);
    }
    void *out = job->is_kept ? NULL : job->out;
    int code = dp_future_then_all(n ? futures : NULL, n, pool, runs ? item_then_all : NULL,
                                  runs ? out : NULL, runs ? job->size : 0, &job->options, &next);
    take_following(p, job, c, code, next);
}

static void follow(player *p, const fuzz_step *s, handle *h)
{
    unsigned slot = s->pool == MAX_POOLS && p->pushed ? p->config_pool[p->pushed - 1] : s->pool;
    pool_life *life = enter(slot);
    if (!life)
        return;
    dp_pool *pool = s->pool == MAX_POOLS ? NULL : life->pool;
    if (s->op == OP_then_all)
        then_all(p, s, life, pool);
    else if (h)
        then(p, s, h, life, pool);
    leave(slot);
}

/* ---- Several ---- */

static int ended_badly(dp_future *future)
{
    dp_future_state state = dp_future_status(future);
    return state == DP_FUTURE_FAILED || state == DP_FUTURE_CANCELLED;
}

/* Final states do not change, so the answer can be checked afterwards. */
static void check_wait(handle *found, size_t n, dp_wait_mode mode, size_t finished, size_t index)
{
    size_t final = 0, bad = DP_NO_ITEM;
    for (size_t i = n; i-- > 0;) {
        final += is_final(dp_future_status(found[i].future)) != 0;
        if (ended_badly(found[i].future))
            bad = i;
    }
    CHECK(finished <= final);
    CHECK(index == DP_NO_ITEM || index < n);
    if (mode == DP_WAIT_ANY)
        CHECK(n == 0 || (finished >= 1 && is_final(dp_future_status(found[index].future))));
    else if (index != DP_NO_ITEM)
        CHECK(ended_badly(found[index].future));
    if (mode == DP_WAIT_ALL) {
        CHECK_EQUAL(finished, n);
        CHECK_EQUAL(index, bad);
    }
    if (mode == DP_WAIT_FIRST_ERROR && index == DP_NO_ITEM)
        CHECK_EQUAL(finished, n);
}

static void wait_many(player *p, const fuzz_step *s)
{
    handle found[FUTURES];
    dp_future *futures[FUTURES];
    dp_wait_mode mode = (dp_wait_mode)(s->fail % 3);
    size_t n = gather(p, s, found), finished = 77, index = 77;
    for (size_t i = 0; i < n; i++) {
        futures[i] = found[i].future;
        atomic_store(&found[i].job->observed, 1);
    }
    int code = dp_wait(n ? futures : NULL, n, mode, limit_of(p, s), &finished, &index);
    if (code == 0)
        check_wait(found, n, mode, finished, index);
    else
        CHECK_EQUAL(code, DP_ETIMEDOUT);
    CHECK(code == 0 || (s->extra & 3) < 2);
    CHECK(finished <= n);
}

/* ---- Sets ---- */

static void add_to_set(player *p, const fuzz_step *s, handle *h)
{
    dp_completed *set = s->extra & 4 ? p->set : m.set;
    if (!p->set)
        CHECK_EQUAL(dp_completed_create(&p->set), 0);
    if (!set)
        set = p->set;
    atomic_store(&h->job->observed, 1);
    CHECK_EQUAL(dp_completed_add(set, h->future), 0);
    if (set == m.set)
        atomic_fetch_add(&m.added, 1);
    else
        p->added++;
}

/* What others have added may belong to threads that never open their gates while we wait, so only
   the thread's own set is waited for without limit. */
static void take_from_set(player *p, const fuzz_step *s)
{
    dp_future *future = (dp_future *)(uintptr_t)64;
    int own = s->extra & 4 && p->set;
    double limit = own ? limit_of(p, s) : s->extra & 1 ? 1e-5 : 0;
    int code = dp_completed_next(own ? p->set : m.set, limit, &future);
    if (code == 0) {
        CHECK(is_final(dp_future_status(future)));
        dp_future_release(future);
        if (own)
            p->taken++;
        else
            atomic_fetch_add(&m.taken, 1);
        return;
    }
    CHECK(!future);
    CHECK(code == DP_EFINISHED || (code == DP_ETIMEDOUT && limit < 1));
    if (own)
        CHECK((code == DP_EFINISHED) == (p->taken == p->added));
}

static void drop_set(player *p)
{
    dp_completed_destroy(p->set);
    p->set = NULL;
    p->added = p->taken = 0;
}

void sets_end(player *p)
{
    drop_set(p);
}

/* ---- Between threads ---- */

static void share(handle *h, unsigned place)
{
    handle before;
    pthread_mutex_lock(&m.mutex);
    before = m.shared[place];
    m.shared[place] = (handle){dp_future_retain(h->future), h->job};
    pthread_mutex_unlock(&m.mutex);
    release_handle(&before);
}

/* Does something to a future that another thread may be using. */
static void peek(player *p, const fuzz_step *s)
{
    pthread_mutex_lock(&m.mutex);
    handle h = m.shared[s->slot % SHARED];
    dp_future_retain(h.future);
    pthread_mutex_unlock(&m.mutex);
    if (!h.future)
        return;
    int code;
    switch (s->extra >> 2 & 3) {
    case 0: /* Whoever made it opens its gate when it waits in turn, so not for ever. */
        open_gates(p);
        code = dp_future_wait(h.future, s->extra & 1 ? 1e-5 : 0);
        CHECK(code == 0 || code == DP_ETIMEDOUT);
        break;
    case 1:
        cancel(&h);
        break;
    case 2:
        add_callback(&h, s);
        break;
    default:
        atomic_store(&h.job->observed, 1);
        (void)dp_future_status(h.future);
        break;
    }
    release_handle(&h);
}

int future_op(player *p, const fuzz_step *s)
{
    handle *h = &p->futures[s->slot];
    if (s->op < OP_then || s->op > OP_drop_set)
        return 0;
    switch ((fuzz_op)s->op) {
    case OP_wait_many:
        wait_many(p, s);
        return 1;
    case OP_then_all:
        follow(p, s, NULL);
        return 1;
    case OP_peek:
        peek(p, s);
        return 1;
    case OP_take:
        take_from_set(p, s);
        return 1;
    case OP_drop_set:
        drop_set(p);
        return 1;
    default:
        break;
    }
    if (!h->future)
        return 1;
    switch ((fuzz_op)s->op) {
    case OP_then:
        follow(p, s, h);
        break;
    case OP_wait:
        wait_for(p, s, h);
        break;
    case OP_get:
        get(p, s, h);
        break;
    case OP_status:
        look_at_state(h);
        break;
    case OP_cancel:
        cancel(h);
        break;
    case OP_on_done:
        add_callback(h, s);
        break;
    case OP_share:
        share(h, s->extra % SHARED);
        break;
    case OP_add:
        add_to_set(p, s, h);
        break;
    default:
        release_handle(h);
        break;
    }
    return 1;
}

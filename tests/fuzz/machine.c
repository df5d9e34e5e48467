/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning and the end of a program, and its threads. */
#include "machine.h"

#include "support/custom.h"

machine m;
_Thread_local unsigned me;

/* Seconds that a program may take: far beyond what any needs on a busy machine. */
static time_t patience(void)
{
    const char *seconds = getenv("DP_FUZZ_PATIENCE");
    return seconds && atoi(seconds) > 0 ? atoi(seconds) : 50;
}

/* ---- When something is wrong ---- */

static void show_state(void)
{
    program_show(&m.program, stderr);
    for (unsigned i = 0; i < m.program.threads; i++)
        fprintf(stderr, "thread %u is at step %zu\n", i, atomic_load(&m.players[i].at));
    const fuzz_job *job = atomic_load(&m.looked_at);
    if (job) {
        fprintf(stderr, "the call that was looked at last, number %u, code %d, is ", job->number,
                job->code);
        step_show(&job->step, stderr);
    }
}

void fuzz_fail(void)
{
    show_state();
    abort();
}

/* ---- Gates and pools ---- */

void open_gates(player *p)
{
    pthread_mutex_lock(&m.gates);
    p->opened++;
    pthread_cond_broadcast(&m.gate_opened);
    pthread_mutex_unlock(&m.gates);
}

pool_life *enter(unsigned slot)
{
    if (pthread_rwlock_tryrdlock(&m.users[slot]) != 0)
        return NULL;
    if (!m.lives[slot])
        leave(slot);
    return m.lives[slot];
}

void leave(unsigned slot)
{
    CHECK_EQUAL(pthread_rwlock_unlock(&m.users[slot]), 0);
}

int enter_alone(unsigned slot)
{
    return pthread_rwlock_trywrlock(&m.users[slot]) == 0;
}

/* ---- Threads ---- */

static void take_step(player *p, const fuzz_step *s)
{
    int is_async = s->op <= OP_for_3d && s->how & HOW_async;
    if (op_waits(s->op) && !is_async)
        open_gates(p);
    if (s->op == OP_open)
        open_gates(p);
    else if (!call_op(p, s) && !future_op(p, s) && !lazy_op(p, s) && !pool_op(p, s))
        CHECK(small_op(p, s));
}

/* What the thread has left behind. Some futures are waited for, and some are just given back. */
static void tidy(player *p)
{
    open_gates(p);
    for (unsigned i = 0; i < ITERS; i++)
        lazy_drop(p, &p->lazies[i]);
    for (unsigned i = 0; i < FUTURES; i++) {
        if (p->futures[i].future && p->futures[i].job->number % 4 != 3)
            future_finish(p, &p->futures[i]);
        release_handle(&p->futures[i]);
    }
    sets_end(p);
    for (; p->pushed > 0; p->pushed--)
        CHECK_EQUAL(dp_config_pop(), 0);
}

static void *play(void *argument)
{
    player *p = argument;
    me = p->index + 1;
    for (size_t i = 0; i < m.program.nsteps; i++) {
        const fuzz_step *s = &m.program.steps[i];
        atomic_store(&p->at, i);
        if (s->thread == p->index)
            take_step(p, s);
    }
    atomic_store(&p->at, MAX_STEPS);
    tidy(p);
    return NULL;
}

/* ---- The environment ---- */

static const struct {
    const char *text;
    dp_engine engine;
} engines_outside[] = {{NULL, DP_ENGINE_AUTO},           {"serial", DP_ENGINE_SERIAL},
                       {"threads", DP_ENGINE_THREADS},   {"nonsense", DP_ENGINE_AUTO},
                       {"processes", DP_ENGINE_THREADS}, {"auto", DP_ENGINE_AUTO}};

static const char *const pins_outside[] = {NULL, "none", "compact", "nonsense"};

dp_engine engine_outside(void)
{
    return engines_outside[m.program.outside % 6].engine;
}

static void set_outside(const char *variable, const char *text)
{
    CHECK_EQUAL(text ? setenv(variable, text, 1) : unsetenv(variable), 0);
}

/* While there are no other threads that look. */
static void set_environment(void)
{
    set_outside("DP_ENGINE", engines_outside[m.program.outside % 6].text);
    set_outside("DP_PIN", pins_outside[m.program.outside / 6 % 4]);
}

/* ---- The beginning ---- */

static void on_unobserved(const dp_error *error, void *context)
{
    (void)context;
    CHECK(error->code != 0 && error->code != DP_ECANCELLED);
    atomic_fetch_add(&m.unobserved, 1);
}

static void on_message(void *context, int level, const char *text)
{
    (void)context;
    CHECK(level == 1 || level == 2);
    CHECK(text[0]);
    atomic_fetch_add(&m.messages, 1);
}

static void begin(void)
{
    CHECK_EQUAL(dp_on_unobserved_error(on_unobserved, NULL), 0);
    CHECK_EQUAL(dp_on_message(on_message, NULL), 0);
    pthread_mutex_init(&m.mutex, NULL);
    pthread_mutex_init(&m.gates, NULL);
    pthread_cond_init(&m.gate_opened, NULL);
    CHECK_EQUAL(dp_completed_create(&m.set), 0);
    for (unsigned i = 0; i < POOL_SLOTS; i++)
        pthread_rwlock_init(&m.users[i], NULL);
    for (unsigned i = 0; i < MAX_LIMITERS; i++) {
        m.tokens[i] = m.program.limiters[i];
        CHECK_EQUAL(dp_limiter_create(&m.limiters[i], m.tokens[i]), 0);
    }
    for (unsigned i = 0; i < MAX_POOLS; i++)
        if (m.program.pools[i])
            pool_make(i, m.program.pools[i], 1);
    default_pool_new();
}

/* ---- The end ---- */

static void end_pool(unsigned slot)
{
    /* Work of other pools may be using it, but waits for nothing meanwhile. */
    CHECK_EQUAL(pthread_rwlock_wrlock(&m.users[slot]), 0);
    pool_life *life = m.lives[slot];
    if (life) {
        atomic_store(&life->closing, 1);
        CHECK_EQUAL(dp_pool_destroy(life->pool), 0);
        pool_note_ended(life);
    }
    leave(slot);
}

/* The first pool last: work of others may have it in its configuration. */
static void end_pools(void)
{
    for (unsigned i = POOL_SLOTS; i-- > 0;)
        end_pool(i);
}

static void end_notices(void)
{
    for (notice *t = m.notices, *next; t; t = next) {
        next = t->next;
        free(t);
    }
}

static void end_job(fuzz_job *job)
{
    int was_settled = job->settled;
    if (!was_settled)
        job_check_orphan(job);
    m.most += job->is_async && !was_settled;
    CHECK_EQUAL(atomic_load(&job->callbacks_called), atomic_load(&job->callbacks_added));
    free(job->preds);
    free(job);
}

/* What finished only with the pools is given as well; callbacks have added the last. */
static void end_set(void)
{
    dp_future *future;
    while (dp_completed_next(m.set, DP_FOREVER, &future) == 0) {
        dp_future_release(future);
        atomic_fetch_add(&m.taken, 1);
    }
    CHECK_EQUAL(atomic_load(&m.taken), atomic_load(&m.added));
    dp_completed_destroy(m.set);
}

static void end_limiters(void)
{
    uint32_t taken = 7;
    size_t waiting = 7;
    for (unsigned i = 0; i < MAX_LIMITERS; i++) {
        CHECK_EQUAL(dp_limiter_usage(m.limiters[i], &taken, &waiting), 0);
        CHECK_EQUAL(taken, 0);
        CHECK_EQUAL(waiting, 0);
        dp_limiter_destroy(m.limiters[i]);
    }
}

/* In the order of their making, since what follows looks at what it followed. */
static void end_jobs(void)
{
    fuzz_job *reversed = NULL, *next;
    for (fuzz_job *j = m.jobs; j; j = next) {
        dp_future_release(atomic_load(&j->self)); /* The last one, for some. */
        next = j->next;
        j->next = reversed;
        reversed = j;
    }
    for (fuzz_job *j = reversed; j; j = next) {
        next = j->next;
        end_job(j);
    }
}

static void end(void)
{
    end_pools();
    for (unsigned i = 0; i < SHARED; i++)
        release_handle(&m.shared[i]);
    end_set();
    end_limiters();
    end_jobs();
    end_notices();
    for (pool_life *life = m.all_lives, *next; life; life = next) {
        next = life->next;
        free(life);
    }
    for (unsigned i = 0; i < POOL_SLOTS; i++)
        pthread_rwlock_destroy(&m.users[i]);
    pthread_mutex_destroy(&m.mutex);
    pthread_mutex_destroy(&m.gates);
    pthread_cond_destroy(&m.gate_opened);
    CHECK_EQUAL(dp_on_unobserved_error(NULL, NULL), 0);
    CHECK_EQUAL(dp_on_message(NULL, NULL), 0);
}

/* ---- A whole program ---- */

/* The first thread of the program begins and ends it. */
static void *conduct(void *unused)
{
    uint64_t unobserved = dp_unobserved_errors();
    (void)unused;
    set_environment();
    begin();
    for (unsigned i = 0; i < m.program.threads; i++) {
        m.players[i].index = i;
        if (i > 0)
            CHECK_EQUAL(pthread_create(&m.players[i].thread, NULL, play, &m.players[i]), 0);
    }
    play(&m.players[0]);
    for (unsigned i = 1; i < m.program.threads; i++)
        CHECK_EQUAL(pthread_join(m.players[i].thread, NULL), 0);
    end();
    unobserved = dp_unobserved_errors() - unobserved;
    CHECK_EQUAL(atomic_load(&m.unobserved), unobserved);
    CHECK(m.least <= unobserved && unobserved <= m.most + atomic_load(&m.forgotten));
    return NULL;
}

/* The calling thread only watches, so that what hangs is seen. */
static void conduct_watched(void)
{
    pthread_t conductor;
    struct timespec until;
    CHECK_EQUAL(pthread_create(&conductor, NULL, conduct, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience();
    if (pthread_timedjoin_np(conductor, NULL, &until) != 0) {
        fprintf(stderr, "the program hangs\n");
        fuzz_fail();
    }
}

void machine_run(const uint8_t *bytes, size_t size)
{
    static int threads_before;
    if (threads_before == 0) {
        setenv("DP_NUM_WORKERS", "2", 1); /* The same on every machine. */
        (void)custom_engine();
        threads_before = stress_threads_before();
    }
    memset(&m, 0, sizeof m);
    program_decode(&m.program, bytes, size);
    conduct_watched();
    stress_expect_threads(threads_before);
}

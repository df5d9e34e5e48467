/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tasks that take their process with them, or have to be stopped: what becomes of them, and that
 * nothing becomes of the others.
 */

#include <sys/mman.h>
#include <sys/wait.h>

#include "support/processes.h"

/* ---- Ways to die ---- */

static void by_fault(void)
{
    volatile char *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *nothing = 1;
}

static void by_exit_0(void)
{
    exit(0);
}

static void by_exit_99(void)
{
    exit(99);
}

static void by_exit_at_once(void)
{
    _exit(7);
}

static void by_own_kill(void)
{
    kill(getpid(), SIGKILL);
}

static void by_sigterm(void)
{
    raise(SIGTERM);
}

/* The results depend on one another, so that no compiler makes a loop of it. */
static int deeper(volatile int *above)
{
    volatile int here[256];
    here[0] = *above + 1;
    return here[0] < 0 ? 0 : deeper(here) + here[0];
}

static void by_deep_recursion(void)
{
    volatile int top = 0;
    deeper(&top);
}

static void by_stopping(void)
{
    raise(SIGSTOP);
}

static void by_own_group(void)
{
    kill(0, SIGKILL);
}

static void by_another_program(void)
{
    execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
}

/* As programs do that know nothing better. */
static void by_lack_of_memory(void)
{
    volatile size_t much = SIZE_MAX / 4;
    char *memory = malloc(much);
    if (!memory)
        abort();
    free(memory);
}

/* Where it is not found by its own number any more. */
static void by_stopping_elsewhere(void)
{
    setpgid(0, getpgid(getppid()));
    raise(SIGSTOP);
}

/* The system does not even stop who waits for that. */
static void by_waiting_for_a_child(void)
{
    if (vfork() == 0)
        for (;;)
            pause();
}

typedef struct death {
    const char *name;
    void (*die)(void);
    int signal, exit_status;
    int task_code;
    double run_timeout;
} death;

/* Long enough for all the others even on a busy machine, and short enough to wait for. */
#define SHORT 0.3

static const death deaths[] = {
    {"fault", by_fault, SIGSEGV, 0, DP_ECRASH, 0},
    {"abort", abort, SIGABRT, 0, DP_ECRASH, 0},
    {"exit(0)", by_exit_0, 0, 0, DP_ECRASH, 0},
    {"exit(99)", by_exit_99, 0, 99, DP_ECRASH, 0},
    {"_exit(7)", by_exit_at_once, 0, 7, DP_ECRASH, 0},
    {"SIGKILL", by_own_kill, SIGKILL, 0, DP_ECRASH, 0},
    {"SIGTERM", by_sigterm, SIGTERM, 0, DP_ECRASH, 0},
    {"stack overflow", by_deep_recursion, SIGSEGV, 0, DP_ECRASH, 0},
    {"no memory", by_lack_of_memory, SIGABRT, 0, DP_ECRASH, 0},
    {"kill(0)", by_own_group, SIGKILL, 0, DP_ECRASH, 0},
    {"exec", by_another_program, 0, 5, DP_ECRASH, 0},
    {"SIGSTOP", by_stopping, SIGKILL, 0, DP_ETIMEDOUT, SHORT},
    {"SIGSTOP elsewhere", by_stopping_elsewhere, SIGKILL, 0, DP_ETIMEDOUT, SHORT},
    {"vfork", by_waiting_for_a_child, SIGKILL, 0, DP_ETIMEDOUT, SHORT},
    {"endless loop", loop_on, SIGKILL, 0, DP_ETIMEDOUT, SHORT},
};

/* ---- Error policies ---- */

enum { N = 64, VICTIM = 20, LATER_VICTIM = 45, UNTOUCHED = -1 };

typedef struct killing {
    int is_deadly[N];
    int death;
} killing;

static int square_or_die(void *out, const void *in, void *context)
{
    const killing *k = context;
    int i = *(const int *)in;
    if (k->is_deadly[i])
        deaths[k->death].die();
    *(int *)out = i * i;
    return 0;
}

typedef struct outcome {
    int code;
    dp_error error;
    int in[N], out[N], status[N];
} outcome;

static outcome run_deadly(dp_pool *pool, const death *how, const killing *k, dp_error_policy policy)
{
    outcome o;
    dp_options options = {.on_error = policy,
                          .status = o.status,
                          .error = &o.error,
                          .context = (void *)(uintptr_t)k,
                          .context_size = sizeof *k,
                          .run_timeout = how->run_timeout};
    for (int i = 0; i < N; i++)
        o.in[i] = i, o.out[i] = UNTOUCHED;
    o.code = dp_pool_map(pool, square_or_die, o.in, sizeof(int), o.out, sizeof(int), N, &options);
    return o;
}

static void expect_death(const dp_error *error, const death *how, size_t item)
{
    EXPECT(DP_ETASK, error->code);
    EXPECT(how->task_code, error->task_code);
    cr_assert_eq(error->item, item, "%s: item %zu", how->name, error->item);
    cr_assert_gt(error->pid, 0, "%s", how->name);
    cr_assert_eq(error->signal, how->signal, "%s: signal %d", how->name, error->signal);
    cr_assert_eq(error->exit_status, how->exit_status, "%s: %d", how->name, error->exit_status);
    cr_assert_str_eq(error->text, dp_strerror(how->task_code), "%s", how->name);
}

/* What has run is right, whatever became of the others. Returns how many have. */
static int expect_partial(const outcome *o, const killing *k, const death *how)
{
    int ran = 0;
    for (int i = 0; i < N; i++) {
        if (o->status[i] == 0) {
            cr_assert_eq(o->out[i], i * i, "%s: item %d is %d", how->name, i, o->out[i]);
            cr_assert(!k->is_deadly[i]);
            ran++;
        } else {
            int wanted = k->is_deadly[i] ? how->task_code : DP_ECANCELLED;
            cr_assert(o->status[i] == wanted || o->status[i] == DP_ECANCELLED, "%s: item %d: %s",
                      how->name, i, dp_errname(o->status[i]));
            cr_assert_eq(o->out[i], UNTOUCHED, "%s: item %d", how->name, i);
        }
    }
    return ran;
}

DP_TEST(crash, stops_the_call)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    for (EACH(d, deaths)) {
        const killing k = {.is_deadly = {[VICTIM] = 1}, .death = (int)d};
        outcome o = run_deadly(pool, &deaths[d], &k, DP_ERRORS_STOP);
        EXPECT(DP_ETASK, o.code);
        expect_death(&o.error, &deaths[d], VICTIM);
        EXPECT(deaths[d].task_code, o.status[VICTIM]);
        expect_partial(&o, &k, &deaths[d]);
    }
    end_pool(pool);
}

DP_TEST(crash, fails_its_item_alone)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    for (EACH(d, deaths)) {
        const killing k = {.is_deadly = {[VICTIM] = 1, [LATER_VICTIM] = 1}, .death = (int)d};
        outcome o = run_deadly(pool, &deaths[d], &k, DP_ERRORS_FINISH);
        EXPECT(DP_ETASK, o.code);
        expect_death(&o.error, &deaths[d], VICTIM);
        cr_assert_eq(expect_partial(&o, &k, &deaths[d]), N - 2, "%s", deaths[d].name);
    }
    end_pool(pool);
}

DP_TEST(crash, is_collected)
{
    leave_no_cores();
    dp_pool *pool = new_processes(3);
    for (EACH(d, deaths)) {
        const killing k = {.is_deadly = {[0] = 1, [VICTIM] = 1, [N - 1] = 1}, .death = (int)d};
        outcome o = run_deadly(pool, &deaths[d], &k, DP_ERRORS_COLLECT);
        EXPECT(0, o.code);
        EXPECT(0, o.error.code);
        cr_assert_eq(expect_partial(&o, &k, &deaths[d]), N - 3, "%s", deaths[d].name);
        for (int i = 0; i < N; i++)
            EXPECT(k.is_deadly[i] ? deaths[d].task_code : 0, o.status[i]);
    }
    end_pool(pool);
}

DP_TEST(crash, of_every_item)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    killing k = {.death = 1};
    for (int i = 0; i < N; i++)
        k.is_deadly[i] = 1;
    outcome o = run_deadly(pool, &deaths[1], &k, DP_ERRORS_COLLECT);
    EXPECT(0, o.code);
    for (int i = 0; i < N; i++)
        EXPECT(DP_ECRASH, o.status[i]);
    k = (killing){.death = 0};
    o = run_deadly(pool, &deaths[0], &k, DP_ERRORS_COLLECT);
    cr_assert_eq(expect_partial(&o, &k, &deaths[0]), N);
    end_pool(pool);
}

/* In the middle of its argument, and of its result; they need several parcels. */
enum { LONG = 200000, HALF = LONG / 2 };

static int copy_or_die_in_the_middle(void *out, const void *in, void *context)
{
    const char *from = in;
    (void)context;
    memcpy(out, from, HALF);
    if (from[HALF] == VICTIM)
        abort();
    memcpy((char *)out + HALF, from + HALF, HALF);
    return 0;
}

DP_TEST(crash, in_the_middle_of_a_result)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    char *in = malloc(N * LONG), *out = malloc(N * LONG);
    dp_error error;
    dp_options options = {.on_error = DP_ERRORS_FINISH, .error = &error};
    cr_assert(in && out);
    for (int i = 0; i < N; i++)
        memset(in + i * LONG, i, LONG);
    memset(out, UNTOUCHED, N * LONG);
    EXPECT(DP_ETASK,
           dp_pool_map(pool, copy_or_die_in_the_middle, in, LONG, out, LONG, N, &options));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(error.item, VICTIM);
    memset(in + VICTIM * LONG, UNTOUCHED, LONG);
    cr_assert_eq(memcmp(in, out, N * LONG), 0);
    end_pool(pool);
    free(in);
    free(out);
}

/* ---- What is told ---- */

static int note_and_abort(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    *(int *)context = getpid();
    abort();
}

DP_TEST(crash, tells_which_process)
{
    leave_no_cores();
    dp_pool *pool = new_processes(1);
    int *pid = new_shared(sizeof *pid);
    dp_error error;
    dp_options options = {.context = pid, .error = &error};
    EXPECT(DP_ETASK, dp_pool_apply(pool, note_and_abort, NULL, 0, NULL, 0, &options));
    cr_assert_eq(error.pid, *pid);
    cr_assert_eq(error.signal, SIGABRT);
    cr_assert_eq(error.item, 0);
    end_pool(pool);
    dp_shared_free(pid);
}

DP_TEST(crash, is_told_by_a_future)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    int *pid = new_shared(sizeof *pid);
    dp_future *future;
    dp_error error;
    dp_options options = {.context = pid};
    EXPECT(0, dp_pool_apply_async(pool, note_and_abort, NULL, 0, NULL, 0, &options, &future));
    EXPECT(DP_ETASK, dp_future_get(future, NULL, 0));
    EXPECT(0, dp_future_error(future, &error));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_str_eq(error.text, dp_strerror(DP_ECRASH));
    cr_assert_eq(error.pid, *pid);
    cr_assert_eq(error.signal, SIGABRT);
    cr_assert_eq(dp_future_status(future), DP_FUTURE_FAILED);
    dp_future_release(future);
    end_pool(pool);
    dp_shared_free(pid);
}

/* Items from `exits` on give their number to exit(), and the first one fails without that. */
static int exit_or_fail(void *out, const void *in, void *context)
{
    int i = *(const int *)in;
    (void)out;
    if (i >= *(const int *)context)
        exit(i);
    return i == 0 ? DP_ECRASH : 0;
}

DP_TEST(crash, is_told_by_lazy_maps)
{
    enum { ITEMS = 9, EXITS = 5 };
    int in[ITEMS] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, exits = EXITS;
    for (size_t chunk = 0; chunk <= ITEMS; chunk += 3)
        for (int ordered = 0; ordered < 2; ordered++) {
            dp_pool *pool = new_processes(2);
            dp_source source = {.items = in, .n = ITEMS, .item_size = sizeof in[0]};
            dp_options options = {.on_error = DP_ERRORS_COLLECT,
                                  .chunk = chunk,
                                  .context = &exits,
                                  .context_size = sizeof exits};
            int (*make)(dp_pool *, dp_map_fn, const dp_source *, size_t, const dp_options *,
                        dp_iter **) = ordered ? dp_pool_imap : dp_pool_imap_unordered;
            dp_iter *iter;
            size_t index;
            int failed = 0, code;
            EXPECT(0, make(pool, exit_or_fail, &source, 0, &options, &iter));
            while ((code = dp_iter_next(iter, DP_FOREVER, &index, NULL)) != DP_EFINISHED) {
                dp_error error;
                int is_dead = index >= EXITS;
                EXPECT(0, dp_iter_error(iter, &error));
                EXPECT(is_dead || index == 0 ? DP_ETASK : 0, code);
                if (code == 0)
                    continue;
                failed++;
                EXPECT(DP_ECRASH, error.task_code);
                cr_assert_eq(error.pid != 0, is_dead);
                cr_assert_eq(error.signal, 0);
                cr_assert_eq(error.exit_status, is_dead ? (int)index : 0);
                /* Items may return any number, which is no sentence of dp's then. */
                cr_assert_str_eq(error.text, dp_strerror(is_dead ? DP_ECRASH : DP_ETASK));
            }
            cr_assert_eq(failed, ITEMS - EXITS + 1);
            EXPECT(0, dp_iter_destroy(iter));
            end_pool(pool);
        }
}

static int abort_or_fail_later(void *out, const void *in, void *context)
{
    int *pid = context;
    (void)out;
    if (*(const int *)in == 1) {
        __atomic_store_n(pid, getpid(), __ATOMIC_SEQ_CST);
        abort();
    }
    while (__atomic_load_n(pid, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    comes_true(is_dead, pid, PATIENCE);
    dp_sleep(0.05); /* So that the one is settled before the other, if not always. */
    return 5;
}

DP_TEST(crash, is_not_told_of_another_item)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    int *pid = new_shared(sizeof *pid), in[] = {0, 1};
    dp_error error;
    dp_options options = {.context = pid, .error = &error, .on_error = DP_ERRORS_FINISH};
    EXPECT(DP_ETASK,
           dp_pool_map(pool, abort_or_fail_later, in, sizeof in[0], NULL, 0, 2, &options));
    cr_assert_eq(error.item, 0);
    cr_assert_eq(error.task_code, 5);
    cr_assert_eq(error.pid, 0);
    cr_assert_eq(error.signal, 0);
    end_pool(pool);
    dp_shared_free(pid);
}

/* ---- Again ---- */

typedef struct attempts {
    atomic_int count;
    uint64_t drawn[8];
    int pid[8];
    int deadly; /* Attempts that end in death. */
    int death;
} attempts;

static int draw_and_die(void *out, const void *in, void *context)
{
    attempts *a = context;
    dp_random random;
    (void)in;
    int attempt = atomic_fetch_add(&a->count, 1);
    dp_item_random(&random);
    a->drawn[attempt] = dp_random_u64(&random);
    a->pid[attempt] = getpid();
    if (attempt < a->deadly)
        deaths[a->death].die();
    *(int *)out = attempt;
    return 0;
}

DP_TEST(crash, is_retried_with_the_same_numbers)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    for (EACH(d, deaths)) {
        attempts *a = new_shared(sizeof *a);
        dp_options options = {
            .context = a, .retries = 2, .seed = 77, .run_timeout = deaths[d].run_timeout};
        int result = UNTOUCHED;
        a->deadly = 2, a->death = (int)d;
        EXPECT(0, dp_pool_apply(pool, draw_and_die, NULL, 0, &result, sizeof result, &options));
        cr_assert_eq(result, 2, "%s: %d", deaths[d].name, result);
        cr_assert_eq(a->drawn[0], a->drawn[1]);
        cr_assert_eq(a->drawn[0], a->drawn[2]);
        cr_assert_neq(a->drawn[0], 0);
        cr_assert_neq(a->pid[0], a->pid[1]);
        dp_shared_free(a);
    }
    end_pool(pool);
}

DP_TEST(crash, is_retried_so_often_and_not_more)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    attempts *a = new_shared(sizeof *a);
    dp_error error;
    dp_options options = {.context = a, .retries = 2, .error = &error};
    int result = UNTOUCHED;
    a->deadly = 100;
    EXPECT(DP_ETASK, dp_pool_apply(pool, draw_and_die, NULL, 0, &result, sizeof result, &options));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(atomic_load(&a->count), 3);
    cr_assert_eq(result, UNTOUCHED);
    dp_shared_free(a);
    end_pool(pool);
}

/* The first attempt lasts too long while nobody can be killed. When somebody can again, the second
   one is there. */
#define LIMIT 0.4

typedef struct tries {
    atomic_int count;
    double begun[4];
} tries;

static int outlast_the_zygote(void *out, const void *in, void *context)
{
    tries *t = context;
    (void)out, (void)in;
    int attempt = atomic_fetch_add(&t->count, 1);
    t->begun[attempt] = seconds_now();
    if (attempt == 0)
        kill(getppid(), SIGSTOP);
    while (seconds_now() < t->begun[attempt] + (attempt ? LIMIT / 8 : 2 * LIMIT))
        if (attempt > 0)
            kill(getppid(), SIGCONT);
    return attempt == 0;
}

DP_TEST(crash, befalls_the_attempt_that_was_late)
{
    dp_pool *pool = new_processes(1);
    tries *t = new_shared(sizeof *t);
    dp_options options = {.context = t, .run_timeout = LIMIT, .retries = 3};
    EXPECT(0, dp_pool_apply(pool, outlast_the_zygote, NULL, 0, NULL, 0, &options));
    /* On a machine that is so busy that the second one has lasted so long it may be killed. */
    cr_assert(atomic_load(&t->count) == 2 || t->begun[2] - t->begun[1] > LIMIT);
    end_pool(pool);
    dp_shared_free(t);
}

/* ---- Other mischief ---- */

static int close_everything(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    *(int *)out = 1;
    return 0;
}

DP_TEST(crash, tasks_that_close_all_descriptors)
{
    leave_no_cores();
    dp_pool *pool = new_processes(2);
    int out[N] = {0};
    EXPECT(0, dp_pool_map(pool, close_everything, NULL, 0, out, sizeof(int), N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 1);
    const killing k = {.is_deadly = {[VICTIM] = 1}, .death = 1};
    outcome o = run_deadly(pool, &deaths[1], &k, DP_ERRORS_FINISH);
    cr_assert_eq(expect_partial(&o, &k, &deaths[1]), N - 1);
    end_pool(pool);
}

static int fork_one_that_stays(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    *(int *)out = pid;
    return pid < 0;
}

static int fork_one_that_ends(void *out, const void *in, void *context)
{
    int status = -1;
    (void)in, (void)context;
    pid_t pid = fork();
    if (pid == 0)
        exit(3);
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    *(int *)out = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return 0;
}

DP_TEST(crash, tasks_that_fork)
{
    enum { FEW = 4 };
    dp_pool *pool = new_processes(2);
    int out[FEW], status[FEW];
    EXPECT(0, dp_pool_map(pool, fork_one_that_ends, NULL, 0, status, sizeof(int), FEW, NULL));
    EXPECT(0, dp_pool_map(pool, fork_one_that_stays, NULL, 0, out, sizeof(int), FEW, NULL));
    for (int i = 0; i < FEW; i++) {
        cr_assert_eq(status[i], 3);
        cr_assert(is_alive(out[i]) || is_snapshot()); /* Which ends with the call. */
    }
    end_pool(pool);
    for (int i = 0; i < FEW; i++)
        cr_assert(comes_true(is_dead, &out[i], PATIENCE));
}

/* Both come back from the task; the child at a time when the parent waits for it. */
static int fork_and_return(void *out, const void *in, void *context)
{
    int status = -1, i = *(const int *)in;
    atomic_fetch_add((atomic_int *)context, 1);
    pid_t pid = fork();
    if (pid == 0)
        return 0;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 0)
        return 1;
    *(int *)out = i * i;
    return 0;
}

static int fork_and_return_from_range(size_t begin, size_t end, void *context)
{
    int i = (int)begin, out;
    for (; i < (int)end; i++)
        if (fork_and_return(&out, &i, context) != 0)
            return 1;
    return 0;
}

DP_TEST(crash, tasks_whose_children_come_back)
{
    enum { FEW = 20 };
    dp_pool *pool = new_processes(2);
    atomic_int *calls = new_shared(sizeof *calls);
    int in[FEW], out[FEW] = {0};
    dp_options options = {.context = calls};
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    for (int timed = 0; timed < 2; timed++) {
        options.run_timeout = timed ? PATIENCE : 0;
        EXPECT(0, dp_pool_map(pool, fork_and_return, in, sizeof(int), out, sizeof(int), FEW,
                              &options));
        for (int i = 0; i < FEW; i++)
            cr_assert_eq(out[i], i * i);
    }
    cr_assert_eq(atomic_load(calls), 2 * FEW);
    end_pool(pool);
    dp_shared_free(calls);
}

DP_TEST(crash, loops_whose_children_come_back)
{
    enum { FEW = 20 };
    dp_pool *pool = new_processes(2);
    atomic_int *calls = new_shared(sizeof *calls);
    dp_options options = {.chunk = 1};
    /* The child leaves in the middle of a range if that is longer. */
    EXPECT(0, dp_pool_for(pool, fork_and_return_from_range, calls, 0, FEW, &options));
    cr_assert_eq(atomic_load(calls), FEW);
    end_pool(pool);
    dp_shared_free(calls);
}

static int fork_and_abort(void *out, const void *in, void *context)
{
    if (fork_one_that_stays(context, in, NULL) == 0)
        abort();
    return *(int *)out = 1;
}

DP_TEST(crash, takes_its_children_with_it)
{
    leave_no_cores();
    dp_pool *pool = new_processes(1);
    int *pid = new_shared(sizeof *pid), out;
    dp_options options = {.context = pid};
    EXPECT(DP_ETASK, dp_pool_apply(pool, fork_and_abort, NULL, 0, &out, sizeof out, &options));
    cr_assert_gt(*pid, 0);
    cr_assert(comes_true(is_dead, pid, PATIENCE));
    end_pool(pool);
    dp_shared_free(pid);
}

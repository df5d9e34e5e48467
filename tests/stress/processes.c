/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of processes whose workers are killed at random, all the time: no result is lost or comes
 * twice, nothing hangs, and nothing is left behind. Then an application that is killed: its workers
 * are gone a moment later. Then pools that come and go beside a busy pool of threads.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "flat.h"

enum { WORKERS = 2, MAX_PIDS = 64 };

/* In a worker whose output is captured. */
static int prints;

static int begin_to_print(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    prints = 1;
    return 0;
}

static dp_pool *new_pool(int workers, dp_pool_process_options bounds)
{
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES, .workers = workers, .process = bounds};
    if (bounds.on_output)
        options.worker_init = begin_to_print;
    dp_pool *pool = NULL;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

/* Memory that is ours and our children's, made before them. */
static void *shared_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

/* ---- Processes, as /proc tells of them ---- */

/* What /proc says of a process: its parent, or 0 if it is gone or dead. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[300] = "", state = 'Z';
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const char *rest = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    if (!rest || sscanf(rest, ") %c %d", &state, &parent) != 2 || state == 'Z' || state == 'X')
        return 0;
    return parent;
}

/* The workers of a zygote. */
static int find_children(pid_t parent, pid_t *pids)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    CHECK(directory);
    while (count < MAX_PIDS && (entry = readdir(directory))) {
        pid_t pid = (pid_t)atol(entry->d_name);
        if (pid > 0 && parent_of(pid) == parent)
            pids[count++] = pid;
    }
    closedir(directory);
    return count;
}

static int tell_parent(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(pid_t *)out = getppid();
    return 0;
}

static pid_t zygote_of(dp_pool *pool)
{
    pid_t zygote = 0;
    CHECK_EQUAL(dp_pool_apply(pool, tell_parent, NULL, 0, &zygote, sizeof zygote, NULL), 0);
    CHECK(zygote > 1 && zygote != getpid());
    return zygote;
}

/* Ends the pool, and looks that nobody is there any more. */
static void destroy(dp_pool *pool, pid_t zygote)
{
    pid_t pids[MAX_PIDS];
    stress_destroy(pool);
    CHECK_EQUAL(parent_of(zygote), 0);
    CHECK_EQUAL(find_children(zygote, pids), 0);
}

/* ---- Killed again and again ---- */

typedef struct hunt {
    _Atomic(int) zygote; /* 0: nobody is hunted. */
    _Atomic(int) over;
    _Atomic(unsigned long) kills;
} hunt;

/* A number may be another process's by now: what is killed is what still has that parent. */
static int kill_worker(pid_t pid, pid_t zygote)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0), killed = 0;
    if (fd < 0)
        return 0;
    if (parent_of(pid) == zygote)
        killed = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return killed;
}

static _Noreturn void hunter(hunt *h, pid_t parent, uint64_t random)
{
    pid_t pids[MAX_PIDS];
    while (!atomic_load(&h->over) && getppid() == parent) {
        pid_t zygote = atomic_load(&h->zygote);
        int count = zygote ? find_children(zygote, pids) : 0;
        if (count > 0 && kill_worker(pids[stress_below(&random, (uint64_t)count)], zygote))
            atomic_fetch_add(&h->kills, 1);
        usleep(5000);
    }
    _exit(0);
}

static pid_t begin_hunt(hunt *h)
{
    pid_t own = getpid();
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        hunter(h, own, stress_seed());
    return pid;
}

static void end_hunt(hunt *h, pid_t hunting)
{
    int status;
    atomic_store(&h->over, 1);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(hunting, &status, 0)), hunting);
    CHECK_EQUAL(status, 0);
}

static int mixed(void *out, const void *in, void *context)
{
    uint64_t x = *(const uint64_t *)in;
    (void)context;
    for (int i = 0; i < 100; i++)
        x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
    *(uint64_t *)out = x;
    if (prints && x % 64 == 0)
        puts("mixed");
    return 0;
}

static int mixed_columns(void *out, const void *const *in, void *context)
{
    uint64_t sum = *(const uint64_t *)in[0] + *(const uint64_t *)in[1];
    return mixed(out, &sum, context);
}

enum { ITEMS = 3000 };

typedef struct arrays {
    uint64_t in[ITEMS], out[ITEMS];
} arrays;

static void fill(arrays *a, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++)
        a->in[i] = stress_random(random), a->out[i] = 0;
}

static void expect_mixed(const arrays *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t wanted;
        mixed(&wanted, &a->in[i], NULL);
        CHECK(a->out[i] == wanted);
    }
}

static void one_map(dp_pool *pool, arrays *a, uint64_t *random)
{
    size_t n = stress_below(random, ITEMS);
    int status[ITEMS];
    dp_options options = {.chunk = stress_below(random, 2) ? 0 : stress_below(random, 50),
                          .status = stress_below(random, 2) ? status : NULL};
    fill(a, n, random);
    CHECK_EQUAL(
        dp_pool_map(pool, mixed, a->in, sizeof a->in[0], a->out, sizeof a->out[0], n, &options), 0);
    expect_mixed(a, n);
    for (size_t i = 0; options.status && i < n; i++)
        CHECK_EQUAL(status[i], 0);
}

static void one_starmap(dp_pool *pool, arrays *a, uint64_t *random)
{
    size_t n = stress_below(random, ITEMS);
    uint64_t offset = stress_random(random);
    const dp_column columns[] = {{a->in, sizeof a->in[0], sizeof a->in[0]},
                                 {&offset, sizeof offset, 0}};
    fill(a, n, random);
    CHECK_EQUAL(dp_pool_starmap(pool, mixed_columns, columns, 2, a->out, sizeof a->out[0], n, NULL),
                0);
    for (size_t i = 0; i < n; i++)
        a->in[i] += offset;
    expect_mixed(a, n);
}

/* In place, in memory that is copied. */
static void one_in_place(dp_pool *pool, arrays *a, uint64_t *random)
{
    size_t n = stress_below(random, ITEMS);
    fill(a, n, random);
    memcpy(a->out, a->in, n * sizeof a->in[0]);
    CHECK_EQUAL(
        dp_pool_map(pool, mixed, a->out, sizeof a->out[0], a->out, sizeof a->out[0], n, NULL), 0);
    expect_mixed(a, n);
}

static int sum_range(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)sum += i;
    return 0;
}

static void add_sums(void *sum, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)sum += *(const uint64_t *)other;
}

static void one_reduce(dp_pool *pool, uint64_t *random)
{
    uint64_t zero = 0, sum = 1, n = stress_below(random, 1000000);
    dp_options options = {.deterministic = (int)stress_below(random, 2)};
    CHECK_EQUAL(
        dp_pool_reduce(pool, sum_range, NULL, 0, n, add_sums, &zero, &sum, sizeof sum, &options),
        0);
    CHECK(sum == (n ? n * (n - 1) / 2 : 0));
}

static void some_futures(dp_pool *pool, arrays *a, uint64_t *random)
{
    enum { COUNT = 20, EACH = ITEMS / COUNT };
    dp_future *futures[COUNT];
    fill(a, ITEMS, random);
    for (size_t f = 0; f < COUNT; f++)
        CHECK_EQUAL(dp_pool_map_async(pool, mixed, a->in + f * EACH, sizeof a->in[0],
                                      a->out + f * EACH, sizeof a->out[0], EACH, NULL, &futures[f]),
                    0);
    for (size_t f = 0; f < COUNT; f++) {
        CHECK_EQUAL(dp_future_get(futures[f], NULL, 0), 0);
        dp_future_release(futures[f]);
    }
    expect_mixed(a, ITEMS);
}

/* Cancelled at any moment, also while the call is packed for a worker. */
static void one_cancelled(dp_pool *pool, arrays *a, uint64_t *random)
{
    dp_future *future;
    dp_options options = {.chunk = 16};
    fill(a, ITEMS, random);
    CHECK_EQUAL(dp_pool_map_async(pool, mixed, a->in, sizeof a->in[0], a->out, sizeof a->out[0],
                                  ITEMS, &options, &future),
                0);
    for (uint64_t turns = stress_below(random, 20); turns > 0; turns--)
        sched_yield();
    dp_future_cancel(future);
    int code = dp_future_get(future, NULL, 0);
    CHECK(code == 0 || code == DP_ECANCELLED);
    if (code == 0)
        expect_mixed(a, ITEMS);
    dp_future_release(future);
}

static void one_call(dp_pool *pool, arrays *own, arrays *shared, uint64_t *random)
{
    arrays *a = stress_below(random, 2) ? own : shared;
    switch (stress_below(random, 8)) {
    case 0:
        one_reduce(pool, random);
        return;
    case 1:
        one_starmap(pool, a, random);
        return;
    case 2:
        one_in_place(pool, own, random);
        return;
    case 3:
        some_futures(pool, a, random);
        return;
    case 4:
        one_cancelled(pool, a, random);
        return;
    default:
        one_map(pool, a, random);
    }
}

typedef struct caller {
    dp_pool *pool;
    double end;
    uint64_t least;
    _Atomic(uint64_t) calls;
} caller;

static void call_on(unsigned index, void *context)
{
    caller *c = context;
    uint64_t random = stress_seed() + index;
    arrays *own = malloc(sizeof *own), *shared = dp_shared_alloc(sizeof *shared);
    CHECK(own && shared);
    do {
        one_call(c->pool, own, shared, &random);
    } while (stress_goes_on(c->end) || atomic_fetch_add(&c->calls, 1) < c->least);
    dp_shared_free(shared);
    free(own);
}

/* The last line is short if the worker was killed as it wrote over the end of a page. */
static void take_output(void *context, const dp_output *output)
{
    static const char line[] = "mixed\n";
    (void)context;
    for (size_t i = 0; i < output->size; i += strlen(line)) {
        size_t left = output->size - i;
        CHECK_EQUAL(memcmp(output->text + i, line, left < strlen(line) ? left : strlen(line)), 0);
    }
}

/* One thread, and then three of them, on a pool whose workers die; and, then, are replaced as well,
   and print. */
static void hunted(hunt *h, double share)
{
    const dp_pool_process_options fresh = {0},
                                  worn = {.recycle_tasks = 400, .on_output = take_output};
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        dp_pool *pool = new_pool(WORKERS + (int)threads - 1, threads > 1 ? worn : fresh);
        caller c = {pool, stress_end(share / 2), stress_least(50, 5000), 0};
        pid_t zygote = zygote_of(pool);
        unsigned long before = atomic_load(&h->kills);
        atomic_store(&h->zygote, zygote);
        stress_together(threads, call_on, &c);
        STRESS_UNTIL(atomic_load(&h->kills) > before);
        atomic_store(&h->zygote, 0);
        printf("%u threads: %lu workers killed\n", threads, atomic_load(&h->kills) - before);
        destroy(pool, zygote);
    }
}

/* ---- The application is killed ---- */

typedef struct family {
    _Atomic(int) zygote, running;
} family;

static int run_for_ever(void *out, const void *in, void *context)
{
    int is_to_stop = *(const int *)in;
    (void)out;
    atomic_fetch_add(&((family *)context)->running, 1);
    if (is_to_stop)
        raise(SIGSTOP);
    STRESS_UNTIL(0);
    return 0;
}

/* `busy`: 0, or how many workers run something; the last of those is stopped. */
static _Noreturn void be_killed(family *f, int busy)
{
    int is_to_stop[WORKERS] = {0, 1};
    dp_pool *pool = new_pool(WORKERS, (dp_pool_process_options){0});
    dp_options options = {.context = f};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* When a check fails. */
    atomic_store(&f->zygote, zygote_of(pool));
    if (busy)
        dp_pool_map(pool, run_for_ever, is_to_stop, sizeof(int), NULL, 0, WORKERS, &options);
    for (;;)
        pause();
}

/* Waits until a process that is not our child has ended. */
static void await_end(int fd, double deadline)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    double left;
    while ((left = deadline - stress_now()) > 0)
        if (poll(&end, 1, (int)(left * 1000) + 1) > 0)
            break;
    CHECK(left > 0);
    close(fd);
}

/* `number`: the signal, by whose default action it dies. */
static double kill_application(family *f, int busy, int number)
{
    pid_t pids[MAX_PIDS];
    int fds[MAX_PIDS], status, count;
    *f = (family){0, 0};
    fflush(NULL);
    pid_t application = fork();
    CHECK(application >= 0);
    if (application == 0) {
        signal(number, SIG_DFL);
        be_killed(f, busy);
    }
    STRESS_UNTIL(atomic_load(&f->zygote) && atomic_load(&f->running) >= (busy ? WORKERS : 0));
    pid_t zygote = atomic_load(&f->zygote);
    STRESS_UNTIL((count = find_children(zygote, pids)) == WORKERS);
    pids[count++] = zygote;
    for (int i = 0; i < count; i++)
        CHECK((fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0)) >= 0);
    CHECK_EQUAL(kill(application, number), 0);
    double killed = stress_now();
    for (int i = 0; i < count; i++)
        await_end(fds[i], killed + 1);
    double seconds = stress_now() - killed;
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(application, &status, 0)), application);
    return seconds;
}

static void killed_applications(double share)
{
    family *f = shared_page();
    double end = stress_end(share), longest = 0;
    do {
        for (int i = 0; i < 4; i++) {
            double seconds = kill_application(f, i % 2, i < 2 ? SIGKILL : SIGINT);
            longest = seconds > longest ? seconds : longest;
        }
    } while (stress_goes_on(end));
    printf("all gone after at most %.1f ms\n", longest * 1e3);
    munmap(f, 4096);
}

/* ---- Beside a busy pool of threads ---- */

typedef struct neighbour {
    dp_pool *threads;
    _Atomic(int) over;
} neighbour;

static void keep_busy(unsigned index, void *context)
{
    neighbour *n = context;
    uint64_t random = index;
    arrays *a = malloc(sizeof *a);
    CHECK(a);
    while (!atomic_load(&n->over))
        one_call(n->threads, a, a, &random);
    free(a);
}

static void come_and_go(double share)
{
    uint64_t random = stress_seed(), count = 0, least = stress_least(50, 1000);
    double end = stress_end(share);
    arrays *a = malloc(sizeof *a);
    neighbour n = {NULL, 0};
    stress_thread busy;
    flat f;
    CHECK(a);
    flat_begin(&f);
    n.threads = stress_pool(2);
    stress_start(&busy, keep_busy, 1, &n);
    do {
        int descriptors = stress_descriptors();
        dp_pool *pool = new_pool(1 + (int)stress_below(&random, 3), (dp_pool_process_options){0});
        pid_t zygote = zygote_of(pool);
        one_map(pool, a, &random);
        destroy(pool, zygote);
        CHECK_EQUAL(stress_descriptors(), descriptors);
        flat_note(&f);
        count++;
    } while (stress_goes_on(end) || count < least);
    atomic_store(&n.over, 1);
    stress_join(&busy);
    stress_destroy(n.threads);
    free(a);
    printf("%llu pools\n", (unsigned long long)count);
    flat_end(&f, 256, 4096);
}

int main(void)
{
    hunt *h = shared_page();
    killed_applications(0.2);
    pid_t hunting = begin_hunt(h);
    hunted(h, 0.5);
    end_hunt(h, hunting);
    come_and_go(0.3);
    return 0;
}

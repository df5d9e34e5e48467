/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of maps that do not come to their end: the power is cut at 200 random points, the disk
 * is full after a random number of bytes, the program is killed at random moments. The same call
 * later always gives the same results, and runs nothing again that the disk had.
 *
 * The functions by which the library writes are wrapped (--wrap=pwrite and so on) and noted, so
 * that a cut can be made between any two of them: what was synced before is there, and of each
 * sector of the rest any of the contents that it has had since.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "stress.h"

enum { ITEMS = 120, WORKERS = 2, SECTOR = 512, CUTS = 200 };

static char folder[] = "/tmp/dp-journal-XXXXXX", path[64];

/* ---- The work ---- */

typedef struct result {
    uint64_t item, random[7];
} result;

/* Shared with the workers, which may be processes. */
typedef struct tally {
    atomic_int runs[ITEMS], all;
    uint64_t turns; /* How long an item takes. */
} tally;

static int compute(void *out, const void *in, void *context)
{
    tally *t = context;
    result *r = out;
    dp_random random;
    r->item = *(const uint64_t *)in * 3 + 1;
    if (dp_item_random(&random) != 0)
        return 1;
    for (int i = 0; i < 7; i++)
        r->random[i] = dp_random_u64(&random);
    stress_spin(dp_random_u64(&random) % (t->turns + 1));
    atomic_fetch_add(&t->runs[*(const uint64_t *)in], 1);
    atomic_fetch_add(&t->all, 1);
    return 0;
}

static uint64_t in[ITEMS];
static result expected[ITEMS], out[ITEMS];

static int run(dp_pool *pool, tally *t, const char *journal, double sync)
{
    dp_options options = {
        .chunk = 1, .seed = 42, .context = t, .journal = journal, .journal_sync = sync};
    memset(out, 0, sizeof out);
    memset(t->runs, 0, sizeof t->runs);
    atomic_store(&t->all, 0);
    return dp_pool_map(pool, compute, in, sizeof in[0], out, sizeof out[0], ITEMS, &options);
}

static void expect_results(void)
{
    CHECK(memcmp(out, expected, sizeof out) == 0);
}

/* ---- What the library writes ---- */

typedef enum kind { WRITE, RESIZE, SYNC } kind;

typedef struct operation {
    kind kind;
    size_t at, bytes; /* SYNC: `at` is the number of operations that it covers. */
    char *data;
} operation;

enum { MAX_OPERATIONS = 4096 };

static struct {
    pthread_mutex_t lock;
    int is_on;
    operation list[MAX_OPERATIONS];
    size_t count;
    size_t room; /* Bytes that the disk takes; SIZE_MAX: any number. */
} tape = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = SIZE_MAX};

static void note(kind what, size_t at, const void *data, size_t bytes)
{
    pthread_mutex_lock(&tape.lock);
    if (tape.is_on) {
        CHECK(tape.count < MAX_OPERATIONS);
        operation *o = &tape.list[tape.count++];
        *o = (operation){what, at, bytes, data ? malloc(bytes + 1) : NULL};
        if (data)
            memcpy(o->data, data, bytes);
    }
    pthread_mutex_unlock(&tape.lock);
}

static void begin_tape(void)
{
    for (size_t i = 0; i < tape.count; i++)
        free(tape.list[i].data);
    tape.count = 0;
    tape.is_on = 1;
}

static void end_tape(void)
{
    tape.is_on = 0;
}

ssize_t __real_pwrite(int fd, const void *data, size_t bytes, off_t at);
int __real_ftruncate(int fd, off_t size);
ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    if (tape.room != SIZE_MAX) {
        bytes = bytes < tape.room ? bytes : tape.room;
        tape.room -= bytes;
        if (bytes == 0) {
            errno = ENOSPC;
            return -1;
        }
    }
    note(WRITE, (size_t)at, data, bytes);
    return __real_pwrite(fd, data, bytes, at);
}

int __wrap_ftruncate(int fd, off_t size)
{
    note(RESIZE, (size_t)size, NULL, 0);
    return __real_ftruncate(fd, size);
}

/* The disk is only imagined. What is written while it syncs need not be on it afterwards. */
int __wrap_fdatasync(int fd)
{
    (void)fd;
    pthread_mutex_lock(&tape.lock);
    size_t covered = tape.count;
    pthread_mutex_unlock(&tape.lock);
    sched_yield();
    note(SYNC, covered, NULL, 0);
    return 0;
}

/* ---- Disks ---- */

enum { MAX_SIZE = 1 << 16 };

typedef struct disk {
    char bytes[MAX_SIZE];
    size_t size;
} disk;

static void apply(disk *d, const operation *o)
{
    if (o->kind == WRITE) {
        CHECK(o->at + o->bytes <= MAX_SIZE);
        memcpy(d->bytes + o->at, o->data, o->bytes);
        d->size = d->size > o->at + o->bytes ? d->size : o->at + o->bytes;
    } else if (o->kind == RESIZE) {
        CHECK(o->at <= MAX_SIZE);
        if (o->at < d->size)
            memset(d->bytes + o->at, 0, d->size - o->at);
        d->size = o->at;
    }
}

/* How many of the first `cut` operations are certain to be on the disk then. */
static size_t synced_at(size_t cut)
{
    size_t synced = 0;
    for (size_t i = 0; i < cut; i++)
        if (tape.list[i].kind == SYNC && tape.list[i].at > synced)
            synced = tape.list[i].at;
    return synced;
}

/* What was certain, and what may be there as well: of each sector any content since, or, if it is a
   new one, none, or what has lain there before; and any of the sizes. */
static void cut_power(uint64_t *chance, const disk *before, size_t cut, disk *certain, disk *found)
{
    static disk next;
    size_t synced = synced_at(cut);
    *certain = *before;
    for (size_t i = 0; i < synced; i++)
        apply(certain, &tape.list[i]);
    *found = next = *certain;
    for (size_t i = synced; i < cut; i++) {
        apply(&next, &tape.list[i]);
        for (size_t at = 0; at < MAX_SIZE; at += SECTOR)
            if (stress_below(chance, 2))
                memcpy(found->bytes + at, next.bytes + at, SECTOR);
        if (stress_below(chance, 2))
            found->size = next.size;
    }
    if (found->size > certain->size && stress_below(chance, 4) == 0)
        found->size = certain->size + (size_t)stress_below(chance, found->size - certain->size + 1);
    for (size_t at = (certain->size + SECTOR - 1) / SECTOR * SECTOR; at < found->size; at += SECTOR)
        if (at > 0 && stress_below(chance, 8) == 0)
            for (size_t i = at; i < at + SECTOR; i++)
                found->bytes[i] = (char)stress_random(chance);
}

static void write_disk(const char *name, const disk *d)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, d->bytes, d->size), d->size);
    CHECK_EQUAL(close(fd), 0);
}

/* ---- The power is cut ---- */

/* Resumes from what was certain, and from what was found: of that no item is run again that was
   certain. */
static void resume(dp_pool *pool, tally *t, const disk *certain, const disk *found, double sync)
{
    int runs[ITEMS];
    write_disk(path, certain);
    CHECK_EQUAL(run(pool, t, path, sync), 0);
    expect_results();
    for (int i = 0; i < ITEMS; i++)
        runs[i] = atomic_load(&t->runs[i]);
    write_disk(path, found);
    begin_tape();
    CHECK_EQUAL(run(pool, t, path, sync), 0);
    end_tape();
    expect_results();
    for (int i = 0; i < ITEMS; i++)
        CHECK(atomic_load(&t->runs[i]) <= runs[i]);
}

static void cut_often(dp_pool *pool, tally *t, uint64_t *chance, int cuts)
{
    static const double syncs[] = {1e-9, 1e-5, 1e-3, DP_FOREVER};
    static disk empty, certain, found, again;
    static const uint64_t turns[] = {0, 300, 6000};
    for (int done = 0; done < cuts; done += 2) {
        double sync = syncs[stress_below(chance, 4)];
        t->turns = turns[stress_below(chance, 3)];
        unlink(path);
        begin_tape();
        CHECK_EQUAL(run(pool, t, path, sync), 0);
        end_tape();
        expect_results();
        size_t cut = (size_t)stress_below(chance, tape.count + 1);
        cut_power(chance, &empty, cut, &certain, &found);
        again = found;
        resume(pool, t, &certain, &found, sync);
        /* Once more, in what went on after that. */
        cut = (size_t)stress_below(chance, tape.count + 1);
        cut_power(chance, &again, cut, &certain, &found);
        resume(pool, t, &certain, &found, sync);
    }
}

/* ---- The disk is full ---- */

static void fill_disk(dp_pool *pool, tally *t, uint64_t *chance)
{
    for (int round = 0; round < 20; round++) {
        unlink(path);
        t->turns = 300;
        int attempts = 0, code;
        do {
            tape.room = (size_t)stress_below(chance, 5000);
            code = run(pool, t, path, 1e-9);
            tape.room = SIZE_MAX;
            CHECK(code == 0 || code == DP_EIO);
            for (int i = 0; code != 0 && i < ITEMS; i++)
                CHECK(!atomic_load(&t->runs[i]) || out[i].item == expected[i].item);
        } while (code != 0 && ++attempts < 1000);
        CHECK_EQUAL(code, 0);
        expect_results();
        CHECK_EQUAL(run(pool, t, path, 0), 0);
        CHECK_EQUAL(atomic_load(&t->all), 0);
        expect_results();
    }
}

/* ---- The program is killed ---- */

static int run_in_child(tally *t, dp_engine engine)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = engine, .workers = WORKERS};
    if (dp_pool_create(&pool, &options) != 0)
        return 2;
    int code = run(pool, t, path, 0);
    if (code)
        fprintf(stderr, "%s\n", dp_errname(code));
    if (dp_pool_destroy(pool) != 0 || (code == 0 && memcmp(out, expected, sizeof out) != 0))
        return 3;
    return code == 0 ? 0 : 4;
}

/* Runs the call in children that are killed, until one comes to its end. How many were killed. */
static int kill_until_done(tally *t, uint64_t *chance, dp_engine engine)
{
    int kills = 0, status;
    unlink(path);
    for (;; kills++) {
        int target = 1 + (int)stress_below(chance, ITEMS / 3);
        atomic_store(&t->all, 0);
        fflush(NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(run_in_child(t, engine));
        pid_t ended;
        while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && atomic_load(&t->all) < target)
            sched_yield();
        if (ended == 0) {
            kill(pid, SIGKILL);
            ended = (pid_t)TEMP_FAILURE_RETRY(waitpid(pid, &status, 0));
        }
        CHECK_EQUAL(ended, pid);
        if (WIFEXITED(status)) {
            CHECK_EQUAL(WEXITSTATUS(status), 0);
            return kills;
        }
    }
}

static void be_killed(tally *t, uint64_t *chance)
{
    dp_pool *pool;
    dp_pool_options serial = {.engine = DP_ENGINE_SERIAL};
    int kills = 0;
    t->turns = 20000;
    for (int round = 0; round < 4; round++)
        kills += kill_until_done(t, chance, round % 2 ? DP_ENGINE_THREADS : DP_ENGINE_PROCESSES);
    CHECK_EQUAL(dp_pool_create(&pool, &serial), 0);
    CHECK_EQUAL(run(pool, t, path, 0), 0);
    CHECK_EQUAL(atomic_load(&t->all), 0);
    expect_results();
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    printf("%d kills\n", kills);
}

int main(void)
{
    uint64_t seed =
        getenv("DP_TEST_SEED") ? strtoull(getenv("DP_TEST_SEED"), NULL, 10) : stress_seed();
    int cuts = stress_is_long() ? 20 * CUTS : CUTS;
    dp_pool *threads, *processes, *serial;
    tally *t = dp_shared_alloc(sizeof *t);
    CHECK(t && mkdtemp(folder));
    printf("DP_TEST_SEED=%llu\n", (unsigned long long)seed);
    snprintf(path, sizeof path, "%s/map", folder);
    for (uint64_t i = 0; i < ITEMS; i++)
        in[i] = i;
    t->turns = 0;
    CHECK_EQUAL(dp_pool_create(&serial, &(dp_pool_options){.engine = DP_ENGINE_SERIAL}), 0);
    CHECK_EQUAL(run(serial, t, NULL, 0), 0);
    memcpy(expected, out, sizeof out);
    CHECK_EQUAL(dp_pool_destroy(serial), 0);
    be_killed(t, &seed);
    dp_pool_options options = {.engine = DP_ENGINE_THREADS, .workers = WORKERS};
    CHECK_EQUAL(dp_pool_create(&threads, &options), 0);
    cut_often(threads, t, &seed, cuts);
    fill_disk(threads, t, &seed);
    CHECK_EQUAL(dp_pool_destroy(threads), 0);
    options.engine = DP_ENGINE_PROCESSES;
    CHECK_EQUAL(dp_pool_create(&processes, &options), 0);
    cut_often(processes, t, &seed, cuts / 2);
    fill_disk(processes, t, &seed);
    CHECK_EQUAL(dp_pool_destroy(processes), 0);
    printf("%d cuts\n", cuts + cuts / 2);
    begin_tape();
    dp_shared_free(t);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    return 0;
}

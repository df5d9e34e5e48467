/* SPDX-License-Identifier: Apache-2.0 */

/* That DP_CHAOS does what src/platform/chaos.md says. Each part is a child process, since the
   environment is read once. */

#include <errno.h>
#include <sys/mman.h>

#include "../stress/child.h"
#include "../stress/mix.h"
#include "platform/atomic.h"
#include "platform/chaos.h"
#include "platform/lock.h"

/* What the children found, for the parent. */
static struct found {
    uint64_t digest[3];
    _Atomic(uint64_t) count[DP__CHAOS_KINDS];
} * found;

static void add_counts(void)
{
    for (int kind = 0; kind < DP__CHAOS_KINDS; kind++)
        atomic_fetch_add(&found->count[kind], dp__chaos_here.count[kind]);
}

static uint64_t perturbations(void)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < DP__CHAOS_KINDS; kind++)
        sum += atomic_load(&found->count[kind]);
    return sum;
}

/* Runs a part with this seed, which the environment lacks when it is NULL. */
static child_end run(int (*part)(void *context), void *context, const char *seed)
{
    memset(found, 0, sizeof *found);
    unsetenv("DP_CHAOS");
    if (seed)
        setenv("DP_CHAOS", seed, 1);
    child_end end = child_run(part, context, STRESS_DEADLINE);
    if (end.late || end.status != 0)
        child_show(seed ? seed : "no seed", &end);
    CHECK(!end.late && end.status == 0);
    return end;
}

/* ---- One thread ---- */

/* Does the same each time, and returns what the perturbations were. */
static uint64_t digest_of_work(void)
{
    dp__lock lock = {0};
    _Atomic(uint32_t) word = 0;
    errno = EXDEV;
    dp__chaos_here.digest = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t seen = dp__load_relaxed(&word);
        dp__lock_acquire(&lock);
        while (!dp__cas_acq_rel(&word, &seen, seen + 1))
            ;
        dp__lock_release(&lock);
        CHECK_EQUAL(dp__load_acquire(&word), i + 1);
    }
    CHECK_EQUAL(errno, EXDEV);
    return dp__chaos_here.digest;
}

static int work_alone(void *which)
{
    found->digest[*(int *)which] = digest_of_work();
    add_counts();
    return 0;
}

static uint64_t digest_with(const char *seed)
{
    int first = 0;
    run(work_alone, &first, seed);
    CHECK(perturbations() > 10);
    return found->digest[0];
}

/* ---- A child of fork() ---- */

static int fork_twice(void *nothing)
{
    (void)nothing;
    stress_destroy(stress_pool(1)); /* From now on the library knows of forks. */
    for (int i = 1; i <= 2; i++) {
        child_end end = child_run(work_alone, &i, STRESS_DEADLINE);
        CHECK(!end.late && end.status == 0);
    }
    found->digest[0] = digest_of_work();
    return 0;
}

/* ---- A pool ---- */

static void count_worker(void *context, unsigned worker)
{
    (void)context, (void)worker;
    add_counts();
}

static int work_together(void *nothing)
{
    (void)nothing;
    dp_pool *pool;
    dp_pool_options options = {.workers = 2, .worker_fini = count_worker};
    uint64_t random = 1;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 0; i < 60; i++)
        mix_one(pool, &random);
    stress_destroy(pool);
    add_counts();
    return 0;
}

int main(void)
{
    static const char *const none[] = {NULL, "", "0", "00"};
    static const char *const odd[] = {"seven", "7 ", " 7", "-7", "4294967296", "1e3"};
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(found != MAP_FAILED);
    setenv("DP_VERBOSE", "1", 1);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        child_end end = run(work_together, NULL, none[i]);
        CHECK_EQUAL(perturbations(), 0);
        CHECK(!strstr(end.text, "DP_CHAOS"));
    }
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        child_end end = run(work_together, NULL, odd[i]);
        CHECK_EQUAL(perturbations(), 0);
        CHECK(strstr(end.text, "DP_CHAOS is ignored: not a number from 1 to 4294967295"));
    }

    child_end end = run(work_together, NULL, "4294967295");
    CHECK(strstr(end.text, "DP_CHAOS=4294967295"));
    for (int kind = 0; kind < DP__CHAOS_KINDS; kind++)
        CHECK(atomic_load(&found->count[kind]) > 0);

    uint64_t digest = digest_with("11");
    CHECK(digest_with("11") == digest);
    CHECK(digest_with("12") != digest);

    run(fork_twice, NULL, "11");
    for (int i = 0; i < 3; i++)
        CHECK(found->digest[i] != 0 && found->digest[i] != found->digest[(i + 1) % 3]);
    return 0;
}

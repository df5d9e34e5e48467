/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application forks while pools are busy. Children end at once, execute something else, or use
 * the library: the default pool and pools of their own work, the parent's say DP_EFORKED and can be
 * destroyed. The parent notices nothing.
 */
#include "mix.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static int nothing_range(size_t begin, size_t end, void *context)
{
    (void)begin;
    (void)end;
    (void)context;
    return 0;
}

DP_TASK(int, one, (int, x))
{
    return x + 1;
}

static void use_parents_pool(dp_pool *pool, dp_future *future, int was_finished)
{
    dp_future *made;
    int result = 0;
    CHECK_EQUAL(dp_pool_map(pool, nothing, NULL, 0, NULL, 0, 5, NULL), DP_EFORKED);
    CHECK_EQUAL(dp_pool_for(pool, nothing_range, NULL, 0, 5, NULL), DP_EFORKED);
    CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, NULL, &made), DP_EFORKED);
    CHECK(!made);
    CHECK_EQUAL(DP_RUN_INTO(&result, pool, one, 1), DP_EFORKED);
    CHECK_EQUAL(result, 0);
    CHECK_EQUAL(dp_pool_workers(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_resize(pool, 2), DP_EFORKED);
    CHECK_EQUAL(dp_pool_close(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_cancel(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_terminate(pool), DP_EFORKED);
    CHECK_EQUAL(dp_pool_join(pool, 1), DP_EFORKED);
    int code = dp_future_wait(future, DP_FOREVER);
    CHECK(code == DP_EFORKED || code == 0);
    if (was_finished)
        CHECK_EQUAL(code, 0);
}

static void child(dp_pool *pool, dp_future *future, int was_finished, uint64_t random)
{
    alarm((unsigned)STRESS_DEADLINE);
    if ((STRESS_TSAN || STRESS_ASAN) && stress_below(&random, 2)) {
        /* In a child of many threads TSan lets nobody start a new one, and ASan leaves the locks of
           its allocator as they were, perhaps held by a thread that the child does not have. */
        use_parents_pool(pool, future, was_finished);
        if (!STRESS_ASAN)
            CHECK_EQUAL(dp_pool_destroy(pool), 0);
        _exit(0);
    }
    switch (stress_below(&random, STRESS_TSAN || STRESS_ASAN ? 2 : 5)) {
    case 0:
        _exit(0);
    case 1:
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    case 2:
        for (int i = 0; i < 3; i++)
            mix_one(NULL, &random);
        break;
    case 3:
        use_parents_pool(pool, future, was_finished);
        mix_one(NULL, &random);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
        CHECK_EQUAL(dp_pool_destroy(NULL), 0);
        break;
    default: {
        dp_pool *own = stress_pool(2);
        mix_one(own, &random);
        use_parents_pool(pool, future, was_finished);
        stress_destroy(own);
        /* A grandchild. */
        pid_t pid = fork();
        if (pid == 0) {
            alarm((unsigned)STRESS_DEADLINE);
            mix_one(NULL, &random);
            _exit(0);
        }
        int status = -1;
        CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
        CHECK_EQUAL(status, 0);
    }
    }
    exit(0);
}

/* For the sanitizers, whose children are to find as few of their locks held as can be. */
static void quiet_user(unsigned index, void *context)
{
    mix_job *job = context;
    uint64_t random = job->seed + index;
    do {
        if (stress_below(&random, 2))
            mix_loop(job->pool, &random);
        else
            mix_forks(job->pool, &random);
    } while (!atomic_load(&job->stop));
}

static void user(unsigned index, void *context)
{
    mix_job *job = context;
    /* One of them works on the default pool. */
    mix_job other = {index == 0 ? NULL : job->pool, job->seed, 0, 0};
    uint64_t random = job->seed + index;
    if (STRESS_ASAN || STRESS_TSAN) {
        quiet_user(index, context);
        return;
    }
    do
        mix_one(other.pool, &random);
    while (!atomic_load(&job->stop));
}

/* ---- Thoroughly ---- */

static void thorough(double share)
{
    mix_job job = {stress_pool(3), stress_seed(), 0, 0};
    uint64_t random = job.seed;
    stress_thread threads[2];
    CHECK_EQUAL(dp_pool_map(NULL, nothing, NULL, 0, NULL, 0, 5, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        stress_start(&threads[i], user, i, &job);

    double end = stress_end(share);
    do {
        dp_future *future = NULL;
        CHECK_EQUAL(dp_pool_apply_async(job.pool, nothing, NULL, 0, NULL, 0, NULL, &future), 0);
        stress_dawdle(&random);
        uint64_t seed = stress_random(&random);
        int finished = dp_future_wait(future, 0) == 0;
        fflush(NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            child(job.pool, future, finished, seed);
        mix_one(job.pool, &random);
        int status = -1;
        CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
        CHECK_EQUAL(status, 0);
        CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
        dp_future_release(future);
    } while (stress_goes_on(end));

    atomic_store(&job.stop, 1);
    for (unsigned i = 0; i < 2; i++)
        stress_join(&threads[i]);
    stress_destroy(job.pool);
}

/* ---- Often ---- */

enum { CHILDREN = 4 };

static void short_child(dp_pool *pool, uint64_t dice)
{
    alarm((unsigned)STRESS_DEADLINE);
    uint64_t random = dice;
    switch (dice % (STRESS_TSAN || STRESS_ASAN ? 2 : 5)) {
    case 0:
        _exit(0);
    case 1:
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    case 2: {
        dp_pool *own = stress_pool(2);
        mix_loop(own, &random);
        stress_destroy(own);
        break;
    }
    case 3:
        mix_loop(NULL, &random);
        CHECK_EQUAL(dp_pool_map(pool, nothing, NULL, 0, NULL, 0, 5, NULL), DP_EFORKED);
        break;
    default:
        CHECK_EQUAL(dp_pool_for(pool, nothing_range, NULL, 0, 5, NULL), DP_EFORKED);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
        break;
    }
    exit(0);
}

/* Several children at once, so that most of the time goes into forks. */
static void often(double share)
{
    mix_job job = {stress_pool(3), stress_seed(), 0, 0};
    uint64_t random = job.seed, forks = 0, least = stress_least(500, 10000);
    stress_thread threads[2];
    for (unsigned i = 0; i < 2; i++)
        stress_start(&threads[i], quiet_user, i, &job);
    double end = stress_end(share);
    do {
        pid_t children[CHILDREN];
        for (int i = 0; i < CHILDREN; i++, forks++) {
            uint64_t dice = stress_random(&random);
            stress_dawdle(&random);
            fflush(NULL);
            children[i] = fork();
            CHECK(children[i] >= 0);
            if (children[i] == 0)
                short_child(job.pool, dice);
        }
        for (int i = 0; i < CHILDREN; i++) {
            int status = -1;
            CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(children[i], &status, 0)), children[i]);
            CHECK_EQUAL(status, 0);
        }
    } while (stress_goes_on(end) || forks < least);
    atomic_store(&job.stop, 1);
    for (unsigned i = 0; i < 2; i++)
        stress_join(&threads[i]);
    stress_destroy(job.pool);
    printf("%llu forks of short children\n", (unsigned long long)forks);
}

int main(void)
{
    thorough(0.7);
    often(0.3);
    return 0;
}

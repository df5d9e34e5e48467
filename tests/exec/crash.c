/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that begin anew die, are killed and are replaced, as others do and are. */
#include <signal.h>

#include "anew.h"

static int in[N], out[N], status[N];

static int die_now_and_then(void *result, const void *item, void *context)
{
    int i = *(const int *)item;
    (void)context;
    if (i % 100 == 13)
        raise(SIGSEGV);
    if (i % 100 == 26)
        exit(3);
    *(int *)result = i + 1;
    return 0;
}

static void crashes(dp_pool *pool)
{
    dp_error error;
    dp_stats stats;
    dp_options collecting = {.on_error = DP_ERRORS_COLLECT, .status = status};
    CHECK_EQUAL(
        dp_pool_map(pool, die_now_and_then, in, sizeof *in, out, sizeof *out, N, &collecting), 0);
    for (int i = 0; i < N; i++) {
        int dies = i % 100 == 13 || i % 100 == 26;
        CHECK_EQUAL(status[i], dies ? DP_ECRASH : 0);
        CHECK(dies || out[i] == i + 1);
    }
    CHECK_EQUAL(dp_pool_map(pool, die_now_and_then, in + 20, sizeof *in, out, sizeof *out, 20,
                            &(dp_options){.error = &error}),
                DP_ETASK);
    CHECK_EQUAL(error.item, 6);
    CHECK_EQUAL(error.task_code, DP_ECRASH);
    CHECK_EQUAL(error.exit_status, 3);
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    CHECK_EQUAL(stats.deaths, 2 * N / 100 + 1);
}

/* What the workers have in shared memory. */
typedef struct board {
    atomic_int killed, pid[WORKERS];
} board;

static int be_killed_once(void *result, const void *item, void *context)
{
    board *b = *(board **)context;
    *(int *)result = *(const int *)item + 1;
    if (*(const int *)item == 500 && atomic_exchange(&b->killed, 1) == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

static void kills(dp_pool *pool)
{
    board *b = dp_shared_alloc(sizeof *b);
    CHECK(b != NULL);
    dp_options with = {.context = &b, .context_size = sizeof b};
    CHECK_EQUAL(dp_pool_map(pool, be_killed_once, in, sizeof *in, out, sizeof *out, N, &with), 0);
    CHECK_EQUAL(atomic_load(&b->killed), 1);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i + 1);
    dp_shared_free(b);
}

static int never_end(void *result, const void *item, void *context)
{
    (void)result, (void)context;
    while (*(const int *)item == 2)
        sched_yield();
    return 0;
}

static void limits(dp_pool *pool)
{
    dp_options limited = {
        .on_error = DP_ERRORS_COLLECT, .status = status, .run_timeout = STRESS_TSAN ? 1 : 0.2};
    CHECK_EQUAL(dp_pool_map(pool, never_end, in, sizeof *in, NULL, 0, 5, &limited), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(status[i], i == 2 ? DP_ETIMEDOUT : 0);
}

/* ---- Hooks, memory of a worker, recycling, what is printed ---- */

static board *shared_board;
static atomic_int heard;

static int begin(void *context, unsigned worker)
{
    board *b = context;
    atomic_store(&b->pid[worker], getpid());
    return 0;
}

static void end(void *context, unsigned worker)
{
    board *b = context;
    (void)worker;
    atomic_fetch_add(&b->killed, 1);
}

static void end_local(void *context, void *local)
{
    board *b = context;
    atomic_fetch_add(&b->killed, *(int *)local > 0 ? 100 : 0);
}

static int count_local(void *result, const void *item, void *context)
{
    int *local = dp_worker_local(*(dp_pool **)context);
    (void)item;
    if (!local)
        return 1;
    *(int *)result = ++*local;
    return printf("item %d\n", *(const int *)item) > 0 ? 0 : 1;
}

static void hear(void *context, const dp_output *output)
{
    char text[40];
    (void)context;
    if (output->item == DP_NO_ITEM)
        return;
    snprintf(text, sizeof text, "item %zu\n", output->item);
    CHECK(output->stream == 1 && strcmp(text, output->text) == 0);
    atomic_fetch_add(&heard, 1);
}

static void hooks(void)
{
    shared_board = dp_shared_alloc(sizeof *shared_board);
    CHECK(shared_board != NULL);
    dp_pool *pool = make_pool((dp_pool_options){.worker_init = begin,
                                                .worker_fini = end,
                                                .local_fini = end_local,
                                                .local_size = sizeof(int),
                                                .worker_context = shared_board,
                                                .process.on_output = hear});
    dp_options with = {.context = &pool, .context_size = sizeof pool};
    CHECK(shared_board->pid[0] > 0 && shared_board->pid[1] > 0);
    CHECK_EQUAL(dp_pool_map(pool, count_local, in, sizeof *in, out, sizeof *out, N, &with), 0);
    int used = 0;
    for (int i = 0; i < N; i++)
        used += out[i] == 1;
    CHECK(used >= 1 && used <= WORKERS);
    end_pool(pool);
    CHECK_EQUAL(atomic_load(&shared_board->killed), WORKERS + 100 * used);
    CHECK_EQUAL(atomic_load(&heard), N);
    dp_shared_free(shared_board);
}

static int tell_pid(void *result, const void *item, void *context)
{
    (void)item, (void)context;
    *(int *)result = getpid();
    return 0;
}

static void recycling(void)
{
    dp_pool *pool = make_pool((dp_pool_options){.process.recycle_tasks = 1});
    CHECK_EQUAL(dp_pool_map(pool, tell_pid, in, sizeof *in, out, sizeof *out, 10, NULL), 0);
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < i; j++)
            CHECK(out[i] != out[j]);
    end_pool(pool);
}

static int refuse(void *context, unsigned worker)
{
    (void)context;
    return worker == 1;
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    count_up(in);
    dp_pool *pool = make_pool((dp_pool_options){0});
    crashes(pool);
    kills(pool);
    limits(pool);
    end_pool(pool);
    hooks();
    recycling();
    CHECK_EQUAL(refusal_of((dp_pool_options){.worker_init = refuse}), DP_EINIT);
    STRESS_UNTIL(count_processes() == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What workers that begin anew cannot have is refused before anything runs. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "anew.h"

static int in[N], out[N];
static const int constant = 5;
static atomic_int *ran; /* Here alone. */

static int note(void *result, const void *item, void *context)
{
    (void)result, (void)item, (void)context;
    if (ran)
        atomic_fetch_add(ran, 1);
    return 0;
}

static int note_columns(void *result, const void *const *items, void *context)
{
    return note(result, items[0], context);
}

static int note_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    return note(NULL, NULL, context);
}

static int note_tile(size_t a, size_t b, size_t c, size_t d, void *context)
{
    (void)c, (void)d;
    return note_range(a, b, context);
}

static int note_fold(void *sum, size_t begin, size_t end, void *context)
{
    (void)sum;
    return note_range(begin, end, context);
}

static void combine(void *sum, const void *other, void *context)
{
    (void)context;
    *(int *)sum += *(const int *)other;
}

static void private_memory(dp_pool *pool)
{
    int zero = 0, sum;
    dp_options with = {.context = in};
    dp_options with_constant = {.context = (void *)(uintptr_t)&constant};
    dp_future *future, *next;
    dp_iter *iter;
    dp_source source = {.items = in, .n = N, .item_size = sizeof *in};
    dp_source same = {.items = in, .n = N};
    dp_column column = {in, 0, 0};
    dp_delayed delayed = {note, in, NULL, 0, 0};
    dp_extent extent = {0, 10, 0};
    const int private = DP_ENOTSHARED;
    CHECK_EQUAL(dp_pool_map(pool, note, in, sizeof *in, out, sizeof *out, N, &with), private);
    CHECK_EQUAL(dp_pool_map(pool, note, in, sizeof *in, out, sizeof *out, N, &with_constant),
                private);
    CHECK_EQUAL(dp_pool_map(pool, note, in, 0, out, sizeof *out, N, NULL), private);
    CHECK_EQUAL(dp_pool_map_async(pool, note, in, 0, out, sizeof *out, N, NULL, &future), private);
    CHECK_EQUAL(dp_pool_apply(pool, note, in, 0, NULL, 0, NULL), private);
    CHECK_EQUAL(dp_pool_starmap(pool, note_columns, &column, 1, out, sizeof *out, N, NULL),
                private);
    CHECK_EQUAL(dp_pool_run(pool, &delayed, 1, NULL), private);
    CHECK_EQUAL(dp_pool_for(pool, note_range, in, 0, N, NULL), private);
    CHECK_EQUAL(dp_pool_for_2d(pool, note_tile, in, extent, extent, NULL), private);
    CHECK_EQUAL(dp_pool_reduce(pool, note_fold, in, 0, N, combine, &zero, &sum, sizeof sum, NULL),
                private);
    CHECK_EQUAL(
        dp_pool_scan(pool, combine, in, in, out, sizeof *in, N, &zero, DP_SCAN_INCLUSIVE, NULL),
        private);
    CHECK_EQUAL(dp_pool_imap(pool, note, &source, sizeof *out, &with, &iter), private);
    CHECK_EQUAL(dp_pool_imap(pool, note, &same, sizeof *out, NULL, &iter), private);
    CHECK_EQUAL(dp_pool_apply_async(NULL, note, NULL, 0, NULL, 0, NULL, &future), 0);
    CHECK_EQUAL(dp_future_then(future, pool, note, NULL, sizeof *out, &with, &next), private);
    CHECK_EQUAL(dp_future_then_all(&future, 1, pool, note_columns, NULL, sizeof *out, &with, &next),
                private);
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    dp_future_release(future);
    CHECK_EQUAL(atomic_exchange(ran, 0), 1); /* The one on threads. */
}

/* Code that a program has made is in no module. */
static void made_functions(dp_pool *pool)
{
    int zero = 0, sum;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    dp_map_fn made;
    dp_for_fn made_loop;
    dp_fold_fn made_fold;
    dp_iter *iter;
    dp_source source = {.items = in, .n = N, .item_size = sizeof *in};
    memcpy(&made, &memory, sizeof made);
    memcpy(&made_loop, &memory, sizeof made_loop);
    memcpy(&made_fold, &memory, sizeof made_fold);
    dp_delayed delayed[] = {{note, in, NULL, sizeof *in, 0}, {made, in, NULL, sizeof *in, 0}};
    CHECK_EQUAL(dp_pool_map(pool, made, in, sizeof *in, out, sizeof *out, N, NULL), DP_ENOTSUP);
    CHECK_EQUAL(dp_pool_run(pool, delayed, 2, NULL), DP_ENOTSUP);
    CHECK_EQUAL(dp_pool_for(pool, made_loop, NULL, 0, N, NULL), DP_ENOTSUP);
    CHECK_EQUAL(dp_pool_reduce(pool, made_fold, NULL, 0, N, combine, &zero, &sum, sizeof sum, NULL),
                DP_ENOTSUP);
    CHECK_EQUAL(dp_pool_imap(pool, made, &source, sizeof *out, NULL, &iter), DP_ENOTSUP);
    dp_worker_init_fn made_hook;
    memcpy(&made_hook, &memory, sizeof made_hook);
    CHECK_EQUAL(refusal_of((dp_pool_options){.worker_init = made_hook}), DP_ENOTSUP);
    munmap(memory, page);
    CHECK_EQUAL(atomic_load(ran), 0);
}

static int touch_pool(void *result, const void *item, void *context)
{
    dp_pool *pool = *(dp_pool **)context;
    int twelve = 12;
    (void)result, (void)item;
    if (dp_pool_close(pool) != DP_EFORKED || dp_pool_join(pool, 0) != DP_EDEADLOCK)
        return 1;
    if (dp_pool_destroy(pool) != DP_EDEADLOCK || dp_pool_terminate(pool) != DP_EDEADLOCK)
        return 2;
    /* What it would have the others do it does by itself. */
    return dp_pool_map(pool, note, &twelve, sizeof twelve, NULL, 0, 1, NULL) == 0 ? 0 : 3;
}

/* Tasks have the address of their pool, at which nothing is. */
static void pool_of_task(dp_pool *pool)
{
    dp_options with = {.context = &pool, .context_size = sizeof pool};
    dp_error error = {0};
    with.error = &error;
    int code = dp_pool_map(pool, touch_pool, in, sizeof *in, NULL, 0, 4, &with);
    CHECK_EQUAL(error.task_code, 0);
    CHECK_EQUAL(code, 0);
}

/* Memory that is a file cannot be larger than files may be. What needs none is as ever. */
static void in_small_files(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
        CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_ENOTSUP);
        dp_pool *pool;
        CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_PROCESSES}), 0);
        CHECK_EQUAL(dp_pool_map(pool, note, in, sizeof *in, NULL, 0, N, NULL), 0);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
        void *memory = dp_shared_alloc(2 << 20);
        CHECK(memory);
        dp_shared_free(memory);
        _exit(0);
    }
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    in_small_files();
    ran = calloc(1, sizeof *ran);
    CHECK_EQUAL(refusal_of((dp_pool_options){.worker_context = in}), DP_ENOTSHARED);
    dp_pool *pool = make_pool((dp_pool_options){0});
    private_memory(pool);
    made_functions(pool);
    pool_of_task(pool);
    end_pool(pool);
    free(ran);
    return 0;
}

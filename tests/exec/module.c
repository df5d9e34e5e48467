/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module FIRST SECOND THIRD FOURTH: functions of libraries that the program loads when the pool is
 * there, in workers that begin anew. The first two are builds of one library, of which one takes
 * the other's place; the others are the same without build IDs.
 */
#include <dlfcn.h>
#include <string.h>

#include "anew.h"

static int in[N], out[N];

static dp_map_fn function_of(void *library, const char *name)
{
    dp_map_fn f;
    void *address = dlsym(library, name);
    CHECK(address != NULL);
    memcpy(&f, &address, sizeof f);
    return f;
}

static void expect_shifted(int by)
{
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i + by);
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    return library;
}

static int map(dp_pool *pool, dp_map_fn f)
{
    return dp_pool_map(pool, f, in, sizeof *in, out, sizeof *out, N, NULL);
}

static void copy(const char *from, const char *to)
{
    char command[5000];
    snprintf(command, sizeof command, "cp '%s' '%s.new' && mv '%s.new' '%s'", from, to, to, to);
    CHECK_EQUAL(system(command), 0);
}

/* One after the other at the same place, and the first one again. */
static void take_turns(char **paths)
{
    dp_pool *pool = make_pool((dp_pool_options){0});
    for (int i = 0; i < 5; i++) {
        void *library = load(paths[i % 2]);
        CHECK_EQUAL(map(pool, function_of(library, "plugin_unnamed")), 0);
        expect_shifted(i % 2 ? 2000 : 1000);
        CHECK_EQUAL(map(pool, function_of(library, "plugin_apply")), 0);
        expect_shifted(i % 2 ? 2000 : 1000);
        dlclose(library);
    }
    end_pool(pool);
}

/* The file is replaced, and loaded again. */
static void load_again(char **builds)
{
    char path[1000];
    dp_pool *pool = make_pool((dp_pool_options){0});
    snprintf(path, sizeof path, "%s.%d", builds[0], (int)getpid());
    for (int i = 0; i < 4; i++) {
        copy(builds[i % 2], path);
        void *library = load(path);
        CHECK_EQUAL(map(pool, function_of(library, "plugin_unnamed")), 0);
        expect_shifted(i % 2 ? 2000 : 1000);
        dlclose(library);
    }
    end_pool(pool);
    unlink(path);
}

/* Libraries of which nothing tells but their file, which is replaced before anybody asks. */
static void replace_without_id(char **builds)
{
    char path[1000];
    snprintf(path, sizeof path, "%s.%d", builds[0], (int)getpid());
    copy(builds[0], path);
    void *library = load(path), *same = load(builds[0]);
    copy(builds[1], path);
    dp_pool *pool = make_pool((dp_pool_options){0});
    dp_error error;
    CHECK_EQUAL(dp_pool_map(pool, function_of(library, "plugin_unnamed"), in, sizeof *in, out,
                            sizeof *out, N, &(dp_options){.error = &error}),
                DP_ETASK);
    CHECK_EQUAL(error.task_code, DP_ENOTSUP);
    CHECK_EQUAL(map(pool, function_of(same, "plugin_unnamed")), 0);
    expect_shifted(1000);
    dlclose(library);
    dlclose(same);
    end_pool(pool);
    unlink(path);
}

static void *of_task;

static int open_there(void *result, const void *item, void *path)
{
    (void)result, (void)item;
    of_task = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return of_task == NULL;
}

static int close_there(void *result, const void *item, void *context)
{
    (void)result, (void)item, (void)context;
    return of_task ? dlclose(of_task) : 0;
}

/* A task loads the library, and takes it away when functions in it have run. */
static void take_away(char *path)
{
    dp_pool *pool = NULL;
    dp_pool_options one = {
        .engine = DP_ENGINE_PROCESSES, .workers = 1, .process.start = DP_START_EXEC};
    dp_options with = {.context = path, .context_size = strlen(path) + 1};
    CHECK_EQUAL(dp_pool_create(&pool, &one), 0);
    void *library = load(path);
    CHECK_EQUAL(dp_pool_map(pool, open_there, in, sizeof *in, NULL, 0, 1, &with), 0);
    CHECK_EQUAL(map(pool, function_of(library, "plugin_unnamed")), 0);
    CHECK_EQUAL(dp_pool_map(pool, close_there, in, sizeof *in, NULL, 0, 1, NULL), 0);
    CHECK_EQUAL(map(pool, function_of(library, "plugin_unnamed")), 0);
    expect_shifted(1000);
    dlclose(library);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    CHECK_EQUAL(argc, 5);
    char path[1000];
    count_up(in);

    /* Loaded before the pool, and after. */
    void *first = load(argv[1]);
    dp_pool *pool = make_pool((dp_pool_options){0});
    CHECK_EQUAL(map(pool, function_of(first, "plugin_apply")), 0);
    expect_shifted(1000);
    void *second = load(argv[2]);
    CHECK_EQUAL(map(pool, function_of(second, "plugin_unnamed")), 0);
    expect_shifted(2000);

    /* What is unloaded is in no module; something else may come to lie there. */
    dp_map_fn gone = function_of(first, "plugin_unnamed");
    dlclose(first);
    CHECK_EQUAL(map(pool, gone), DP_ENOTSUP);
    first = load(argv[1]);
    CHECK_EQUAL(map(pool, function_of(first, "plugin_unnamed")), 0);
    expect_shifted(1000);
    dlclose(first);
    dlclose(second);
    end_pool(pool);

    /* The file is replaced after the program has loaded it: only what has a name is found. */
    snprintf(path, sizeof path, "%s.%d", argv[1], (int)getpid());
    copy(argv[1], path);
    void *replaced = load(path);
    copy(argv[2], path);
    pool = make_pool((dp_pool_options){0});
    dp_error error;
    CHECK_EQUAL(dp_pool_map(pool, function_of(replaced, "plugin_unnamed"), in, sizeof *in, out,
                            sizeof *out, N, &(dp_options){.error = &error}),
                DP_ETASK);
    CHECK_EQUAL(error.task_code, DP_ENOTSUP);
    CHECK_EQUAL(strcmp(error.text, dp_strerror(DP_ENOTSUP)), 0);
    CHECK_EQUAL(map(pool, function_of(replaced, "plugin_apply")), 0);
    expect_shifted(2000);
    end_pool(pool);
    unlink(path);
    dlclose(replaced);

    take_turns(argv + 1);
    load_again(argv + 1);
    replace_without_id(argv + 3);
    take_away(argv[1]);
    return 0;
}

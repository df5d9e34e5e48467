/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unload LIBRARY STATUS: loads libdp.so by its path, as a plug-in would, and closes it again while
 * the threads of its pools live. They must not find their code gone, nor a fork the handlers of the
 * library.
 */
#include "../stress/stress.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/wait.h>

/* The leak checker guesses where the thread-local variables of a library lie that was loaded late,
   and crashes when it guesses wrong. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "intercept_tls_get_addr=0";
}

/* The functions that are used, found at run time. */
typedef struct library {
    void *handle;
    __typeof__(dp_pool_create) *create;
    __typeof__(dp_pool_for) *loop;
    __typeof__(dp_pool_destroy) *destroy;
} library;

static void *symbol(void *handle, const char *name)
{
    void *found = dlsym(handle, name);
    CHECK(found);
    return found;
}

/* ISO C has no conversion from an object pointer to a function pointer; POSIX has this one. */
static void load(library *dp, const char *path)
{
    dp->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!dp->handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&dp->create = symbol(dp->handle, "dp_pool_create");
    *(void **)&dp->loop = symbol(dp->handle, "dp_pool_for");
    *(void **)&dp->destroy = symbol(dp->handle, "dp_pool_destroy");
}

static int count(size_t begin, size_t end, void *context)
{
    atomic_fetch_add((_Atomic(size_t) *)context, end - begin);
    return 0;
}

static void use(const library *dp, dp_pool *pool)
{
    for (int i = 0; i < 50; i++) {
        _Atomic(size_t) items = 0;
        CHECK_EQUAL(dp->loop(pool, count, &items, 0, 10000, NULL), 0);
        CHECK_EQUAL(atomic_load(&items), 10000);
    }
}

static void fork_once(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    CHECK_EQUAL(status, 0);
}

int main(int argc, char **argv)
{
    static dp_pool *left[3]; /* Static, so that a leak checker finds what is left on purpose. */
    dp_pool_options options = {.workers = 3};
    library dp;
    CHECK_EQUAL(argc, 3);
    for (int i = 0; i < 3; i++) {
        load(&dp, argv[1]);
        CHECK_EQUAL(dp.create(&left[i], &options), 0);
        use(&dp, left[i]);
        use(&dp, NULL);
        /* Once while the threads look for work, then when they sleep and must be woken later. */
        if (i > 0)
            STRESS_UNTIL(stress_others_sleep());
        CHECK_EQUAL(dlclose(dp.handle), 0);
        STRESS_UNTIL(stress_others_sleep());
        fork_once();
    }
    load(&dp, argv[1]);
    CHECK_EQUAL(dp.destroy(left[1]), 0);
    use(&dp, left[0]);
    dlclose(dp.handle);
    return atoi(argv[2]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the shared heap must be there is something else in the program that is begun anew: a few
 * times, and then always. The constructor below, which knows where, maps it.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "anew.h"

#ifndef MAP_FIXED_NOREPLACE
#    define MAP_FIXED_NOREPLACE 0x100000
#endif

static char message[600];

/* As often as the file that is named there has bytes, one of which it takes. */
__attribute__((constructor)) static void take_address(void)
{
    const char *where = getenv("DP_TEST_TAKEN"), *times = getenv("DP_TEST_TIMES");
    if (!where || !times || !getenv("DP_ZYGOTE"))
        return;
    int fd = open(times, O_RDWR);
    off_t left = lseek(fd, 0, SEEK_END);
    if (left > 0 && ftruncate(fd, left - 1) == 0)
        mmap((void *)(uintptr_t)strtoull(where, NULL, 16), 4096, PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    close(fd);
}

static void hear(void *context, int level, const char *text)
{
    (void)context;
    if (level == 1 && strstr(text, "DP_START_EXEC"))
        snprintf(message, sizeof message, "%s", text);
}

static int add_one(void *result, const void *item, void *context)
{
    (void)context;
    *(int *)result = *(const int *)item + 1;
    return 0;
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    char path[] = "/tmp/dp-test-address-XXXXXX", where[40];
    int fd = mkstemp(path), in[N], out[N];
    CHECK(fd >= 0);
    char *shared = dp_shared_alloc(100000);
    CHECK(shared != NULL);
    snprintf(where, sizeof where, "%llx",
             (unsigned long long)(uintptr_t)shared / 4096 * 4096 + 8192);
    CHECK_EQUAL(setenv("DP_TEST_TAKEN", where, 1), 0);
    CHECK_EQUAL(setenv("DP_TEST_TIMES", path, 1), 0);

    CHECK_EQUAL(write(fd, "xxx", 3), 3);
    dp_pool *pool = make_pool((dp_pool_options){0});
    CHECK_EQUAL(lseek(fd, 0, SEEK_END), 0);
    count_up(in);
    CHECK_EQUAL(dp_pool_map(pool, add_one, in, sizeof *in, out, sizeof *out, N, NULL), 0);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i + 1);
    end_pool(pool);

    CHECK_EQUAL(ftruncate(fd, 1000), 0);
    dp_on_message(hear, NULL);
    int descriptors = stress_descriptors();
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_EPROCESS);
    CHECK(strstr(message, "is taken") != NULL);
    CHECK(lseek(fd, 0, SEEK_END) > 900);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    STRESS_UNTIL(count_processes() == 0);

    CHECK_EQUAL(ftruncate(fd, 0), 0);
    end_pool(make_pool((dp_pool_options){0}));
    close(fd);
    unlink(path);
    dp_shared_free(shared);
    return 0;
}

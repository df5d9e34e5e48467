/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What constructors may have done to the shared memory before the program that is begun anew maps
 * it: all memory of the process is to be locked; or there is another file at its descriptor.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "anew.h"

static char message[600];

/* The descriptor of the shared memory. */
static int find_file(void)
{
    char link[40], name[100];
    for (int fd = 3; fd < 1000; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, name, sizeof name - 1);
        name[length > 0 ? length : 0] = 0;
        if (strstr(name, "dp-heap"))
            return fd;
    }
    return -1;
}

__attribute__((constructor)) static void disturb(void)
{
    const char *path = getenv("DP_TEST_OTHER");
    if (!getenv("DP_ZYGOTE"))
        return;
    if (getenv("DP_TEST_LOCK") && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        fputs("nothing is locked\n", stderr); /* As the system does not let us. */
    int other = path ? open(path, O_RDWR) : -1;
    if (other >= 0)
        dup2(other, find_file());
}

static void hear(void *context, int level, const char *text)
{
    (void)context;
    if (level == 1 && strstr(text, "DP_START_EXEC"))
        snprintf(message, sizeof message, "%s", text);
}

static long long blocks_of(int fd)
{
    struct stat status;
    CHECK_EQUAL(fstat(fd, &status), 0);
    return (long long)status.st_blocks;
}

static void lock_all(int file)
{
    dp_pool *pool = NULL;
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .process.start = DP_START_EXEC};
    CHECK_EQUAL(setenv("DP_TEST_LOCK", "1", 1), 0);
    int code = dp_pool_create(&pool, &options);
    CHECK_EQUAL(unsetenv("DP_TEST_LOCK"), 0);
    CHECK(blocks_of(file) < (64 << 20) / 512);
    CHECK(code == 0 || code == DP_ENOMEM); /* It may not lock as much. */
    if (code == 0)
        end_pool(pool);
}

static void put_another_file(void)
{
    char path[] = "/tmp/dp-test-memory-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQUAL(ftruncate(fd, (off_t)1 << 40), 0);
    CHECK_EQUAL(setenv("DP_TEST_OTHER", path, 1), 0);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_EPROCESS);
    CHECK(strstr(message, "descriptors") != NULL);
    CHECK_EQUAL(blocks_of(fd), 0);
    CHECK_EQUAL(unsetenv("DP_TEST_OTHER"), 0);
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    dp_on_message(hear, NULL);
    CHECK_EQUAL(setenv("DP_SHARED_MEMORY", "256", 1), 0); /* So that all of it could be there. */
    CHECK(dp_shared_alloc(1) != NULL);
    int file = find_file();
    CHECK(file >= 0);
    put_another_file();
    lock_all(file);
    end_pool(make_pool((dp_pool_options){0}));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that do not say, or too late, that workers may begin anew. Each is a child. */
#include <sys/wait.h>

#include "anew.h"

static char message[600];

static void hear(void *context, int level, const char *text)
{
    (void)context;
    if (level == 1 && strstr(text, "DP_START_EXEC"))
        snprintf(message, sizeof message, "%s", text);
}

static void not_at_all(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_ENOTSUP);
    CHECK(strstr(message, "dp_process_main()") != NULL);
}

static void too_late(int argc, char **argv)
{
    CHECK(dp_shared_alloc(1) != NULL);
    dp_process_main(argc, argv);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_ENOTSUP);
    CHECK(strstr(message, "before dp_process_main()") != NULL);
}

/* As daemons do. Another file may have the number then. */
static void closed(int argc, char **argv)
{
    dp_process_main(argc, argv);
    CHECK(dp_shared_alloc(1) != NULL);
    int first = dup(0);
    CHECK(first > 3);
    for (int fd = 3; fd < first; fd++)
        close(fd);
    CHECK_EQUAL(dup(0), 3);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_ENOTSUP);
    CHECK(strstr(message, "descriptor") != NULL);
}

/* The program ends, begun anew, before it comes to dp_process_main(). */
static void ends_before(int argc, char **argv)
{
    dp_process_main(argc, argv);
    CHECK_EQUAL(setenv("DP_TEST_END", "1", 1), 0);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_EPROCESS);
    CHECK(strstr(message, "begun anew") != NULL);
    CHECK_EQUAL(unsetenv("DP_TEST_END"), 0);
    end_pool(make_pool((dp_pool_options){0}));
}

/* A constructor takes the order away. Then main() must not go on, which would make this test, and
   so on. */
__attribute__((constructor)) static void clear_environment(void)
{
    char path[100];
    const char *to_tell = getenv("DP_TEST_CLEAR");
    if (!to_tell || !getenv("DP_ZYGOTE"))
        return;
    snprintf(path, sizeof path, "%s", to_tell);
    clearenv();
    setenv("DP_TEST_CLEARED", path, 1);
}

static void cleared(int argc, char **argv)
{
    char path[] = "/tmp/dp-test-missing-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    dp_process_main(argc, argv);
    CHECK_EQUAL(setenv("DP_TEST_CLEAR", path, 1), 0);
    CHECK_EQUAL(refusal_of((dp_pool_options){0}), DP_EPROCESS);
    CHECK(strstr(message, "environment") != NULL);
    CHECK_EQUAL(unsetenv("DP_TEST_CLEAR"), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_END), 0);
    end_pool(make_pool((dp_pool_options){0}));
    close(fd);
    unlink(path);
}

/* What `cleared` waits for not to happen. */
static int tell_that_main_goes_on(const char *path)
{
    FILE *file = fopen(path, "w");
    fputs("main() goes on", file);
    return fclose(file);
}

/* An order to become a zygote that is for somebody else is none. */
static void not_for_us(int argc, char **argv)
{
    CHECK_EQUAL(setenv("DP_ZYGOTE", "00000001 00 0 3 1 2 7 1000 1000 1000 4 5", 1), 0);
    dp_process_main(argc, argv);
    CHECK(getenv("DP_ZYGOTE") == NULL);
    end_pool(make_pool((dp_pool_options){0}));
}

/* An order of another dp ends the process, which must not go on as if it were the program. */
static void of_another(int argc, char **argv)
{
    char text[100];
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(text, sizeof text, "%08x 00 0 3 1 2 7 1000 1000 1000 4 5", (unsigned)getpid());
        setenv("DP_ZYGOTE", text, 1);
        dp_process_main(argc, argv);
        _exit(0);
    }
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(int argc, char **argv)
{
    static void (*const parts[])(int, char **) = {not_at_all, too_late,   closed,    ends_before,
                                                  cleared,    not_for_us, of_another};
    if (getenv("DP_TEST_END"))
        return 0;
    if (getenv("DP_ZYGOTE") || getenv("DP_TEST_CLEARED"))
        dp_process_main(argc, argv);
    if (getenv("DP_TEST_CLEARED"))
        return tell_that_main_goes_on(getenv("DP_TEST_CLEARED"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            dp_on_message(hear, NULL);
            parts[i](argc, argv);
            exit(0);
        }
        CHECK_EQUAL(waitpid(pid, &status, 0), pid);
        CHECK_EQUAL(status, 0);
    }
    return 0;
}

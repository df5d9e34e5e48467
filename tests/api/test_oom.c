/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Workers that the kernel kills for want of memory: really, in a cgroup, where this machine lets a
 * test make one; and as told by the files of every kind of machine, of which the library is shown
 * imitations: the linker puts __wrap_fopen() between it and the C library.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/leftovers.h"
#include "support/processes.h"

enum { N = 16, VICTIM = 11, MB = 1 << 20, PATH = 600 };

/* ---- Imitations ---- */

/* A machine, by what its files say. */
typedef struct machine {
    const char *cgroup; /* /proc/self/cgroup */
    const char *path;   /* Where the number is, */
    const char *form;   /* and what stands around it. */
} machine;

static const machine machines[] = {
    {"0::/app.slice/app\n", "/sys/fs/cgroup/app.slice/app/memory.events",
     "low 0\nhigh 0\nmax 12\noom 12\noom_kill %d\noom_group_kill 0\n"},
    /* A container, to which the path of its host is shown. */
    {"0::/of/the/host\n", "/sys/fs/cgroup/memory.events", "max 12\noom_kill %d\n"},
    {"9:cpu,cpuacct:/other\n4:memory:/box\n0::/\n", "/sys/fs/cgroup/memory/box/memory.oom_control",
     "oom_kill_disable 0\nunder_oom 0\noom_kill %d\n"},
    {"0::/\n", "/proc/vmstat", "nr_free_pages 77\noom_kill %d\nnuma_hit 5\n"},
};

/* Where the imitations lie, each under its path with underscores; empty: the files themselves are
   shown. Workers and the zygote have a copy. */
static char folder[64];

static void imitation_of(const char *path, char out[PATH])
{
    size_t length = (size_t)snprintf(out, PATH, "%s/", folder);
    snprintf(out + length, PATH - length, "%s", path);
    for (char *c = out + length; *c; c++)
        *c = *c == '/' ? '_' : *c;
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
    char imitation[PATH];
    if (!*folder)
        return __real_fopen(path, mode);
    imitation_of(path, imitation);
    return __real_fopen(imitation, mode);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t wrote = write(fd, text, strlen(text));
    close(fd);
    return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

static void tell_kills(const machine *m, int kills)
{
    char path[PATH], text[200];
    imitation_of(m->path, path);
    snprintf(text, sizeof text, m->form, kills);
    if (write_file(path, text) != 0)
        abort();
}

static void show_machine(const machine *m)
{
    char path[PATH];
    snprintf(folder, sizeof folder, "/tmp/dp-oom-XXXXXX");
    cr_assert(mkdtemp(folder));
    imitation_of("/proc/self/cgroup", path);
    cr_assert_eq(write_file(path, m->cgroup), 0);
    tell_kills(m, 3);
}

static void hide_machine(const machine *m)
{
    char path[PATH];
    imitation_of("/proc/self/cgroup", path);
    unlink(path);
    imitation_of(m->path, path);
    unlink(path);
    cr_assert_eq(rmdir(folder), 0);
    *folder = 0;
}

typedef struct killing {
    const machine *machine;
    int by_kernel;
    atomic_int count;
} killing;

static int be_killed(void *out, const void *in, void *context)
{
    killing *k = context;
    (void)out;
    if (*(const int *)in != VICTIM)
        return 0;
    int before = atomic_fetch_add(&k->count, 1);
    if (k->by_kernel)
        tell_kills(k->machine, 4 + before);
    return kill(getpid(), SIGKILL);
}

/* What the victim fails with, and no other. */
static int fail_one(dp_pool *pool, dp_map_fn f, void *context, unsigned retries)
{
    int in[N], status[N];
    dp_error error;
    dp_options options = {.on_error = DP_ERRORS_FINISH,
                          .context = context,
                          .status = status,
                          .retries = retries,
                          .error = &error};
    for (int i = 0; i < N; i++)
        in[i] = i;
    if (dp_pool_map(pool, f, in, sizeof in[0], NULL, 0, N, &options) != DP_ETASK)
        return 0;
    for (int i = 0; i < N; i++)
        if (status[i] != (i == VICTIM ? error.task_code : 0))
            return DP_EIO;
    return error.item == VICTIM && error.signal == SIGKILL && error.pid > 0 ? error.task_code
                                                                            : DP_EINVAL;
}

DP_TEST(oom, is_told_from_other_kills_on_every_machine)
{
    killing *k = new_shared(sizeof *k);
    for (EACH(m, machines)) {
        show_machine(&machines[m]);
        dp_pool *pool = new_processes(2);
        *k = (killing){.machine = &machines[m]};
        EXPECT(DP_ECRASH, fail_one(pool, be_killed, k, 0));
        *k = (killing){.machine = &machines[m], .by_kernel = 1};
        EXPECT(DP_ENOMEM, fail_one(pool, be_killed, k, 0));
        cr_assert_eq(atomic_load(&k->count), 1);
        k->by_kernel = 0;
        EXPECT(DP_ECRASH, fail_one(pool, be_killed, k, 0));
        end_pool(pool);
        hide_machine(&machines[m]);
    }
    dp_shared_free(k);
}

DP_TEST(oom, is_retried_as_a_crash_is)
{
    killing *k = new_shared(sizeof *k);
    show_machine(&machines[0]);
    dp_pool *pool = new_processes(2);
    *k = (killing){.machine = &machines[0], .by_kernel = 1};
    EXPECT(DP_ENOMEM, fail_one(pool, be_killed, k, 2));
    cr_assert_eq(atomic_load(&k->count), 3);
    end_pool(pool);
    hide_machine(&machines[0]);
    dp_shared_free(k);
}

/* ---- A cgroup ---- */

/* Below the one that the test is in, whose own bounds hold there too, and of which nothing is
   changed. */
typedef struct group {
    char path[PATH];
    int is_unified;
} group;

static int find_own_group(group *g)
{
    char line[400];
    int found = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *name = strstr(line, ":memory:");
        line[strcspn(line, "\n")] = 0;
        g->is_unified = strncmp(line, "0::", 3) == 0;
        found = name || g->is_unified;
        if (found)
            snprintf(g->path, sizeof g->path, "/sys/fs/cgroup%s%s", name ? "/memory" : "",
                     name ? name + strlen(":memory:") : line + strlen("0::"));
    }
    if (file)
        fclose(file);
    return found ? 0 : -1;
}

static int write_in(const group *g, const char *name, const char *text)
{
    char path[PATH + 40];
    snprintf(path, sizeof path, "%s/%s", g->path, name);
    return access(path, W_OK) == 0 ? write_file(path, text) : -1;
}

/* One with little memory. 0, or -1 where that cannot be. */
static int make_group(group *g)
{
    if (find_own_group(g) != 0)
        return -1;
    size_t length = strlen(g->path);
    snprintf(g->path + length, sizeof g->path - length, "/dp-oom-%d", getpid());
    if (mkdir(g->path, 0700) != 0)
        return -1;
    int code = write_in(g, g->is_unified ? "memory.max" : "memory.limit_in_bytes", "67108864");
    /* Where there is no swap there may be no bound for it either. */
    write_in(g, g->is_unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
             g->is_unified ? "0" : "67108864");
    if (code != 0)
        rmdir(g->path);
    return code;
}

static int is_removed(void *context)
{
    return rmdir(((group *)context)->path) == 0;
}

static int take_all_memory(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    for (int i = 0; *(const int *)in == VICTIM && i < 256; i++) {
        char *memory = malloc(4 * MB);
        if (memory)
            memset(memory, i | 1, 4 * MB);
    }
    return *(const int *)in == VICTIM;
}

/* In a child: 0 if it is all as it should be; 1 if it cannot be tried. */
static int run_in(const group *g)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    if (write_in(g, "cgroup.procs", "0") != 0)
        return 1;
    if (dp_pool_create(&pool, &options) != 0)
        return 2;
    int code = fail_one(pool, take_all_memory, NULL, 0);
    if (code != DP_ENOMEM)
        return 10 - code;
    return dp_pool_destroy(pool) == 0 ? 0 : 3;
}

DP_TEST(oom, of_a_cgroup_fails_the_item)
{
    group g;
    int status = -1;
    if (UNDER_ASAN)
        cr_skip_test("the sanitizer needs more memory than that");
    if (make_group(&g) != 0)
        cr_skip_test("here no cgroup with a bound of memory can be made");
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)(4 * PATIENCE));
        _exit(run_in(&g));
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert(comes_true(is_removed, &g, PATIENCE));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
        cr_skip_test("here no process can be put into a cgroup");
    cr_assert_eq(status, 0, "%x", (unsigned)status);
}

/* ---- Whom it kills first ---- */

static int score(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDONLY);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    close(fd);
    return got > 0 ? atoi(text) : -1;
}

static int tell_score(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = score();
    return 0;
}

/* Whether this process may offer itself so much. */
static int offer(int number)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d", number),
        fd = open("/proc/self/oom_score_adj", O_WRONLY);
    ssize_t written = fd >= 0 ? write(fd, text, (size_t)length) : -1;
    close(fd);
    return written == length;
}

DP_TEST(oom, takes_a_worker_first)
{
    static const int cases[][2] = {{300, 500}, {600, 700}, {950, 1000}};
    for (int i = 0; i < 3; i++) {
        int got = 0;
        if (!offer(cases[i][0]))
            continue;
        dp_pool *pool =
            new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = 1});
        EXPECT(0, dp_pool_apply(pool, tell_score, NULL, 0, &got, sizeof got, NULL));
        EXPECT(cases[i][1], got);
        end_pool(pool);
    }
}

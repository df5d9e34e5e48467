/* SPDX-License-Identifier: Apache-2.0 */

/* The variables of the environment, and what the library tells about its choices. Each test is a
   process of its own, so that what is read once is read anew. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/verbs.h"

/* What was told, line by line. */
typedef struct diary {
    pthread_mutex_t mutex;
    char text[8000];
    int lines, of_level[3];
} diary;

#define DIARY_INIT                          \
    {                                       \
        .mutex = PTHREAD_MUTEX_INITIALIZER, \
    }

static void note(void *context, int level, const char *text)
{
    diary *d = context;
    pthread_mutex_lock(&d->mutex);
    size_t used = strlen(d->text);
    snprintf(d->text + used, sizeof d->text - used, "%s\n", text);
    d->lines++;
    if (level >= 0 && level < 3)
        d->of_level[level]++;
    pthread_mutex_unlock(&d->mutex);
}

#define SAYS(diary, part) \
    cr_assert(strstr((diary)->text, part), "not told: %s\n%s", part, (diary)->text)

/* ---- The default pool ---- */

/* The default pool is serial if it has no threads. */
static int default_is_serial(void)
{
    dp_stats stats;
    EXPECT(0, dp_pool_stats(NULL, &stats));
    EXPECT(0, dp_pool_destroy(NULL));
    return stats.threads == 0;
}

DP_TEST(environment, chooses_the_engine_of_the_default_pool)
{
    const struct {
        const char *text;
        int serial, complains;
    } cases[] = {{NULL, 0, 0},    {"", 0, 0},       {"threads", 0, 0}, {"serial", 1, 0},
                 {"auto", 0, 0},  {"Serial", 0, 1}, {"serial ", 0, 1}, {"1", 0, 1},
                 {"seria", 0, 1}, {"%s%n", 0, 1}};
    for (EACH(i, cases)) {
        diary d = DIARY_INIT;
        if (cases[i].text)
            setenv("DP_ENGINE", cases[i].text, 1);
        else
            unsetenv("DP_ENGINE");
        EXPECT(0, dp_on_message(note, &d));
        cr_assert_eq(default_is_serial(), cases[i].serial, "DP_ENGINE=%s", cases[i].text);
        cr_assert_eq(strstr(d.text, "DP_ENGINE is ignored") != NULL, cases[i].complains, "%s",
                     d.text);
        if (cases[i].complains)
            SAYS(&d, ", but auto, threads, serial, processes\n");
        EXPECT(0, dp_on_message(NULL, NULL));
    }
}

DP_TEST(environment, does_not_overrule_the_code)
{
    setenv("DP_ENGINE", is_serial() ? "threads" : "serial", 1);
    dp_stats stats;
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.threads, is_serial() ? 0 : 2);
    end_pool(pool);
}

DP_TEST(environment, chooses_for_every_pool_that_leaves_it_open)
{
    dp_stats stats;
    dp_pool *pool;
    diary d = DIARY_INIT;
    EXPECT(0, dp_on_message(note, &d));
    setenv("DP_PIN", "compact", 1);
    EXPECT(0, dp_pool_create(&pool, &(dp_pool_options){.workers = 2}));
    end_pool(pool);
    cr_assert(strstr(d.text, "the workers are pinned") || strstr(d.text, "does not show"), "%s",
              d.text);
    setenv("DP_ENGINE", "serial", 1);
    EXPECT(0, dp_pool_create(&pool, &(dp_pool_options){.prefer = DP_PREFER_THREADS}));
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.threads, 0);
    end_pool(pool);
    setenv("DP_ENGINE", "processes", 1);
    EXPECT(0, dp_pool_create(&pool, NULL));
    SAYS(&d, "threads instead of processes: the program does not say");
    end_pool(pool);
    EXPECT(0, dp_on_message(NULL, NULL));
}

DP_TEST(environment, pins_the_default_pool)
{
    const struct {
        const char *text;
        int complains;
    } cases[] = {{"auto", 0}, {"none", 0}, {"compact", 0}, {"scatter", 0}, {"", 0}, {"cpu3", 1}};
    for (EACH(i, cases)) {
        diary d = DIARY_INIT;
        setenv("DP_PIN", cases[i].text, 1);
        EXPECT(0, dp_on_message(note, &d));
        EXPECT(0, verbs[0].call(NULL, VERB_MAX));
        EXPECT(0, dp_pool_destroy(NULL));
        cr_assert_eq(strstr(d.text, "DP_PIN is ignored: there") != NULL, cases[i].complains, "%s",
                     d.text);
        if (i == 2 || i == 3)
            cr_assert(strstr(d.text, "the workers are pinned") || strstr(d.text, "does not show"),
                      "%s", d.text);
        EXPECT(0, dp_on_message(NULL, NULL));
    }
}

/* ---- What is told ---- */

DP_TEST(environment, the_number_of_workers_is_explained)
{
    const struct {
        const char *variable;
        int workers;
        const char *said[2];
    } cases[] = {{NULL, 3, {"with 3 workers: the program asked", "the workers are not pinned"}},
                 {"4", 0, {"with 4 workers: DP_NUM_WORKERS is 4", "threads"}},
                 {"4", -2, {"with 3 workers: DP_NUM_WORKERS is 4", "threads"}},
                 {"many", 0, {"DP_NUM_WORKERS is ignored", "in the affinity mask"}}};
    for (EACH(i, cases)) {
        diary d = DIARY_INIT;
        if (cases[i].variable)
            setenv("DP_NUM_WORKERS", cases[i].variable, 1);
        EXPECT(0, dp_on_message(note, &d));
        end_pool(new_pool(cases[i].workers));
        EXPECT(0, dp_on_message(NULL, NULL));
        if (is_serial())
            SAYS(&d, "on the thread that makes them");
        for (int s = 0; s < 2 && !is_serial(); s++)
            SAYS(&d, cases[i].said[s]);
    }
}

static int make_pool_in_task(void *out, const void *in, void *context)
{
    dp_pool *pool;
    (void)out, (void)in;
    *(int *)context = dp_pool_create(&pool, NULL);
    return *(int *)context ? 1 : dp_pool_destroy(pool);
}

DP_TEST(environment, the_share_of_a_task_is_explained)
{
    if (is_serial())
        cr_skip_test("a serial pool has one worker");
    diary d = DIARY_INIT;
    int code = -1;
    setenv("DP_NUM_WORKERS", "6", 1);
    dp_pool *pool = new_pool(3);
    EXPECT(0, dp_on_message(note, &d));
    EXPECT(0, dp_pool_apply(pool, make_pool_in_task, NULL, 0, NULL, 0,
                            &(dp_options){.context = &code}));
    EXPECT(0, dp_on_message(NULL, NULL));
    EXPECT(0, code);
    SAYS(&d, "with 2 workers: the task that makes it has 2 of the CPUs for itself");
    end_pool(pool);
}

static int refuse(void *context, unsigned worker)
{
    (void)context;
    return worker == 1;
}

DP_TEST(environment, a_worker_that_cannot_begin_is_told)
{
    if (is_serial())
        cr_skip_test("there is one worker only");
    diary d = DIARY_INIT;
    dp_pool_options options = pool_options(3);
    dp_pool *pool;
    options.worker_init = refuse;
    EXPECT(0, dp_on_message(note, &d));
    EXPECT(DP_EINIT, dp_pool_create(&pool, &options));
    EXPECT(0, dp_on_message(NULL, NULL));
    SAYS(&d, "worker_init failed for worker 1\n");
    cr_assert(!strstr(d.text, "a pool of the engine"), "%s", d.text);
}

static int meet(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    dp_blocking_begin();
    counter_add(context, 1);
    counter_wait(context, 4);
    dp_blocking_end();
    return 0;
}

DP_TEST(environment, spares_are_told)
{
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    diary d = DIARY_INIT;
    counter present = COUNTER_INIT;
    dp_options options = {.chunk = 1, .context = &present};
    EXPECT(0, dp_on_message(note, &d));
    dp_pool *pool = new_pool(1);
    cr_assert_eq(d.of_level[2], 0);
    EXPECT(0, dp_pool_map(pool, meet, NULL, 0, NULL, 0, 4, &options));
    end_pool(pool);
    EXPECT(0, dp_on_message(NULL, NULL));
    cr_assert_geq(d.of_level[2], 2);
    cr_assert_geq(d.of_level[1], 1);
    SAYS(&d, "a spare thread was started: 2 threads for 1 workers");
}

/* ---- Standard error ---- */

/* What making a pool writes to standard error with this DP_VERBOSE. */
static void heard(const char *verbose, char *text, size_t size)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    cr_assert(file && kept >= 0);
    if (verbose)
        setenv("DP_VERBOSE", verbose, 1);
    else
        unsetenv("DP_VERBOSE");
    EXPECT(0, dp_on_message(NULL, NULL)); /* It is read anew after this. */
    dup2(fileno(file), STDERR_FILENO);
    dp_pool *pool = new_pool(1);
    if (!is_serial()) {
        counter present = COUNTER_INIT;
        dp_options options = {.chunk = 1, .context = &present};
        dp_pool_map(pool, meet, NULL, 0, NULL, 0, 4, &options);
    }
    end_pool(pool);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

DP_TEST(environment, is_silent_unless_asked)
{
    const char *const silent[] = {NULL, "", "0"};
    char text[4000];
    for (EACH(i, silent)) {
        heard(silent[i], text, sizeof text);
        cr_assert_str_empty(text);
    }
}

DP_TEST(environment, speaks_in_lines_when_asked)
{
    const struct {
        const char *verbose;
        int odd, spares;
    } cases[] = {{"1", 0, 0}, {"2", 0, 1}, {"3", 1, 0}, {"yes", 1, 0}, {"-1", 1, 0}};
    char text[4000];
    for (EACH(i, cases)) {
        heard(cases[i].verbose, text, sizeof text);
        cr_assert(strstr(text, "dp: a pool of the engine "), "%s", text);
        cr_assert_eq(strstr(text, "DP_VERBOSE is neither") != NULL, cases[i].odd, "%s", text);
        cr_assert_eq(strstr(text, "a spare") != NULL, cases[i].spares && !is_serial(), "%s", text);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            cr_assert(strncmp(line, "dp: ", 4) == 0, "%s", line);
    }
}

DP_TEST(environment, a_hook_replaces_standard_error)
{
    diary d = DIARY_INIT;
    char text[4000];
    heard("2", text, sizeof text);
    EXPECT(0, dp_on_message(note, &d));
    fflush(stderr);
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    cr_assert(file && kept >= 0);
    dup2(fileno(file), STDERR_FILENO);
    end_pool(new_pool(2));
    dup2(kept, STDERR_FILENO);
    close(kept);
    cr_assert_eq(lseek(fileno(file), 0, SEEK_END), 0);
    fclose(file);
    cr_assert_geq(d.lines, 1);
    int lines = d.lines;
    heard("1", text, sizeof text);
    cr_assert_str_not_empty(text);
    cr_assert_eq(d.lines, lines);
}

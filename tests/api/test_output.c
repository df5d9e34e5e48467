/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What tasks in worker processes print, told item by item.
 */

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/processes.h"

enum { N = 200, LINE = 80, KEPT = 1000, VICTIM = 37 };

/* What was told, by item and stream; the last row is for what belongs to none. */
typedef struct record {
    pthread_mutex_t lock;
    char text[N + 1][2][LINE];
    int told[N + 1][2];
    size_t dropped, largest;
    void *context;
    int is_wrong; /* Something that cannot be. */
} record;

static void note_output(void *context, const dp_output *output)
{
    record *r = context;
    size_t row = output->item == DP_NO_ITEM ? N : output->item;
    int stream = output->stream - 1;
    pthread_mutex_lock(&r->lock);
    if (row > N || stream < 0 || stream > 1 || output->text[output->size] != 0) {
        r->is_wrong++;
    } else {
        size_t length = strlen(r->text[row][stream]);
        snprintf(r->text[row][stream] + length, LINE - length, "%s", output->text);
        r->told[row][stream]++;
    }
    r->dropped += output->dropped;
    r->largest = output->size > r->largest ? output->size : r->largest;
    r->is_wrong += row < N && output->context != r->context;
    pthread_mutex_unlock(&r->lock);
}

static void begin_record(record *r, void *context)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->context = context;
}

static dp_pool *new_captured(record *r, int workers, dp_pool_process_options bounds)
{
    bounds.on_output = note_output;
    bounds.output_context = r;
    return new_pool_with(
        &(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = workers, .process = bounds});
}

static void expect_text(const record *r, size_t row, int stream, const char *text)
{
    cr_assert_str_eq(r->text[row][stream], text, "item %zu, stream %d: \"%s\"", row, stream + 1,
                     r->text[row][stream]);
    cr_assert_eq(r->told[row][stream], *text ? 1 : 0);
}

/* ---- Items ---- */

static int print_some(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)out, (void)context;
    if (item % 3 == 0)
        printf("item %d\nsecond line\n", item);
    if (item % 5 == 0)
        fprintf(stderr, "no newline in %d", item);
    return 0;
}

static void expect_all_printed(const record *r)
{
    for (int i = 0; i < N; i++) {
        char out[LINE] = "", err[LINE] = "";
        if (i % 3 == 0)
            snprintf(out, sizeof out, "item %d\nsecond line\n", i);
        if (i % 5 == 0)
            snprintf(err, sizeof err, "no newline in %d", i);
        expect_text(r, (size_t)i, 0, out);
        expect_text(r, (size_t)i, 1, err);
    }
    expect_text(r, N, 0, "");
    expect_text(r, N, 1, "");
    cr_assert_eq(r->dropped, 0);
    cr_assert_eq(r->is_wrong, 0);
}

static void map_and_print(dp_pool_process_options bounds, size_t chunk)
{
    record r;
    int in[N];
    begin_record(&r, in);
    dp_pool *pool = new_captured(&r, 2, bounds);
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.context = in, .chunk = chunk};
    EXPECT(0, dp_pool_map(pool, print_some, in, sizeof in[0], NULL, 0, N, &options));
    expect_all_printed(&r);
    end_pool(pool);
    expect_all_printed(&r);
}

DP_TEST(output, is_told_of_each_item)
{
    map_and_print((dp_pool_process_options){0}, 0);
    map_and_print((dp_pool_process_options){0}, 1);
    map_and_print((dp_pool_process_options){0}, N);
}

/* More than an order prints before it ends for that. */
static int print_much_and_add(size_t begin, size_t end, void *context)
{
    static char page[16 << 10];
    memset(page, '.', sizeof page - 1);
    for (size_t i = begin; i < end; i++) {
        ((int *)context)[i]++;
        puts(page);
    }
    return 0;
}

/* The rest of them is ordered again, and nothing is wrong with any: also where what was begun must
   not be begun again. */
DP_TEST(output, that_ends_orders_is_no_failure)
{
    record r;
    int *sum = dp_shared_alloc(N * sizeof *sum);
    memset(sum, 0, N * sizeof *sum);
    begin_record(&r, sum);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    EXPECT(0, dp_pool_for(pool, print_much_and_add, sum, 0, N, &(dp_options){.chunk = 1}));
    for (int i = 0; i < N; i++)
        cr_assert_eq(sum[i], 1, "%d: %d", i, sum[i]);
    end_pool(pool);
    dp_shared_free(sum);
}

DP_TEST(output, of_processes_that_are_replaced)
{
    map_and_print((dp_pool_process_options){.recycle_tasks = 1}, 0);
    map_and_print((dp_pool_process_options){.recycle_tasks = 7}, 0);
}

DP_TEST(output, of_futures_and_lazy_maps)
{
    record r;
    int in[N];
    dp_iter *iter;
    begin_record(&r, in);
    dp_pool *pool = new_captured(&r, 2, (dp_pool_process_options){0});
    dp_options options = {.context = in};
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_source source = {.items = in, .item_size = sizeof in[0], .n = N};
    EXPECT(0, dp_pool_imap_unordered(pool, print_some, &source, 0, &options, &iter));
    for (int i = 0; i < N; i++)
        EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, NULL));
    dp_iter_destroy(iter);
    expect_all_printed(&r);
    end_pool(pool);
}

/* ---- Crashes ---- */

static int print_and_crash(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)out, (void)context;
    printf("begin %d", item);
    if (item == VICTIM)
        abort();
    if (item == VICTIM + 50)
        exit(3);
    printf(", end");
    return 0;
}

DP_TEST(output, survives_a_crash)
{
    leave_no_cores();
    record r;
    int in[N], status[N];
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 2, (dp_pool_process_options){0});
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.status = status, .on_error = DP_ERRORS_COLLECT};
    EXPECT(0, dp_pool_map(pool, print_and_crash, in, sizeof in[0], NULL, 0, N, &options));
    for (int i = 0; i < N; i++) {
        char text[LINE];
        int dies = i == VICTIM || i == VICTIM + 50;
        snprintf(text, sizeof text, "begin %d%s", i, dies ? "" : ", end");
        expect_text(&r, (size_t)i, 0, text);
        EXPECT(dies ? DP_ECRASH : 0, status[i]);
    }
    end_pool(pool);
    cr_assert_eq(r.is_wrong, 0);
}

static int print_and_hang(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    fputs("it hangs", stderr);
    loop_on();
    return 0;
}

DP_TEST(output, of_an_item_that_is_killed)
{
    record r;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    dp_options options = {.run_timeout = 0.1};
    EXPECT(DP_ETASK, dp_pool_map(pool, print_and_hang, NULL, 0, NULL, 0, 1, &options));
    expect_text(&r, 0, 1, "it hangs");
    end_pool(pool);
}

static int print_and_kill_the_zygote(void *out, const void *in, void *context)
{
    print_some(out, in, context);
    if (*(const int *)in == VICTIM) {
        fputs("the last words", stderr);
        kill(getppid(), SIGKILL);
        loop_on();
    }
    return 0;
}

/* What it had printed before, and then; all before the call is over. */
DP_TEST(output, survives_the_pool)
{
    record r;
    int in[N], status[N];
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.status = status, .on_error = DP_ERRORS_COLLECT, .chunk = N};
    EXPECT(0, dp_pool_map(pool, print_and_kill_the_zygote, in, sizeof in[0], NULL, 0, N, &options));
    EXPECT(0, status[VICTIM - 1]);
    EXPECT(DP_EBROKEN, status[VICTIM]);
    expect_text(&r, VICTIM - 1, 0, "item 36\nsecond line\n");
    expect_text(&r, VICTIM, 1, "the last words");
    end_pool(pool);
    expect_text(&r, VICTIM, 1, "the last words");
    expect_text(&r, N, 0, "");
    expect_text(&r, N, 1, "");
    cr_assert_eq(r.is_wrong, 0);
}

/* ---- Others who print ---- */

static int let_print(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return system("echo from a shell; echo and its errors >&2");
}

DP_TEST(output, of_programs_that_a_task_starts)
{
    record r;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    EXPECT(0, dp_pool_apply(pool, let_print, NULL, 0, NULL, 0, NULL));
    expect_text(&r, 0, 0, "from a shell\n");
    expect_text(&r, 0, 1, "and its errors\n");
    end_pool(pool);
}

static int print_by_name(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)out, (void)context;
    if (item % 3 == 1)
        return system("echo one > /dev/stderr; echo two >&2");
    fprintf(stderr, "item %d says so much that what follows is shorter\n", item);
    return 0;
}

/* Which cuts off what was printed before, as it would a file. */
DP_TEST(output, of_programs_that_open_it_by_name)
{
    record r;
    char expected[LINE];
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    for (int i = 0; i < 6; i++) {
        snprintf(expected, sizeof expected,
                 i % 3 == 1 ? "one\ntwo\n" : "item %d says so much that what follows is shorter\n",
                 i);
        memset(r.text, 0, sizeof r.text);
        memset(r.told, 0, sizeof r.told);
        EXPECT(0, dp_pool_apply(pool, print_by_name, &i, sizeof i, NULL, 0, NULL));
        expect_text(&r, 0, 1, expected);
    }
    cr_assert_eq(r.dropped, 0);
    end_pool(pool);
}

static int cut_off_and_kill_the_zygote(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    if (system("echo last words > /dev/stderr") == 0) {
        kill(getppid(), SIGKILL);
        loop_on();
    }
    return 0;
}

/* The worker has not noted that, and nobody notes its death. */
DP_TEST(output, that_is_cut_off_before_the_end)
{
    record r;
    int zero = 0;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    EXPECT(0, dp_pool_apply(pool, print_by_name, &zero, sizeof zero, NULL, 0, NULL));
    memset(r.text, 0, sizeof r.text);
    EXPECT(DP_ETASK, dp_pool_apply(pool, cut_off_and_kill_the_zygote, NULL, 0, NULL, 0, NULL));
    cr_assert_str_eq(r.text[0][1], "last words\n");
    cr_assert_eq(r.dropped, 0);
    cr_assert_eq(r.is_wrong, 0);
    end_pool(pool);
}

/* Nothing that is told is wrong, though an item that was not told of yet has lost what it had. */
DP_TEST(output, that_is_cut_off_in_between)
{
    record r;
    int in[6];
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    for (int i = 0; i < 6; i++)
        in[i] = i;
    EXPECT(0, dp_pool_map(pool, print_by_name, in, sizeof in[0], NULL, 0, 6,
                          &(dp_options){.chunk = 6}));
    for (size_t i = 0; i < 6; i++) {
        char whole[LINE];
        snprintf(whole, sizeof whole,
                 i % 3 == 1 ? "one\ntwo\n" : "item %zu says so much that what follows is shorter\n",
                 i);
        cr_assert(r.text[i][1][0] == 0 || strcmp(r.text[i][1], whole) == 0, "%s", r.text[i][1]);
        cr_assert_eq(r.told[i][1], 1);
    }
    cr_assert_str_neq(r.text[5][1], "");
    end_pool(pool);
}

static int print_init(void *context, unsigned worker)
{
    (void)context, (void)worker;
    printf("init ");
    return 0;
}

static void print_fini(void *context, unsigned worker)
{
    (void)context, (void)worker;
    printf("fini ");
}

DP_TEST(output, of_hooks_belongs_to_no_item)
{
    record r;
    int zero = 0;
    begin_record(&r, NULL);
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                     .workers = 1,
                                                     .worker_init = print_init,
                                                     .worker_fini = print_fini,
                                                     .process.on_output = note_output,
                                                     .process.output_context = &r});
    EXPECT(0, dp_pool_apply(pool, print_some, &zero, sizeof zero, NULL, 0, NULL));
    expect_text(&r, 0, 0, "item 0\nsecond line\n");
    cr_assert_str_eq(r.text[N][0], is_snapshot() ? "init fini " : "init ");
    end_pool(pool);
    cr_assert_str_eq(r.text[N][0], "init fini ");
}

/* ---- Too much ---- */

static int print_much(void *out, const void *in, void *context)
{
    size_t lines = *(const size_t *)in;
    (void)out, (void)context;
    for (size_t i = 0; i < lines; i++)
        printf("line %06zu\n", i);
    return 0;
}

enum { LINE_BYTES = 12 };

DP_TEST(output, beyond_the_limit_is_dropped)
{
    record r;
    const size_t lines = 300000;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){.output_limit = 5 * LINE_BYTES});
    EXPECT(0, dp_pool_apply(pool, print_much, &lines, sizeof lines, NULL, 0, NULL));
    cr_assert_eq(r.largest, 5 * LINE_BYTES);
    cr_assert_eq(r.dropped, (lines - 5) * LINE_BYTES);
    cr_assert_str_eq(r.text[0][0],
                     "line 299995\nline 299996\nline 299997\nline 299998\nline 299999\n");
    end_pool(pool);
}

static int leave_one_who_prints(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return system("yes | head -c 100000000 &");
}

/* Of all files of output that there are: how long they are, and how much memory they have. */
static void measure_files(int64_t *bytes, int64_t *held)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    *bytes = *held = 0;
    cr_assert_not_null(directory);
    while ((entry = readdir(directory))) {
        char path[300], name[80] = "";
        struct stat status;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, name, sizeof name - 1) > 0 && strstr(name, "dp-output") &&
            stat(path, &status) == 0) {
            *bytes += status.st_size;
            *held += status.st_blocks * 512;
        }
    }
    closedir(directory);
}

static int all_is_printed_and_dropped(void *unused)
{
    int64_t bytes, held;
    (void)unused;
    measure_files(&bytes, &held);
    return bytes >= 100000000 && held < 10000000;
}

DP_TEST(output, of_nobody_is_dropped_too)
{
    record r;
    begin_record(&r, NULL);
    if (is_snapshot()) /* Nobody is left there. */
        return;
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    EXPECT(0, dp_pool_apply(pool, leave_one_who_prints, NULL, 0, NULL, 0, NULL));
    cr_assert(comes_true(all_is_printed_and_dropped, NULL, PATIENCE));
    end_pool(pool);
}

/* More notes than there is room for, and more bytes than wait. */
DP_TEST(output, of_many_items_is_all_there)
{
    record r;
    size_t in[N], bytes = 0;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){.output_limit = 1 << 20});
    for (size_t i = 0; i < N; i++)
        bytes += LINE_BYTES * (in[i] = 1 + i % 3 * 700);
    EXPECT(0,
           dp_pool_map(pool, print_much, in, sizeof in[0], NULL, 0, N, &(dp_options){.chunk = N}));
    for (size_t i = 0; i < N; i++)
        cr_assert_eq(r.told[i][0], 1, "item %zu", i);
    cr_assert_eq(r.dropped, 0);
    cr_assert_eq(r.largest, 1401 * LINE_BYTES);
    cr_assert_gt(bytes, 0);
    end_pool(pool);
}

static int close_all(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    printf("before");
    for (int fd = 0; fd < 64; fd++)
        close(fd);
    printf("after");
    return 0;
}

DP_TEST(output, of_a_task_that_closes_all)
{
    record r;
    int zero = 0;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){.recycle_tasks = 1});
    EXPECT(0, dp_pool_apply(pool, close_all, NULL, 0, NULL, 0, NULL));
    EXPECT(0, dp_pool_apply(pool, print_some, &zero, sizeof zero, NULL, 0, NULL));
    end_pool(pool);
    cr_assert_eq(r.is_wrong, 0);
    cr_assert(strstr(r.text[N][0], "before") || strstr(r.text[0][0], "before"));
}

DP_TEST(output, goes_where_the_program_prints_without_it)
{
    int fds[2];
    char text[LINE] = "";
    const int three = 3;
    cr_assert_eq(pipe(fds), 0);
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    dup2(fds[1], STDOUT_FILENO);
    dp_pool *pool = new_processes(1);
    EXPECT(0, dp_pool_apply(pool, print_some, &three, sizeof three, NULL, 0, NULL));
    end_pool(pool);
    dup2(before, STDOUT_FILENO);
    close(before);
    close(fds[1]);
    ssize_t got = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    cr_assert_gt(got, 0);
    cr_assert_str_eq(text, "item 3\nsecond line\n");
}

/* ---- Pools inside ---- */

/* In the process of a pool inside, the numbers of the outer one's files are those of others. */
static int open_and_print(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    for (int i = 0; i < 64 && *(const int *)in == 2; i++)
        if (open("/proc/self/exe", O_RDONLY) < 0)
            return 1;
    printf("inner\n");
    return 0;
}

static int print_around_a_pool(void *out, const void *in, void *context)
{
    const int items[] = {0, 1, 2};
    dp_pool *pool;
    (void)out, (void)in, (void)context;
    printf("before\n");
    int code = dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                        .workers = 1,
                                                        .process = {.recycle_tasks = 1}});
    if (code)
        return code;
    code = dp_pool_map(pool, open_and_print, items, sizeof items[0], NULL, 0, 3, NULL);
    int ended = dp_pool_destroy(pool);
    printf("after\n");
    return code ? code : ended;
}

DP_TEST(output, of_a_pool_inside_belongs_to_the_item)
{
    record r;
    begin_record(&r, NULL);
    dp_pool *pool = new_captured(&r, 1, (dp_pool_process_options){0});
    EXPECT(0, dp_pool_map(pool, print_around_a_pool, NULL, 0, NULL, 0, 1, NULL));
    end_pool(pool);
    expect_text(&r, 0, 0, "before\ninner\ninner\ninner\nafter\n");
    expect_text(&r, 0, 1, "");
    expect_text(&r, N, 0, "");
    cr_assert_eq(r.dropped, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dp/shared.h: memory that processes see at the same address. A child tells what it found by its
 * exit status, since it must not touch Criterion.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fixture.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static const size_t sizes[] = {0,     1,     16,    17,    48,    49,      63,     64,
                               65,    512,   513,   640,   641,   1024,    4000,   32767,
                               32768, 32769, 65536, 65537, 99999, 1 << 20, 3 << 20};

static size_t at_least_1(size_t size)
{
    return size ? size : 1;
}

static int is_zero(const unsigned char *memory, size_t size)
{
    return memory[0] == 0 && memcmp(memory, memory + 1, size - 1) == 0;
}

/* A child that runs to its end, or is killed: what waitpid() tells. */
static int child_of(int (*body)(void *context), void *context)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)PATIENCE);
        _exit(body(context));
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    return status;
}

DP_TEST(shared, memory_is_zero_and_aligned)
{
    for (int repeat = 0; repeat < 3; repeat++)
        for (EACH(i, sizes)) {
            size_t size = at_least_1(sizes[i]);
            unsigned char *memory = dp_shared_alloc(sizes[i]);
            cr_assert(memory, "%zu bytes", sizes[i]);
            cr_assert_eq((uintptr_t)memory % (size >= 64 ? 64 : 16), 0, "%zu bytes", size);
            cr_assert(is_zero(memory, size), "%zu bytes", size);
            memset(memory, 0xff, size); /* The next round is to find zeros there. */
            dp_shared_free(memory);
        }
}

DP_TEST(shared, blocks_do_not_overlap)
{
    enum { BLOCKS = 3000 };
    static unsigned char *blocks[BLOCKS];
    static size_t lengths[BLOCKS];
    dp_random random = dp_random_at(1, 0);
    for (int turn = 0; turn < 20000; turn++) {
        size_t i = (size_t)dp_random_below(&random, BLOCKS);
        if (blocks[i]) {
            cr_assert(blocks[i][0] == i % 255 + 1);
            cr_assert(memcmp(blocks[i], blocks[i] + 1, lengths[i] - 1) == 0, "%zu", lengths[i]);
            dp_shared_free(blocks[i]);
            blocks[i] = NULL;
        } else {
            lengths[i] = 1 + (size_t)dp_random_below(&random, 1 + sizes[turn % 19]);
            blocks[i] = dp_shared_alloc(lengths[i]);
            cr_assert(blocks[i] && is_zero(blocks[i], lengths[i]));
            memset(blocks[i], (int)(i % 255 + 1), lengths[i]);
        }
    }
    for (EACH(i, blocks))
        dp_shared_free(blocks[i]);
}

DP_TEST(shared, null_is_nothing_and_errno_stays)
{
    errno = 77;
    dp_shared_free(NULL);
    void *memory = dp_shared_alloc(40 * MIB);
    memset(memory, 1, 40 * MIB);
    dp_shared_free(memory);
    cr_assert(!dp_shared_alloc(SIZE_MAX));
    cr_assert(!dp_shared_alloc(SIZE_MAX / 2));
    cr_assert(!dp_shared_alloc((size_t)1 << 50));
    cr_assert_eq(errno, 77);
}

DP_TEST(shared, holds_tells_what_is_inside)
{
    int local = 0;
    cr_assert_eq(dp_shared_holds(&local, sizeof local), 0, "there is no heap");
    char *memory = dp_shared_alloc(1000);
    cr_assert_eq(dp_shared_holds(memory, 1000), 1);
    cr_assert_eq(dp_shared_holds(memory + 999, 1), 1);
    cr_assert_eq(dp_shared_holds(memory, 0), 1);
    cr_assert_eq(dp_shared_holds(memory, SIZE_MAX), 0);
    cr_assert_eq(dp_shared_holds(memory, SIZE_MAX - (uintptr_t)memory), 0);
    cr_assert_eq(dp_shared_holds(&local, sizeof local), 0);
    cr_assert_eq(dp_shared_holds(NULL, 0), 0);
    cr_assert_eq(dp_shared_holds(NULL, 1), 0);
    dp_shared_free(memory);
}

/* ---- Processes ---- */

typedef struct talk {
    int question, answer;
    struct talk *other;
} talk;

static int answer(void *context)
{
    talk *t = context;
    t->other = dp_shared_alloc(sizeof *t->other);
    if (!t->other || t->question != 6)
        return 1;
    t->other->answer = 7 * t->question;
    t->other->other = t;
    return 0;
}

DP_TEST(shared, both_processes_see_what_the_other_one_writes)
{
    talk *t = dp_shared_alloc(sizeof *t);
    t->question = 6;
    cr_assert_eq(child_of(answer, t), 0);
    cr_assert_eq(t->other->answer, 42);
    cr_assert_eq(t->other->other, t);
    dp_shared_free(t->other);
    dp_shared_free(t);
}

static int free_it(void *context)
{
    dp_shared_free(context);
    return 0;
}

DP_TEST(shared, another_process_may_free)
{
    for (EACH(i, sizes)) {
        char *memory = dp_shared_alloc(sizes[i]);
        memset(memory, 1, at_least_1(sizes[i]));
        cr_assert_eq(child_of(free_it, memory), 0);
        char *again = dp_shared_alloc(sizes[i]);
        cr_assert_eq(again, memory, "%zu bytes were not freed", sizes[i]);
        cr_assert(is_zero((unsigned char *)again, at_least_1(sizes[i])));
        dp_shared_free(again);
    }
}

static int free_twice(void *context)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (!freopen("/dev/null", "w", stderr))
        return 1;
    dp_shared_free(*(void **)context);
    dp_shared_free(*(void **)context);
    return 0;
}

static int free_inner(void *context)
{
    *(char **)context += 16;
    return free_twice(context);
}

/* In builds that do not look, nothing happens. */
DP_TEST(shared, wrong_pointers_are_found)
{
#ifdef DP_CHECKS
    const int expected = SIGABRT;
#else
    const int expected = 0;
#endif
    for (EACH(i, sizes)) {
        void *memory = dp_shared_alloc(sizes[i]), *inner = dp_shared_alloc(sizes[i]),
             *local = &inner;
        int status = child_of(free_twice, &memory);
        cr_assert_eq(WIFSIGNALED(status) ? WTERMSIG(status) : 0, expected, "%zu", sizes[i]);
        if (sizes[i] > 32) {
            status = child_of(free_inner, &inner);
            cr_assert_eq(WIFSIGNALED(status) ? WTERMSIG(status) : 0, expected, "%zu", sizes[i]);
        }
        status = child_of(free_twice, &local);
        cr_assert_eq(WIFSIGNALED(status) ? WTERMSIG(status) : 0, expected);
        dp_shared_free(inner);
    }
}

/* ---- Little room ---- */

/* Blocks of one size until there are no more. How many, in a list that begins at *first. */
static size_t fill_up(size_t size, void **first)
{
    size_t count = 0;
    void **block;
    *first = NULL;
    while ((block = dp_shared_alloc(size)) != NULL) {
        *block = *first;
        *first = block;
        count++;
    }
    return count;
}

static void free_list(void *first)
{
    while (first) {
        void *next = *(void **)first;
        dp_shared_free(first);
        first = next;
    }
}

/* Bytes, by the pages that /proc/self/statm tells of in the place of the format. */
static size_t told_by_statm(const char *format)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, format, &pages) != 1)
        abort();
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What this process has of the address space. */
static rlim_t address_space(void)
{
    return told_by_statm("%ld");
}

/* Shared memory that it has in its page tables. */
static size_t resident_shared(void)
{
    return told_by_statm("%*d %*d %ld");
}

/* With a little more address space than this process has. What is freed can be had again, in other
   sizes; but for a unit of each size of small blocks, which may stand in the way of a large one. */
static int fill_small_heap(void *context)
{
    const size_t filled[] = {32768, 65536, 4096, 1 << 20, 65537};
    struct rlimit space;
    space.rlim_cur = space.rlim_max = address_space() + *(rlim_t *)context;
    if (setrlimit(RLIMIT_AS, &space))
        return 2;
    size_t most[sizeof filled / sizeof filled[0]];
    for (int round = 0; round < 2; round++)
        for (EACH(i, filled)) {
            void *first;
            size_t count = fill_up(filled[i], &first);
            if (count * filled[i] < 16 * MIB)
                return 3;
            if (round && (count + 1) * filled[i] + 2 * MIB < most[i] * filled[i])
                return 4;
            most[i] = count;
            free_list(first);
        }
    void *large = dp_shared_alloc(24 * MIB);
    dp_shared_free(large);
    return large ? 0 : 5;
}

DP_TEST(shared, a_small_address_space_has_a_small_heap)
{
    rlim_t room = 100 * MIB;
    if (!UNDER_ASAN)
        cr_assert_eq(child_of(fill_small_heap, &room), 0);
}

/* How many MiB there are if the variable says this. */
static int count_mib(void *context)
{
    void *first;
    setenv("DP_SHARED_MEMORY", context, 1);
    return (int)fill_up(MIB, &first);
}

static void note_least(void *told, int level, const char *text)
{
    *(int *)told += level == 1 && strcmp(text, "DP_SHARED_MEMORY counts as 64, the least") == 0;
}

/* Whether it is told that what the variable says is too little. */
static int is_too_little(void *context)
{
    int told = 0;
    setenv("DP_SHARED_MEMORY", context, 1);
    dp_on_message(note_least, &told);
    return dp_shared_alloc(1) ? told : 7;
}

static void note_variable(void *told, int level, const char *text)
{
    *(int *)told += level == 1 && strncmp(text, "DP_SHARED_MEMORY is ignored", 27) == 0;
}

/* Whether it is told that what the variable says is ignored, and it is. */
static int is_ignored(void *context)
{
    int told = 0;
    setenv("DP_SHARED_MEMORY", context, 1);
    dp_on_message(note_variable, &told);
    if (!dp_shared_alloc(100 * MIB) || !dp_shared_alloc(1))
        return 7;
    return told;
}

DP_TEST(shared, the_environment_makes_the_heap_smaller)
{
    char *const nonsense[] = {"0", "-3", "99999999999999999999", "70M", "1e3", " 70"};
    unsetenv("DP_SHARED_MEMORY");
    int most = WEXITSTATUS(child_of(count_mib, "70"));
    cr_assert(most > 55 && most < 70, "%d", most);
    most = WEXITSTATUS(child_of(count_mib, "1")); /* It is never smaller than 64. */
    cr_assert(most > 50 && most < 64, "%d", most);
    for (EACH(i, nonsense))
        cr_assert_eq(WEXITSTATUS(child_of(is_ignored, nonsense[i])), 1, "\"%s\"", nonsense[i]);
    cr_assert_eq(WEXITSTATUS(child_of(is_too_little, "63")), 1);
    cr_assert_eq(child_of(is_too_little, "64"), 0);
    cr_assert_eq(child_of(is_ignored, ""), 0);
    cr_assert_eq(child_of(is_ignored, "200"), 0);
}

/* mlockall() would bring all of the heap into memory as it is made. */
static int make_when_all_is_locked(void *context)
{
    rlim_t room = 100 * MIB;
    struct rlimit space = {0, 0};
    (void)context;
    space.rlim_cur = space.rlim_max = address_space() + room;
    if (setrlimit(RLIMIT_AS, &space))
        return 1;
    if (mlockall(MCL_FUTURE))
        return 0; /* Not allowed here. */
    size_t before = resident_shared();
    void *memory = dp_shared_alloc(100);
    return memory && resident_shared() < before + 16 * MIB ? 0 : 2;
}

DP_TEST(shared, a_program_that_locks_its_memory_has_the_heap_outside)
{
    if (!UNDER_ASAN)
        cr_assert_eq(child_of(make_when_all_is_locked, NULL), 0);
}

static int find_no_room(void *context)
{
    struct rlimit none = {MIB, MIB};
    void *memory = NULL;
    (void)context;
    if (setrlimit(RLIMIT_AS, &none))
        return 1;
    errno = 77;
    memory = dp_shared_alloc(10);
    dp_shared_free(NULL);
    return memory || errno != 77 || dp_shared_holds(&memory, 1) ? 2 : 0;
}

DP_TEST(shared, no_address_space_is_no_memory)
{
    if (!UNDER_ASAN)
        cr_assert_eq(child_of(find_no_room, NULL), 0);
}

static int make_under_a_limit(void *context)
{
    struct rlimit before, none;
    (void)context;
    if (getrlimit(RLIMIT_FSIZE, &before))
        return 1;
    none = before;
    none.rlim_cur = 0;
    if (setrlimit(RLIMIT_FSIZE, &none)) /* Would bring SIGXFSZ upon who makes a file. */
        return 1;
    char *memory = dp_shared_alloc(10 * MIB);
    if (!memory)
        return 2;
    memset(memory, 1, 10 * MIB);
    dp_shared_free(memory);
    return setrlimit(RLIMIT_FSIZE, &before); /* What counts the coverage writes a file. */
}

DP_TEST(shared, limits_on_files_do_not_matter)
{
    cr_assert_eq(child_of(make_under_a_limit, NULL), 0);
}

/* ---- Memory goes back ---- */

static void use_and_free(size_t size, size_t count)
{
    void **first = NULL;
    for (size_t i = 0; i < count; i++) {
        void **block = dp_shared_alloc(size);
        cr_assert(block);
        memset(block, 1, size);
        *block = first;
        first = block;
    }
    free_list(first);
}

DP_TEST(shared, what_was_freed_goes_back_to_the_system)
{
    dp_shared_free(dp_shared_alloc(1));
    size_t before = resident_shared();
    use_and_free(200 * MIB, 1);
    cr_assert_lt(resident_shared(), before + 20 * MIB, "one large block");
    use_and_free(200 * KIB, 1000);
    cr_assert_lt(resident_shared(), before + 80 * MIB, "many of them");
    use_and_free(1000, 200000);
    cr_assert_lt(resident_shared(), before + 80 * MIB, "small ones");
}

DP_TEST(shared, a_large_block_is_not_touched)
{
    size_t before = resident_shared();
    char *memory = dp_shared_alloc((size_t)1024 * MIB);
    cr_assert(memory);
    cr_assert_lt(resident_shared(), before + 20 * MIB);
    cr_assert_eq(memory[1023 * (size_t)MIB], 0);
    dp_shared_free(memory);
}

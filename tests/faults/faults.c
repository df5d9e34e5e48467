/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation, and everything else that the system may refuse, is refused once: for each
 * scenario and each function of wrap.h the first call, then the second, and so on until the
 * scenario makes no further call; and the same again with all later calls refused too. Then pairs
 * of refusals by chance. Each of these runs is a process of its own, so that none inherits a pool
 * or a handler of fork().
 *
 * What must hold: no crash, no hang, nothing lost; the documented code, or full success without
 * what was refused; a pool that was there before works afterwards, and one that could not be made
 * can be made later.
 *
 *     faults [SCENARIO...]   these only, or all
 *     faults --threads       all that have no processes
 *     faults --processes     all that have
 *
 * DP_TEST_LONG=1 refuses every single call, and more pairs, by another seed each time;
 * DP_TEST_SEED=N repeats one. DP_TEST_SAMPLE=1 is for what takes long to fork, and for builds
 * beside one that has refused all: of the calls of processes only some are refused, and so it is
 * with AddressSanitizer. With ThreadSanitizer and in chaos, where all takes long, of all calls.
 */
#include "../stress/child.h"
#include "scenario.h"
#include "support/leftovers.h"

enum { NEVER_REACHED = 78, MANY = 4, PAIRS = 5, PAIRS_WHEN_LONG = 400, MAX_FAILURES = 5 };

static int is_long, is_sample;

static int child(void *context)
{
    fault_share();
    if (is_to_refuse(FAULT_futex_missing))
        fault_begin(now.list, now.count);
    fault_end();
    fault_holdings before = fault_held();
    ((const scenario *)context)->run();
    same_holdings(&before);
    return now.count == 0 || fault_happened() ? 0 : NEVER_REACHED;
}

/* Whether it died as it may: of the right thing and with the right words, if it could say any. */
static int died(const scenario *s, const child_end *end)
{
    return s->death && (is_to_refuse(FAULT_mmap) || is_to_refuse(FAULT_munmap)) &&
           WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGABRT &&
           (strcmp(end->text, s->death) == 0 || (!end->text[0] && is_to_refuse(FAULT_write)));
}

typedef struct tally {
    int runs, deaths, not_here, failures;
} tally;

static void show(const scenario *s, const child_end *end)
{
    for (int i = 0; i < now.count; i++)
        fprintf(stderr, "with %s refused at call %d%s:\n", fault_names[now.list[i].which],
                now.list[i].nth, now.list[i].onwards ? " and later" : "");
    child_show(s->name, end);
}

/* One run. Whether the refusal was reached. */
static int run_once(const scenario *s, tally *t)
{
    note_other_processes();
    child_end end = child_run(child, (void *)(uintptr_t)s, STRESS_DEADLINE);
    int status = !end.late && WIFEXITED(end.status) && !end.text[0] ? WEXITSTATUS(end.status) : -1;
    if (status == NEVER_REACHED || status == NOT_HERE) {
        t->not_here |= status == NOT_HERE;
        return 0;
    }
    t->runs++;
    if (status == 0)
        return 1;
    if (!end.late && died(s, &end)) {
        t->deaths++;
        return 1;
    }
    t->failures++;
    show(s, &end);
    return 1;
}

static int run_with(const scenario *s, tally *t, fault which, int nth, int onwards)
{
    now = (struct refusals){1, {{which, nth, onwards}}};
    return run_once(s, t);
}

/* The call after this one that is refused. What dp can do without it may call very often: of those
   calls only the first are refused one by one, and then some. */
static int next(int nth, fault which)
{
    if (is_sample)
        return 4 * nth;
    return is_long || fault_codes[which] != 0 || nth < MANY ? nth + 1 : nth + nth / 2;
}

static void run_fault(const scenario *s, tally *t, fault which, int onwards)
{
    for (int nth = 1; nth <= fault_most_calls(which) && t->failures < MAX_FAILURES;
         nth = next(nth, which))
        if (!run_with(s, t, which, nth, onwards))
            break;
}

/* Two different functions. */
static void run_pairs(const scenario *s, tally *t, uint64_t *random)
{
    fault called[FAULTS];
    int n = 0;
    for (int i = 0; i < FAULTS; i++)
        if (fault_most_calls((fault)i) > 0 && i != FAULT_futex_missing)
            called[n++] = (fault)i;
    if (n < 2)
        return;
    int pairs = is_long ? PAIRS_WHEN_LONG : PAIRS;
    for (int i = 0; i < pairs && t->failures < MAX_FAILURES; i++) {
        now.count = 2;
        uint64_t first = stress_below(random, (uint64_t)n);
        uint64_t second = (first + 1 + stress_below(random, (uint64_t)n - 1)) % (uint64_t)n;
        now.list[0].which = called[first];
        now.list[1].which = called[second];
        for (int r = 0; r < 2; r++) {
            uint64_t most = (uint64_t)fault_most_calls(now.list[r].which);
            now.list[r].nth = 1 + (int)stress_below(random, most);
            now.list[r].onwards = stress_below(random, 4) == 0;
        }
        run_once(s, t);
    }
}

static int is_set(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, "1") == 0;
}

static int run_scenario(const scenario *s, uint64_t *random)
{
    tally t = {0, 0, 0, 0};
    fault_forget_calls();
    now.count = 0;
    if (!run_once(s, &t)) {
        printf("%s: cannot be tested here\n", s->name);
        return 0;
    }
    for (int which = 0; which < FAULTS; which++)
        for (int onwards = 0; onwards < 2; onwards++)
            if (which != FAULT_futex_missing)
                run_fault(s, &t, (fault)which, onwards);
    if (t.failures < MAX_FAILURES)
        run_with(s, &t, FAULT_futex_missing, 1, 1);
    run_pairs(s, &t, random);
    printf("%s: %d runs\n", s->name, t.runs);
    if (s->death && t.deaths == 0) {
        fprintf(stderr, "%s: never ran out of memory\n", s->name);
        t.failures++;
    }
    return t.failures;
}

/* The pairs are the same in each ordinary run, so that a failure of one shows it to everybody. */
static uint64_t seed(void)
{
    const char *wanted = getenv("DP_TEST_SEED");
    uint64_t chosen = wanted ? strtoull(wanted, NULL, 10) : is_long ? stress_seed() : 1;
    printf("DP_TEST_SEED=%llu\n", (unsigned long long)chosen);
    return chosen;
}

int main(int argc, char **argv)
{
    /* The scenarios call it for themselves, as others have a heap without it. */
    if (getenv("DP_ZYGOTE"))
        dp_process_main(argc, argv);
    static const scenario *const groups[] = {
        pool_scenarios,  verb_scenarios,    future_scenarios,       task_scenarios,
        other_scenarios, process_scenarios, interprocess_scenarios, journal_scenarios};
    enum { GROUPS = sizeof groups / sizeof groups[0], FORKING = 5 }; /* So many do not. */
    is_long = is_set("DP_TEST_LONG");
    uint64_t random = seed();
    int failures = 0;
    fault_prepare();
    const char *first = argc == 2 ? argv[1] : "";
    int all = argc < 2 || first[0] == '-';
    int begin = strcmp(first, "--processes") == 0 ? FORKING : 0;
    int end = strcmp(first, "--threads") == 0 ? FORKING : GROUPS;
    for (int g = begin; g < end; g++) {
        int takes_long = STRESS_TSAN || getenv("DP_CHAOS") ||
                         (g >= FORKING && (STRESS_ASAN || is_set("DP_TEST_SAMPLE")));
        for (const scenario *s = groups[g]; s->name; s++) {
            int wanted = all;
            is_sample = takes_long && !is_long && !s->death; /* Few calls bring a death about. */
            for (int a = 1; a < argc; a++)
                wanted |= strcmp(argv[a], s->name) == 0;
            if (wanted)
                failures += run_scenario(s, &random);
        }
    }
    return failures > 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation, and everything else that the system may refuse, is refused once: for each
 * scenario and each function of wrap.h the first call, then the second, and so on until the
 * scenario makes no further call; and the same again with all later calls refused too. Each of
 * these runs is a process of its own, so that none inherits a pool or a handler of fork().
 *
 * What must hold: no crash, no hang, nothing lost; the documented code, or full success without
 * what was refused; a pool that was there before works afterwards, and one that could not be made
 * can be made later.
 *
 *     faults [SCENARIO...]   these only, or all
 */
#include "../stress/child.h"
#include "scenario.h"

enum { NEVER_REACHED = 78 };

static int child(void *context)
{
    fault_holdings before = fault_held();
    ((const scenario *)context)->run();
    same_holdings(&before);
    return fault_happened() ? 0 : NEVER_REACHED;
}

static int died(const scenario *s, const child_end *end)
{
    return s->death && now.which == FAULT_mmap && WIFSIGNALED(end->status) &&
           WTERMSIG(end->status) == SIGABRT && strcmp(end->text, s->death) == 0;
}

typedef struct tally {
    int runs, deaths, not_here, failures;
} tally;

/* One run. Whether there is a next one to do. */
static int run_once(const scenario *s, tally *t)
{
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
    fprintf(stderr, "with %s refused at call %d%s:\n", fault_names[now.which], now.nth,
            now.onwards ? " and later" : "");
    child_show(s->name, &end);
    return 1;
}

static int run_scenario(const scenario *s)
{
    tally t = {0, 0, 0, 0};
    for (int which = 0; which < FAULTS; which++)
        for (int onwards = 0; onwards < 2; onwards++) {
            now.which = (fault)which;
            now.onwards = onwards;
            now.nth = 1;
            while (run_once(s, &t) && t.failures < 5)
                now.nth++;
        }
    printf("%s: %d runs%s\n", s->name, t.runs, t.not_here ? ", cannot be tested here" : "");
    if (s->death && t.deaths == 0) {
        fprintf(stderr, "%s: never ran out of memory\n", s->name);
        t.failures++;
    }
    return t.failures;
}

int main(int argc, char **argv)
{
    static const scenario *const groups[] = {pool_scenarios, verb_scenarios, future_scenarios,
                                             task_scenarios};
    int failures = 0;
    for (int g = 0; g < 4; g++)
        for (const scenario *s = groups[g]; s->name; s++) {
            int wanted = argc < 2;
            for (int a = 1; a < argc; a++)
                wanted |= strcmp(argv[a], s->name) == 0;
            if (wanted)
                failures += run_scenario(s);
        }
    return failures > 0;
}

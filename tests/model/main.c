/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"
#include "models.h"
#include "schedule.h"

#define MODEL(name) extern const model model_##name;
MODELS
#undef MODEL

#define MODEL(name) &model_##name,
static const model *const models[] = {MODELS};
#undef MODEL

enum { MODEL_COUNT = sizeof models / sizeof models[0] };

/* What the command line asks for. */
struct asked {
    unsigned bounds[COSTS]; /* As for explore_depth_first(). */
    uint64_t seed;
    unsigned long random; /* Random runs before the search. */
    double seconds;       /* The search ends after so many. */
    const char *replay;
    int must_finish; /* A search that does not end in that time is a failure. */
};

static unsigned long runs; /* Of the search in one model. */

/* Of the processor, so that the limits mean the same on a busy machine. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_random(const model *m, const struct asked *asked)
{
    explore_random(asked->seed, 3);
    for (unsigned long i = 0; i < asked->random; i++) {
        explore_begin_run();
        schedule_run(m);
        explore_next_run();
        schedule_learned();
    }
}

/* Runs everything that deviates from the plainest run in at most `total` places, of each kind in as
   many as are asked for. Whether the end was reached in time. */
static int search(const model *m, const struct asked *asked, unsigned total, double end)
{
    unsigned bounds[COSTS];
    int is_over;
    memcpy(bounds, asked->bounds, sizeof bounds);
    bounds[COST_FREE] = total;
    do {
        /* Begun anew when it has found more addresses to be shared. */
        schedule_learned();
        explore_depth_first(bounds);
        do {
            explore_begin_run();
            schedule_run(m);
            runs++;
            is_over = !explore_next_run();
        } while (!is_over && (runs % 64 != 0 || seconds() < end));
    } while (is_over && schedule_learned());
    return is_over;
}

static void replay(const model *m, const char *list)
{
    schedule_offer_all();
    explore_replay(list);
    explore_begin_run();
    schedule_run(m);
    schedule_print();
    printf("%s: nothing wrong\n", m->name);
}

/* Small numbers of deviations come first, as most errors need few. */
static int run_model(const model *m, const struct asked *asked)
{
    double begin = seconds();
    unsigned total = 0;
    runs = 0;
    /* What the process does but once is done before. */
    explore_replay("");
    explore_begin_run();
    schedule_run(m);
    if (asked->replay) {
        replay(m, asked->replay);
        return 1;
    }
    run_random(m, asked);
    while (total <= asked->bounds[COST_FREE] && search(m, asked, total, begin + asked->seconds))
        total++;
    int is_over = total > asked->bounds[COST_FREE];
    printf("%s: %lu random runs; %lu runs, all with up to %d deviations%s; %.1f s\n", m->name,
           asked->random, runs, (int)total - 1, is_over ? "" : ", NOT all that were asked for",
           seconds() - begin);
    return is_over || !asked->must_finish;
}

static void usage(void)
{
    printf(
        "Usage: model [OPTION | MODEL]...\n"
        "Explores the models, all of them without a name.\n\n"
        "  --deviations N   from the plainest run, of all kinds together (default: 3), of which\n"
        "  --preemptions N  switches away from a thread that could go on (default: 2)\n"
        "  --stale N        reads of other than the newest value (default: 3)\n"
        "  --faults N       time limits that run out early, wake-ups for no reason "
        "(default: 1)\n"
        "  --random N       random runs before the search (default: 1000)\n"
        "  --seed N         of the random runs (default: 1)\n"
        "  --seconds S      of processor time, after which the search of a model ends (default: "
        "600)\n"
        "  --must-finish    it is a failure when that happens\n"
        "  --replay LIST    one run, as the report of a failure gives it\n"
        "  --list           prints the names of the models\n");
}

/* The value of an option; NULL if it is another one, or has none. */
static const char *value_of(const char *name, char **arguments, int *i)
{
    return strcmp(arguments[*i], name) == 0 && arguments[*i + 1] ? arguments[++*i] : NULL;
}

/* What is no option stays in `arguments`, from the first one on: the names. */
static int parse(struct asked *asked, char **arguments)
{
    static const struct {
        const char *name;
        enum cost cost;
    } bounds[] = {{"--deviations", COST_FREE},
                  {"--preemptions", COST_PREEMPTION},
                  {"--turns", COST_TURN},
                  {"--stale", COST_STALE},
                  {"--faults", COST_FAULT}};
    int names = 1;
    for (int i = 1; arguments[i]; i++) {
        const char *value = NULL;
        if (arguments[i][0] != '-') {
            arguments[names++] = arguments[i];
            continue;
        }
        for (int b = 0; b < COSTS && !value; b++)
            if ((value = value_of(bounds[b].name, arguments, &i)))
                asked->bounds[bounds[b].cost] = (unsigned)atoi(value);
        if (value)
            continue;
        if ((value = value_of("--random", arguments, &i)))
            asked->random = strtoul(value, NULL, 10);
        else if ((value = value_of("--seed", arguments, &i)))
            asked->seed = strtoull(value, NULL, 10);
        else if ((value = value_of("--seconds", arguments, &i)))
            asked->seconds = atof(value);
        else if ((value = value_of("--replay", arguments, &i)))
            asked->replay = value;
        else if (strcmp(arguments[i], "--must-finish") == 0)
            asked->must_finish = 1;
        else
            return 0;
    }
    arguments[names] = NULL;
    return 1;
}

/* The long form of the tests: one deviation more, as far as the time goes. */
static void ask_for_more(struct asked *asked)
{
    for (int i = 0; i < COSTS; i++)
        asked->bounds[i]++;
    asked->random *= 20;
    asked->seconds = 200;
    asked->must_finish = 0;
}

static int are_known(char **names)
{
    for (; *names; names++) {
        int i = 0;
        while (i < MODEL_COUNT && strcmp(*names, models[i]->name) != 0)
            i++;
        if (i == MODEL_COUNT) {
            fprintf(stderr, "there is no model %s\n", *names);
            return 0;
        }
    }
    return 1;
}

static int is_wanted(const model *m, char **names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], m->name) == 0)
            return 1;
    return !names[0];
}

int main(int argc, char **arguments)
{
    struct asked asked = {.bounds = {3, 2, 2, 3, 1}, .seed = 1, .random = 1000, .seconds = 600};
    int good = 1;
    if (argc == 2 && strcmp(arguments[1], "--list") == 0) {
        for (int i = 0; i < MODEL_COUNT; i++)
            printf("%s\n", models[i]->name);
        return 0;
    }
    if (!parse(&asked, arguments) || !are_known(arguments + 1)) {
        usage();
        return 2;
    }
    if (getenv("DP_TEST_LONG"))
        ask_for_more(&asked);
    for (int i = 0; i < MODEL_COUNT; i++)
        if (is_wanted(models[i], arguments + 1))
            good &= run_model(models[i], &asked);
    return good ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A map that is killed half-way goes on where it was: its journal has what had been finished. */
#include <dp/dp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEMS = 100, FATAL = 60 };

static atomic_int runs;
static int is_first_attempt;

/* Stands for minutes of work on a random sample. */
static int simulate(void *out, const void *in, void *context)
{
    dp_random random;
    int item = *(const int *)in;
    (void)context;
    dp_item_random(&random);
    double sum = 0;
    for (int i = 0; i < 20000; i++)
        sum += dp_random_double(&random);
    if (is_first_attempt && item == FATAL)
        raise(SIGKILL); /* Or somebody trips over the cable. */
    atomic_fetch_add(&runs, 1);
    *(double *)out = sum;
    return 0;
}

static int run(const char *journal, double *sums)
{
    int in[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    dp_error error;
    dp_options options = {.journal = journal, .seed = 2024, .chunk = 1, .error = &error};
    int code = dp_pool_map(NULL, simulate, in, sizeof *in, sums, sizeof *sums, ITEMS, &options);
    if (code)
        printf("%s: %s\n", dp_errname(code), error.text);
    return code;
}

int main(void)
{
    double sums[ITEMS], expected[ITEMS];
    char journal[64];
    snprintf(journal, sizeof journal, "/tmp/dp-resume-%ld.journal", (long)getpid());

    /* The first attempt, in a process of its own because it does not end well. */
    is_first_attempt = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(run(journal, sums));
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
        return 1;
    is_first_attempt = 0;

    /* The same call once more, and what it would have given in one go. */
    int code = run(journal, sums);
    int left = atomic_load(&runs);
    printf("%d of %d items were left to do\n", left, ITEMS);
    if (code == 0)
        code = run(NULL, expected);
    int differences = 0;
    for (int i = 0; code == 0 && i < ITEMS; i++)
        differences += sums[i] != expected[i];
    printf("%d results differ\n", differences);
    unlink(journal); /* The results are safe now, so it has done its work. */
    return code == 0 && left < ITEMS && differences == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C ends a long call and not the program, which keeps what is done. So that nobody has to
   press the keys the program sends itself the signal. */
#define _POSIX_C_SOURCE 200809L
#include <dp/dp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { ITEMS = 100000 };

static atomic_int interrupted;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static int compute(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 1;
    return dp_sleep(0.002); /* As long work that asks dp_cancelled() now and then. */
}

static void show_progress(const dp_progress *progress, void *context)
{
    (void)context;
    if (progress->seconds > 0.2 && !progress->finished)
        kill(getpid(), SIGINT); /* raise() would keep it on a thread that blocks signals. */
}

int main(void)
{
    static int out[ITEMS], status[ITEMS];
    struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);

    dp_options options = {.stop = &interrupted, .status = status, .progress = show_progress};
    int code = dp_pool_map(NULL, compute, NULL, 0, out, sizeof *out, ITEMS, &options);

    int done = 0;
    for (int i = 0; i < ITEMS; i++)
        done += status[i] == 0;
    printf("%s; there are results: %s\n", dp_errname(code), done > 0 ? "yes" : "no");
    return code == DP_ECANCELLED && done > 0 && done < ITEMS ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Work that may fail, hang or take too long: forty requests to servers, of which some answer only
   when asked again and one not at all. Shows a bar when run on a terminal. */
#include <dp/dp.h>
#include <stdio.h>

enum { REQUESTS = 40, FLAKY = 10, DEAD = 33 };

static int attempts[REQUESTS];

/* dp_sleep() stands for waiting on a socket: it ends when the item's time is over. */
static int ask(void *out, const void *in, void *context)
{
    int server = *(const int *)in;
    (void)context;
    attempts[server]++;
    int code = dp_sleep(server == DEAD ? 3600 : 0.01);
    if (code)
        return code;
    if (server % FLAKY == 0 && attempts[server] < 3)
        return 503;
    *(int *)out = server * server;
    return 0;
}

int main(void)
{
    int servers[REQUESTS], answers[REQUESTS], status[REQUESTS], good = 0;
    for (int i = 0; i < REQUESTS; i++)
        servers[i] = i;

    dp_options options = {
        .retries = 2,                  /* An item that fails is run up to two times more. */
        .run_timeout = 0.1,            /* No attempt may take longer ... */
        .deadline = 60,                /* ... and nothing is begun after a minute. */
        .on_error = DP_ERRORS_COLLECT, /* One failure does not end the others. */
        .status = status,
        .progress = dp_progress_bar,
        .progress_context = "requests",
    };
    int code = dp_pool_map(NULL, ask, servers, sizeof *servers, answers, sizeof *answers, REQUESTS,
                           &options);
    for (int i = 0; i < REQUESTS; i++) {
        good += status[i] == 0;
        if (status[i])
            printf("server %d: %s, %d attempts\n", i, dp_strerror(status[i]), attempts[i]);
    }
    printf("%d of %d answers (%s)\n", good, REQUESTS, dp_strerror(code));
    /* On a machine that is busy for longer than the limit, others may be late as well. */
    return code == 0 && good > 0 && status[DEAD] == DP_ETIMEDOUT ? 0 : 1;
}

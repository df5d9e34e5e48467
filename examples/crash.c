/* SPDX-License-Identifier: Apache-2.0 */
/* A task that takes its process with it costs that task, and nothing else: forty files are read by
   a library that cannot bear some of them. */
#include <dp/dp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES = 40 };

/* Stands for code that we cannot mend. */
static int parse(void *out, const void *in, void *context)
{
    int file = *(const int *)in;
    (void)context;
    if (file == 13)
        raise(SIGSEGV);
    if (file == 26)
        exit(3);
    *(int *)out = 2 * file;
    return 0;
}

int main(void)
{
    int files[FILES], words[FILES], status[FILES], good = 0;
    for (int i = 0; i < FILES; i++)
        files[i] = i;

    dp_pool *pool;
    dp_error error;
    dp_pool_options processes = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    int code = dp_pool_create(&pool, &processes);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    code = dp_pool_map(pool, parse, files, sizeof *files, words, sizeof *words, FILES,
                       &(dp_options){.on_error = DP_ERRORS_COLLECT, .status = status});
    for (int i = 0; i < FILES; i++) {
        good += status[i] == 0 && words[i] == 2 * i;
        if (status[i])
            printf("file %d: %s\n", i, dp_strerror(status[i]));
    }
    printf("%d of %d files\n", good, FILES);

    /* With the default policy the first failure ends the call, and the error tells how it was. */
    int last = dp_pool_map(pool, parse, files + 20, sizeof *files, words, sizeof *words, 20,
                           &(dp_options){.error = &error});
    printf("%s: item %zu, %s, exit status %d\n", dp_strerror(last), error.item,
           dp_strerror(error.task_code), error.exit_status);
    dp_pool_destroy(pool);
    return code == 0 && good == FILES - 2 && last == DP_ETASK && error.exit_status == 3 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fresh.h"

#include <dlfcn.h>
#include <pthread.h>

#include "dp/error.h"

int dp__fresh_is_needed(void)
{
    /* The others have the first name as well, for programs that were compiled by GCC. */
    return dlsym(RTLD_DEFAULT, "GOMP_parallel") && !dlsym(RTLD_DEFAULT, "__kmpc_fork_call");
}

int dp__fresh_run(void *(*f)(void *context), void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, f, context) != 0)
        return DP_ETHREAD;
    pthread_join(thread, NULL);
    return 0;
}

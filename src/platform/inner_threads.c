/* SPDX-License-Identifier: Apache-2.0 */
#include "inner_threads.h"

#include <dlfcn.h>
#include <dp/cpu.h>
#include <string.h>

typedef void (*openblas_setter)(int);
typedef void (*blis_setter)(long); /* BLIS takes its dim_t, which is as wide as a pointer. */

/* Copies the address of a function; ISO C has no conversion from what dlsym() returns. 0 if nothing
   loaded has that name. */
static int find(const char *name, void *function, size_t size)
{
    void *address = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &address, size);
    return address != NULL;
}

dp__inner_setters dp__inner_threads_find(void)
{
    dp__inner_setters setters;
    find("omp_set_num_threads", &setters.omp, sizeof setters.omp);
    /* The name in small letters is the one for Fortran, which takes a pointer. */
    find("MKL_Set_Num_Threads_Local", &setters.mkl, sizeof setters.mkl);
    return setters;
}

int dp__inner_threads_set(const dp__inner_setters *setters, int wanted, unsigned cpus,
                          unsigned workers)
{
    if (wanted < 0 || (wanted == 0 && workers < 2) || (!setters->omp && !setters->mkl))
        return 0;
    /* On this thread: if it is pinned, so are the threads it starts. */
    int all = cpus > 0 ? (int)cpus : dp_cpu_count(DP_CPU_IGNORE_ENV);
    int count = wanted > 0 ? wanted : all / (int)workers;
    if (count < 1)
        count = 1;
    if (setters->omp)
        setters->omp(count);
    if (setters->mkl)
        setters->mkl(count);
    return count;
}

int dp__inner_threads_set_all(int count)
{
    openblas_setter openblas;
    blis_setter blis;
    int has_openblas = find("openblas_set_num_threads", &openblas, sizeof openblas);
    int has_blis = find("bli_thread_set_num_threads", &blis, sizeof blis);
    if (has_openblas)
        openblas(count);
    if (has_blis)
        blis(count);
    return has_openblas || has_blis;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that work on one array. Three children and their parent each look for the primes in a
   quarter of it, and link what they have counted into a list that the parent reads in the end. */
#include <dp/dp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 200000, PARTS = 4 };

typedef struct count {
    int primes;
    struct count *next; /* Pointers mean the same in every process. */
} count;

typedef struct job {
    unsigned char *is_prime;
    _Atomic(count *) list;
} job;

static int search(job *j, unsigned part)
{
    dp_part range;
    count *mine = dp_shared_alloc(sizeof *mine);
    if (!mine || dp_partition(N, PARTS, part, DP_PARTITION_BALANCED, &range))
        return 1;
    for (size_t n = range.begin; n < range.end; n++) {
        size_t d = 2;
        while (d * d <= n && n % d)
            d++;
        j->is_prime[n] = n >= 2 && d * d > n;
        mine->primes += j->is_prime[n];
    }
    mine->next = atomic_load(&j->list);
    while (!atomic_compare_exchange_weak(&j->list, &mine->next, mine))
        ;
    return 0;
}

int main(void)
{
    job *j = dp_shared_alloc(sizeof *j);
    if (!j || !(j->is_prime = dp_shared_alloc(N)))
        return 1;
    pid_t children[PARTS];
    for (unsigned part = 1; part < PARTS; part++)
        if ((children[part] = fork()) == 0)
            _exit(search(j, part));
    int failed = search(j, 0), status;
    for (unsigned part = 1; part < PARTS; part++)
        failed |= waitpid(children[part], &status, 0) < 0 || status != 0;

    int parts = 0, primes = 0, in_array = 0;
    for (size_t n = 0; n < N; n++)
        in_array += j->is_prime[n];
    for (count *c = atomic_load(&j->list), *next; c; c = next, parts++) {
        next = c->next;
        primes += c->primes;
        dp_shared_free(c);
    }
    dp_shared_free(j->is_prime);
    dp_shared_free(j);
    printf("%d processes found %d primes below %d\n", parts, primes, N);
    return failed || parts != PARTS || primes != 17984 || in_array != primes;
}

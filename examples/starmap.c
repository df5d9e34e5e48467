/* SPDX-License-Identifier: Apache-2.0 */
/* A function of several arguments over several arrays: what will be in 100 000 accounts, after some
   years of interest? */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 100000 };

struct account {
    int number;
    double balance;
};

static double grow(double balance, double percent, int years)
{
    for (int year = 0; year < years; year++)
        balance += balance * percent / 100;
    return balance;
}

/* in[c] points to this item's entry of column c. */
static int grow_item(void *out, const void *const *in, void *context)
{
    const double *balance = in[0], *percent = in[1];
    const int *years = in[2];
    (void)context;
    *(double *)out = grow(*balance, *percent, *years);
    return 0;
}

int main(void)
{
    struct account *accounts = malloc(N * sizeof *accounts);
    double *percent = malloc(N * sizeof *percent), *out = malloc(N * sizeof *out);
    int years = 10, failures = 0;
    if (!accounts || !percent || !out)
        return 1;
    for (int i = 0; i < N; i++) {
        accounts[i] = (struct account){.number = i, .balance = 100.0 + i % 977};
        percent[i] = 0.25 * (i % 9);
    }

    dp_column columns[] = {
        {&accounts->balance, sizeof(double), sizeof *accounts}, /* One member of each struct. */
        {percent, sizeof *percent, sizeof *percent},            /* An array of its own. */
        {&years, sizeof years, 0},                              /* The same for every item. */
    };
    int code = dp_pool_starmap(NULL, grow_item, columns, 3, out, sizeof *out, N, NULL);

    for (int i = 0; code == 0 && i < N; i++)
        failures += out[i] != grow(accounts[i].balance, percent[i], years);
    printf("%s, %d wrong\n", code ? dp_strerror(code) : "all accounts done", failures);
    free(accounts);
    free(percent);
    free(out);
    return code || failures ? 1 : 0;
}

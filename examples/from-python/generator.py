# SPDX-License-Identifier: Apache-2.0
# Results one by one while later ones are computed, with a bound on how far that runs ahead.
# Needs: joblib 1.3
from joblib import Parallel, delayed


def collatz(n):
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return steps


def numbers():
    for n in range(1, 1001):
        yield delayed(collatz)(n)


longest = 0
lazy = Parallel(n_jobs=4, prefer="threads", return_as="generator", pre_dispatch=100)
for index, steps in enumerate(lazy(numbers())):
    if steps > longest:
        longest = steps
        print(f"{index + 1} takes {steps} steps")

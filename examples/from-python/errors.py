# SPDX-License-Identifier: Apache-2.0
# A map that stops at the first failure, and one that keeps the good results.
# Needs: joblib 1.0
from concurrent.futures import ThreadPoolExecutor

from joblib import Parallel, delayed


class NoRoot(Exception):
    pass


def root(x):
    if x < 0:
        raise NoRoot(x)
    return round(x**0.5)


numbers = [0, 1, -4, 9, 16]

try:
    Parallel(n_jobs=2, prefer="threads")(delayed(root)(x) for x in numbers)
except NoRoot as error:
    print("stopped at", error)

with ThreadPoolExecutor() as executor:
    futures = [executor.submit(root, x) for x in numbers]
for future in futures:
    print("none" if future.exception() else future.result())

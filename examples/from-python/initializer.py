# SPDX-License-Identifier: Apache-2.0
# Memory that each worker keeps from task to task.
from multiprocessing import Pool


def begin(limit):
    global known
    known = [0] * limit


def collatz(start):
    n, steps = start, 0
    while n != 1 and (n >= len(known) or known[n] == 0):
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    known[start] = steps + (0 if n == 1 else known[n])
    return known[start]


if __name__ == "__main__":
    with Pool(4, initializer=begin, initargs=(10000,)) as pool:
        print(max(pool.map(collatz, range(1, 10000))))

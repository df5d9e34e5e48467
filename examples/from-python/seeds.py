# SPDX-License-Identifier: Apache-2.0
# Random numbers that do not depend on the number of workers.
# Needs: joblib 1.0
from random import Random

from joblib import Parallel, delayed


def inside(seed, points):
    random = Random(seed)
    return sum(random.random() ** 2 + random.random() ** 2 < 1 for _ in range(points))


def estimate(n_jobs):
    seeds = Random(2026)
    tasks = [delayed(inside)(seeds.getrandbits(64), 1000) for _ in range(100)]
    return sum(Parallel(n_jobs=n_jobs, prefer="threads")(tasks)) * 4 / 100 / 1000


print(f"pi is about {estimate(1):.1f}")
print("same with 4 workers:", "yes" if estimate(1) == estimate(4) else "no")

# SPDX-License-Identifier: Apache-2.0
# One function for many numbers, then different functions at once.
# Needs: joblib 1.0
from joblib import Parallel, delayed


def cube(x):
    return x * x * x


cubes = Parallel(n_jobs=-1, prefer="threads")(delayed(cube)(x) for x in range(10))
print(*cubes)

total, largest = Parallel(n_jobs=-1, prefer="threads")([delayed(sum)(cubes), delayed(max)(cubes)])
print(total, largest)

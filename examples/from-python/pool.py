# SPDX-License-Identifier: Apache-2.0
# The verbs of a pool: map, starmap, imap_unordered, apply_async.
from multiprocessing import Pool


def square(x):
    return x * x


def area(width, height):
    return width * height


if __name__ == "__main__":
    with Pool(4) as pool:
        print(*pool.map(square, range(10)))
        print(*pool.starmap(area, [(2, 5), (3, 4), (7, 6)]))
        print(sum(pool.imap_unordered(square, range(10))))
        later = pool.apply_async(square, (20,))
        print(later.get())

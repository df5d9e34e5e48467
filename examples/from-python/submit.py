# SPDX-License-Identifier: Apache-2.0
# A future with a callback, and a map.
from concurrent.futures import ThreadPoolExecutor

told = []


def square(x):
    return x * x


def tell(future):
    told.append(future.result())


with ThreadPoolExecutor(max_workers=2) as executor:
    future = executor.submit(square, 7)
    future.add_done_callback(tell)
    print(future.result())
    print(*executor.map(square, range(5)))
print("told", *told)

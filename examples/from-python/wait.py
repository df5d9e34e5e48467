# SPDX-License-Identifier: Apache-2.0
# Results as they come, and a wait that ends with the first failure.
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, as_completed, wait


def invert(x):
    return 60 // x


with ThreadPoolExecutor(max_workers=4) as executor:
    futures = [executor.submit(invert, x) for x in [1, 2, 3, 4, 5, 6]]
    print(sum(future.result() for future in as_completed(futures)))

    futures = [executor.submit(invert, x) for x in [3, 2, 1, 0]]
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for index, future in enumerate(futures):
        if future in done and future.exception():
            print("number", index, "failed")

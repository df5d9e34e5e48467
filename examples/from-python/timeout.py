# SPDX-License-Identifier: Apache-2.0
# A wait that gives up, and a map of which one item takes too long.
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from threading import Event

stop = Event()


def answer(x):
    if x == 3:
        stop.wait()
    return x * x


with ThreadPoolExecutor(max_workers=4) as executor:
    future = executor.submit(answer, 3)
    try:
        future.result(timeout=0.01)
    except TimeoutError:
        print("not yet")

    try:
        for result in executor.map(answer, range(5), timeout=1):
            print(result)
    except TimeoutError:
        print("too late")
    stop.set()

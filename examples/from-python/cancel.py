# SPDX-License-Identifier: Apache-2.0
# One future is cancelled before it begins, another while it runs.
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

stop = Event()


def work():
    while not stop.is_set():
        sleep(0.001)
    return "stopped"


with ThreadPoolExecutor(max_workers=1) as executor:
    first = executor.submit(work)
    second = executor.submit(work)
    while not first.running():
        sleep(0.001)
    print("second:", "cancelled" if second.cancel() else "too late")
    print("first:", "cancelled" if first.cancel() else "too late")
    stop.set()
    first.result()
    print("both have ended")

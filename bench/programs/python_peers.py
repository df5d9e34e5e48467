#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same work in Python: joblib, multiprocessing, concurrent.futures and a plain loop.

Understands the command line of the C programs (see harness.c), and --who besides, as this one
program stands for several peers. Pools are started and warmed up off the clock.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

try:
    import joblib
except ImportError:
    joblib = None

SAMPLE_SECONDS = 0.020
LONG_SECONDS = 0.4

# bench, case, n, n of the quick set, workers; a subset of cases.c. None: not in that set.
CASES = [
    ("fib-list", "fib(0..24)", 24, None, "1,all"),
    ("fib-list", "fib(0..18)", None, 18, "1,all"),
    ("sleep", "plain", 10, 10, "2"),
    ("squares", "n=1000", 1000, 1000, "1,all"),
    ("latency", "apply", 1, 1, "1,all"),
    ("latency", "map of one", 1, 1, "1,all"),
    ("latency", "few tasks", 10000, 1000, "1,all"),
    ("processes", "apply", 1, 1, "all"),
    ("processes", "submit", 1, 1, "all"),
    ("processes", "map, chunk 1", 100000, 10000, "all"),
    ("processes", "map", 100000, 10000, "all"),
    ("processes", "1 MB, copied", 2**20, 2**20, "all"),
    ("processes", "1 GB, copied", 2**30, None, "all"),
    ("processes", "start", 1, 1, "2"),
    ("processes", "recovery", 1, 1, "1"),
]

# As in kernels/blocks.h: every byte of a block plus one.
BLOCK_SIZE = 64 * 1024
PLUS_ONE = bytes(range(1, 256)) + b"\0"


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def square(x):
    return x * x


def nap(seconds):
    time.sleep(seconds)
    return seconds


def increment(x):
    return x + 1


def block(data):
    return data.translate(PLUS_ONE)


def own_pid(_):
    return os.getpid()


class Serial:
    """A list comprehension."""

    def __init__(self, workers):
        pass

    def map(self, function, items):
        return [function(item) for item in items]

    map_long = map

    def close(self):
        pass


class Joblib:
    def __init__(self, workers):
        self.parallel = joblib.Parallel(n_jobs=workers)

    def map(self, function, items):
        return self.parallel(joblib.delayed(function)(item) for item in items)

    tasks = map

    def map_long(self, function, items):
        self.parallel.batch_size = 1
        return self.map(function, items)

    def apply(self, function, item):
        return self.map(function, [item])[0]

    def close(self):
        joblib.externals.loky.get_reusable_executor().shutdown()


class Loky:
    """The workers of joblib alone: with n_jobs=1 that has none."""

    Broken = BrokenProcessPool

    def __init__(self, workers):
        self.workers = workers

    def apply(self, function, item):
        executor = joblib.externals.loky.get_reusable_executor(max_workers=self.workers)
        return executor.submit(function, item).result()

    def mend(self):
        """The next apply() makes new workers by itself."""

    def close(self):
        joblib.externals.loky.get_reusable_executor().shutdown()


class Multiprocessing:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def map(self, function, items):
        return self.pool.map(function, items)

    def map_long(self, function, items):
        return self.pool.map(function, items, chunksize=1)

    def apply(self, function, item):
        return self.pool.apply(function, (item,))

    def tasks(self, function, items):
        results = [self.pool.apply_async(function, (item,)) for item in items]
        return [result.get() for result in results]

    def close(self):
        self.pool.close()
        self.pool.join()


class Futures:
    """Hands out single items by default; map() is given chunks as multiprocessing makes them."""

    def __init__(self, make_executor, workers):
        self.make_executor = make_executor
        self.executor = make_executor(workers)
        self.workers = workers

    def mend(self):
        self.executor.shutdown()
        self.executor = self.make_executor(self.workers)

    def map(self, function, items):
        chunk = max(1, len(items) // (4 * self.workers))
        return list(self.executor.map(function, items, chunksize=chunk))

    def map_long(self, function, items):
        return list(self.executor.map(function, items))

    def apply(self, function, item):
        return self.executor.submit(function, item).result()

    def tasks(self, function, items):
        futures = [self.executor.submit(function, item) for item in items]
        return [future.result() for future in futures]

    def close(self):
        self.executor.shutdown()


class ProcessFutures(Futures):
    Broken = BrokenProcessPool

    def __init__(self, workers):
        super().__init__(ProcessPoolExecutor, workers)


class ThreadFutures(Futures):
    def __init__(self, workers):
        super().__init__(ThreadPoolExecutor, workers)


PEERS = {
    ("serial", "python"): Serial,
    ("multiprocessing", "processes"): Multiprocessing,
    ("concurrent.futures", "processes"): ProcessFutures,
    ("concurrent.futures", "threads"): ThreadFutures,
}
if joblib:
    PEERS["joblib", "processes"] = Joblib
    PEERS["loky", "processes"] = Loky


def make_work(peer, bench, case, n, quick):
    """What to time, and the result that it must have."""
    if bench == "fib-list":
        expected = [0, 1]
        while len(expected) <= n:
            expected.append(expected[-1] + expected[-2])
        return lambda: peer.map_long(fib, range(n + 1)), expected
    if bench == "sleep":
        naps = [0.1 if quick else 1.0] * n
        return lambda: peer.map_long(nap, naps), naps
    if bench == "squares":
        return lambda: peer.map(square, range(n)), [x * x for x in range(n)]
    if bench == "processes":
        return make_process_work(peer, case, n)
    if case == "map of one":
        return lambda: peer.map(increment, range(1)), [1]
    if case == "apply":
        return lambda: peer.apply(increment, 1), 2
    return lambda: peer.tasks(increment, range(n)), [x + 1 for x in range(n)]


def make_process_work(peer, case, n):
    if case == "apply":
        return lambda: peer.apply(increment, 1), 2
    if case == "submit":
        return lambda: peer.tasks(increment, [1]), [2]
    if case.startswith("map"):
        map_items = peer.map_long if "chunk 1" in case else peer.map
        return lambda: map_items(increment, range(n)), [x + 1 for x in range(n)]
    blocks = [bytes(x % 251 for x in range(BLOCK_SIZE))] * (n // BLOCK_SIZE)
    return lambda: peer.map(block, blocks), [block(data) for data in blocks]


def time_start(make_peer, workers):
    """Until the first result is there."""
    started = time.perf_counter()
    peer = make_peer(workers)
    peer.apply(own_pid, 0)
    took = time.perf_counter() - started
    peer.close()
    return took


def time_recovery(peer):
    """From the death of the only worker until a result is there, with a new pool if need be."""
    victim = peer.apply(own_pid, 0)
    started = time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    while True:
        try:
            if peer.apply(own_pid, 0) != victim:
                return time.perf_counter() - started
        except peer.Broken:
            peer.mend()


def offers(engine, peer, bench, case):
    """Whether a peer takes part in a case."""
    if bench == "processes":
        if case == "recovery":  # A worker that waits holds multiprocessing's lock for the others.
            return engine == "processes" and hasattr(peer, "Broken")
        if case == "submit" and peer is Joblib:
            return False
        return engine == "processes" and peer is not Loky
    return peer is not Loky and not (peer is Serial and bench == "latency")


def take_samples(work, expected, runs):
    """Seconds for one repeat, several times. The first run is a sample only when it is long."""

    def timed(repeat):
        started = time.perf_counter()
        for _ in range(repeat):
            result = work()
        took = (time.perf_counter() - started) / repeat
        if result != expected:
            sys.exit(f"WRONG RESULT: {str(result)[:60]}, must be {str(expected)[:60]}")
        return took

    first = timed(1)
    if first > LONG_SECONDS:
        return [first]
    repeat = max(1, round(SAMPLE_SECONDS / timed(1)))
    return [timed(repeat) for _ in range(runs)]


def list_cases(quick):
    for bench, case, full_n, quick_n, workers in CASES:
        n = quick_n if quick else full_n
        for (who, engine), peer in PEERS.items():
            if n is None or not offers(engine, peer, bench, case):
                continue
            count = "1" if peer is Serial else workers
            print(who, engine, bench, case, n, count, sep="\t")


def find_size(bench, case, quick):
    for case_bench, case_name, full_n, quick_n, _ in CASES:
        if (case_bench, case_name) == (bench, case):
            return quick_n if quick else full_n
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--who")
    parser.add_argument("--engine")
    parser.add_argument("--bench")
    parser.add_argument("--case")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.list:
        list_cases(args.quick)
        return

    n = find_size(args.bench, args.case, args.quick)
    if n is None or (args.who, args.engine) not in PEERS:
        parser.error("no such peer or case; see --list")
    make_peer = PEERS[args.who, args.engine]
    if (args.bench, args.case) == ("processes", "start"):
        samples = [time_start(make_peer, args.workers) for _ in range(args.runs)]
    elif (args.bench, args.case) == ("processes", "recovery"):
        with contextlib.closing(make_peer(args.workers)) as peer:
            samples = [time_recovery(peer) for _ in range(args.runs)]
    else:
        with contextlib.closing(make_peer(args.workers)) as peer:
            peer.map(increment, range(100))  # all workers are there and have imported everything
            work, expected = make_work(peer, args.bench, args.case, n, args.quick)
            samples = take_samples(work, expected, args.runs)
    result = {
        "bench": args.bench,
        "case": args.case,
        "who": args.who,
        "engine": args.engine,
        "workers": args.workers,
        "n": n,
        "unit": "s",
        "samples": samples,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

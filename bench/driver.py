#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark programs by turns, prints the table and writes JSON and plots.

bench/run builds the programs and calls this. Every runtime has a program of its own that says with
--list what it offers. A case is run in rounds: in each round every program that offers it runs
once, as a fresh process, for each number of workers, so that a disturbance of the machine meets all
alike.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import table

HERE = pathlib.Path(__file__).resolve().parent

# The order of the table. What a program offers beyond these is not run.
BENCHES = [
    "fib",
    "fib-list",
    "sleep",
    "squares",
    "loops",
    "irregular",
    "reduce",
    "scan",
    "imap",
    "tree",
    "queens",
    "uts",
    "latency",
    "processes",
]

# A program gets another round only while it stays within so many seconds for a case.
BUDGET = {"full": 8.0, "quick": 1.5}
ROUNDS = {"full": 8, "quick": 3}
RUNS = 5

# Nothing here takes minutes: a program that does hangs.
TIME_LIMIT = 300


class Variant:
    """One program on one case with one number of workers: a row of the table."""

    def __init__(self, command, who, engine, bench, case, n, workers):
        self.command = command
        self.who = who
        self.engine = engine
        self.bench = bench
        self.case = case
        self.n = n
        self.workers = workers
        self.samples = []
        self.spent = 0.0
        self.longest = 0.0
        self.error = None

    def name(self):
        return f"{self.who} ({self.engine}, {self.workers})"

    def affordable(self, budget):
        return not self.error and (not self.samples or self.spent + self.longest <= budget)

    def run(self, quick):
        command = [*self.command, "--bench", self.bench, "--case", self.case]
        command += ["--engine", self.engine, "--workers", str(self.workers), "--runs", str(RUNS)]
        if len(self.command) > 1:  # the Python program stands for several peers
            command += ["--who", self.who]
        if quick:
            command.append("--quick")
        started = time.monotonic()
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT,
                env=quiet_environment(),
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            self.error = f"did not end within {TIME_LIMIT} seconds"
            return
        took = time.monotonic() - started
        self.spent += took
        self.longest = max(self.longest, took)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            self.error = reason[-1]
            return
        for line in done.stdout.splitlines():
            self.samples += json.loads(line)["samples"]

    def result(self):
        return {
            "bench": self.bench,
            "case": self.case,
            "who": self.who,
            "engine": self.engine,
            "workers": self.workers,
            "n": self.n,
            "unit": "s",
            "min": min(self.samples),
            "median": statistics.median(self.samples),
            "runs": len(self.samples),
        }


def quiet_environment():
    """The environment without the settings of other runtimes, which run with their defaults."""
    foreign = ("OMP_", "GOMP_", "KMP_", "LIBOMP_", "TBB_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def worker_counts(words, all_workers):
    """The numbers behind "1,all", "2" and "all"; all means at least two where it stands alone."""
    if words == "all":
        return [max(2, all_workers)]
    counts = [all_workers if word == "all" else int(word) for word in words.split(",")]
    return sorted(set(counts))


def find_programs(folder, peers):
    """Command lines, dp's own first."""
    found = sorted(folder.glob("bench-*"))
    found = [path for path in found if path.suffix == "" and os.access(path, os.X_OK)]
    names = ("bench-dp", "bench-dp-processes", "bench-serial")
    found.sort(key=lambda path: path.name not in names)
    own = [[str(path)] for path in found if path.name in names]
    if not own:
        sys.exit(f"{folder}: no benchmark programs; bench/run builds them")
    if not peers:
        return own
    others = [[str(path)] for path in found if [str(path)] not in own]
    return own + others + [[sys.executable, str(HERE / "programs" / "python_peers.py")]]


def find_variants(programs, args):
    """All rows by case: {(bench, case): [variants]}, in the order of the table."""
    cases = {}
    for command in programs:
        lines = subprocess.run(
            [*command, "--list", *(["--quick"] if args.quick else [])],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        for line in lines:
            who, engine, bench, case, n, words = line.split("\t")
            if bench not in args.only:
                continue
            variants = cases.setdefault((bench, case), [])
            if variants and variants[0].n != int(n):
                sys.exit(f"{bench}, {case}: {who} and {variants[0].who} disagree about n")
            for workers in worker_counts(words, args.workers):
                variants.append(Variant(command, who, engine, bench, case, int(n), workers))
    return dict(sorted(cases.items(), key=lambda item: BENCHES.index(item[0][0])))


def run_case(variants, quick, progress):
    """Rounds over all variants; each round starts with another one."""
    kind = "quick" if quick else "full"
    for number in range(ROUNDS[kind]):
        first = number * len(variants) // ROUNDS[kind]
        for variant in variants[first:] + variants[:first]:
            if variant.affordable(BUDGET[kind]):
                progress(f"{variant.bench}, {variant.case}: round {number + 1}, {variant.name()}")
                variant.run(quick)
    progress("")


def show_progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text[:79])
        sys.stderr.flush()


def read_arguments():
    parser = argparse.ArgumentParser(description="Run the benchmark programs; see bench/run.")
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(BENCHES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    args.only = args.only.split(",")
    for bench in args.only:
        if bench not in BENCHES:
            parser.error(f"no bench {bench}; there are {', '.join(BENCHES)}")
    if args.workers < 1:
        parser.error("--workers must be at least 1")
    return args


def write_json(path, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join("  " + json.dumps(result) for result in results)
    path.write_text(f"[\n{rows}\n]\n")


def main():
    args = read_arguments()
    programs = find_programs(args.programs, not args.no_peers)
    cases = find_variants(programs, args)
    paper = table.Table(sys.stdout, args.workers, args.quick)
    paper.machine()

    results, errors = [], []
    for variants in cases.values():
        run_case(variants, args.quick, show_progress)
        good = [variant.result() for variant in variants if variant.samples]
        bad = [f"{variant.name()}: {variant.error}" for variant in variants if variant.error]
        paper.case(variants[0].bench, variants[0].case, variants[0].n, good, bad)
        results += good
        errors += bad
        if args.json:
            write_json(args.json, results)
    paper.summary()

    if args.plots and args.json:
        subprocess.run(
            [sys.executable, str(HERE / "plots.py"), str(args.json), str(args.plots)], check=True
        )
    if errors:
        print(f"\n{len(errors)} failed:", *errors, sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

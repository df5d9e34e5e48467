# SPDX-License-Identifier: Apache-2.0
"""The table that bench/run prints, 80 columns wide."""

import os
import platform

BOLD, DIM, GREEN, RED, PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"

TITLES = {
    "fib": "one Fibonacci number by fork/join, a fork for every call",
    "fib-list": "a list of Fibonacci numbers, each by plain recursion",
    "sleep": "ten tasks that sleep, on 2 workers",
    "squares": "the square of every number",
    "loops": "y = 2x + y on floats, one call",
    "irregular": "a loop whose items cost very different amounts",
    "reduce": "a sum of doubles",
    "scan": "the prefix sums of doubles",
    "imap": "numbers through a trivial function to one consumer, a few at a time",
    "tree": "the sum of a binary tree, a task for every node",
    "queens": "n queens, a task for every placed queen",
    "uts": "unbalanced tree search, a task for every node",
    "latency": "what a call costs when there is next to no work",
    "processes": "workers that are processes: calls, arrays, birth and death",
}


def duration(seconds):
    """Four digits with the unit that suits them."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= 0.99995 * size:
            break
    value = seconds / size
    digits = next((d for d in (3, 2, 1) if value < 0.99995 * 10 ** (4 - d)), 0)
    return f"{value:.{digits}f} {unit}"


def factor(ratio):
    """Three digits of a ratio, however small."""
    if ratio < 0.1:
        return f"{ratio:.1g} x" if ratio < 0.001 else f"{ratio:.3f} x"
    return f"{ratio:.2f} x" if ratio < 100 else f"{ratio:.0f} x"


def ordinal(number):
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}" + {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def best(rows):
    return min(rows, key=lambda row: row["min"], default=None)


def find_serial(rows):
    """Plain serial C on the same work."""
    return best([row for row in rows if (row["who"], row["engine"]) == ("serial", "serial")])


def dp_rows(rows):
    """Ours on the engine that the bench is about, the fewest workers first."""
    engine = "processes" if rows and rows[0]["bench"] == "processes" else "threads"
    ours = [row for row in rows if (row["who"], row["engine"]) == ("dp", engine)]
    return sorted(ours, key=lambda row: row["workers"])


def find_rivals(rows, workers):
    """The best row of each peer with as many workers, the fastest first."""
    peers = {}
    for row in sorted(rows, key=lambda row: -row["min"]):
        if row["who"] not in ("dp", "serial", "ping-pong") and row["workers"] == workers:
            if (row["bench"], row["engine"]) != ("processes", "threads"):
                peers[row["who"]] = row
    return sorted(peers.values(), key=lambda row: row["min"])


def comparison(ours, theirs):
    """How our time stands to another one."""
    ratio = theirs / ours
    return "level with" if 0.97 < ratio < 1.03 else f"{factor(ratio)} as fast as"


class Table:
    def __init__(self, out, workers, quick):
        self.out = out
        self.workers = workers
        self.quick = quick
        self.colour = out.isatty() and "NO_COLOR" not in os.environ
        self.last_bench = None
        self.lines = []

    def paint(self, style, text):
        return f"{style}{text}{PLAIN}" if self.colour else text

    def write(self, text=""):
        print(text, file=self.out, flush=True)

    def machine(self):
        model = platform.machine()
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
        kind = "the quick set" if self.quick else "the full set"
        self.write(f"{model}, Linux {platform.release()}"[:80])
        self.write(f"{self.workers} workers are all; {kind}; rows sorted by their minimum")

    def ideal(self, bench, case, n, rows):
        """The time that no schedule can beat, where it is known."""
        serial = find_serial(rows)
        if bench == "sleep":
            nap = 0.1 if self.quick else 1.0
            return nap if case != "plain" else n * nap / 2
        if bench in ("fib-list", "irregular") and serial:
            return serial["min"] / self.workers
        return None

    def yardstick(self, bench, case, rows):
        """What the cost of worker processes is measured with: a row, or None."""
        if bench != "processes":
            return None
        wanted = ("ping-pong", "futex") if case == "apply" else ("dp", "threads")
        return best([row for row in rows if (row["who"], row["engine"]) == wanted])

    def case(self, bench, case, n, rows, errors):
        if bench != self.last_bench:
            self.last_bench = bench
            self.write()
            self.write(self.paint(BOLD, f"{bench}: {TITLES[bench]}"))
        self.write()
        size = "" if str(n) in case else f" (n={n})"
        self.write(
            f"  {case + size:<30} {'engine':<10}{'workers':>7} {'min':>9} {'median':>9}"
            f" {'speedup':>8}"
        )
        self.rows(rows, find_serial(rows))
        ideal = self.ideal(bench, case, n, rows)
        if ideal:
            self.write(self.paint(DIM, f"      {'ideal':<44} {duration(ideal):>9}"))
        for error in errors:
            self.write(self.paint(RED, f"  FAILED: {error}"))
        self.verdict(bench, case, n, rows, ideal)

    def rows(self, rows, serial):
        ranked = sorted(rows, key=lambda row: row["min"])
        for rank, row in enumerate(ranked, 1):
            speedup = factor(serial["min"] / row["min"]) if serial else ""
            line = (
                f"  {rank:>3} {row['who']:<26} {row['engine']:<10}{row['workers']:>7}"
                f" {duration(row['min']):>9} {duration(row['median']):>9} {speedup:>8}"
            )
            if rank == 1:
                line = self.paint(BOLD + GREEN, line)
            elif row["who"] == "dp":
                line = self.paint(BOLD, line)
            self.write(line)

    def verdict(self, bench, case, n, rows, ideal):
        """A line about dp for each number of workers; the last is remembered for the summary."""
        for ours in dp_rows(rows):
            rivals = find_rivals(rows, ours["workers"])
            parts = []
            if rivals:
                rank = 1 + sum(row["min"] < ours["min"] for row in rivals)
                parts.append(f"{ordinal(rank)} of {len(rivals) + 1}")
                parts.append(f"{comparison(ours['min'], rivals[0]['min'])} {rivals[0]['who']}")
            if ideal and ours["workers"] > 1:
                parts.append(f"{ours['min'] / ideal:.3f} x ideal")
            if yardstick := self.yardstick(bench, case, rows):
                ratio = ours["min"] / yardstick["min"]
                parts.append(f"{factor(ratio)} the time of {yardstick['who']}, {yardstick['engine']}")
            count, word = work_units(bench, case, n)
            if count:
                parts.append(f"{duration(ours['min'] / count)} a {word}")
            if parts:
                self.write(f"      dp with {ours['workers']}: {'; '.join(parts)}")
        if dp_rows(rows):
            rival = rivals[0] if rivals else None
            self.lines.append((bench, case, ours, find_serial(rows), rival))

    def summary(self):
        if not self.lines:
            return
        self.write()
        title = "summary: dp with all workers, against serial C and the best peer"
        self.write(self.paint(BOLD, title))
        self.write()
        self.write(f"  {'':<26}{'dp':>9} {'serial':>9} {'':>8} {'peer':>9}")
        for bench, case, ours, serial, rival in self.lines:
            line = f"  {bench + ', ' + case:<26}{duration(ours['min']):>9}"
            line += against(ours, serial) + against(ours, rival)
            self.write(f"{line} {rival['who'] if rival else ''}".rstrip())


def against(ours, row):
    if not row:
        return " " * 19
    return f" {duration(row['min']):>9} {factor(row['min'] / ours['min']):>8}"


def work_units(bench, case, n):
    """How many pieces of work a case consists of, where that is a number people compare."""
    if bench == "fib":
        a, b = 0, 1
        for _ in range(n + 1):
            a, b = b, a + b
        return a - 1, "fork"
    if bench in ("tree", "uts"):
        return n, "node"
    if bench == "latency" and case.endswith("tasks"):
        return n, "task"
    if bench == "processes" and case.startswith("map"):
        return n, "item"
    return 0, ""

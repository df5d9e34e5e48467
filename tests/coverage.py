#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tells which lines of the library the tests of a coverage build have not run.

    tests/coverage.py BUILD    writes BUILD/report/, prints a summary

Fails below 95 % of the lines or 85 % of the branches of src/ without its tools, whose own test does
not count. The functions with such lines are printed; those that tests/coverage.md gives no reason
for are marked. They do not fail: which races are met differs from run to run.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAST_LINES, LEAST_BRANCHES = 95, 85


def function_at(text, number):
    """The function that a line of a source file belongs to: the last that begins before it."""
    for line in reversed(text[:number]):
        line = re.sub(r"^__attribute__\(\(.*\)\) ", "", line)
        head = re.match(r"[a-z_].*?\*?\b(\w+)\(", line)
        if head and not line.rstrip().endswith(";"):
            return head.group(1)
    return "?"


def unrun(report):
    """File, function and numbers of the lines that never ran."""
    for file in json.loads(report.read_text(encoding="utf-8"))["files"]:
        text = (ROOT / file["file"]).read_text(encoding="utf-8").splitlines()
        found = {}
        for line in file["lines"]:
            if line["count"] == 0 and not line.get("gcovr/noncode"):
                function = function_at(text, line["line_number"])
                found.setdefault(function, []).append(line["line_number"])
        for function, numbers in found.items():
            yield file["file"], function, numbers


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    report = build / "report"
    report.mkdir(exist_ok=True)
    explained = (ROOT / "tests" / "coverage.md").read_text(encoding="utf-8")
    gcovr = ["gcovr", "--root", ROOT, "--filter", "src/", "--exclude", "src/tools/",
             # Of some functions gcov says that a branch was taken -1 times, where the counts of
             # processes that ended at different places do not add up: that line is left out.
             "--gcov-ignore-parse-errors",
             "--print-summary", "--json", report / "coverage.json", "--json-pretty",
             "--html-details", report / "index.html", "--txt", report / "coverage.txt",
             "--fail-under-line", str(LEAST_LINES), "--fail-under-branch", str(LEAST_BRANCHES),
             build / "CMakeFiles" / "dp_objects.dir"]
    status = subprocess.run(gcovr, check=False, cwd=ROOT).returncode
    for file, function, numbers in unrun(report / "coverage.json"):
        known = "" if f"`{function}`" in explained else "  (no reason in tests/coverage.md)"
        print(f"{file}: {function}: {', '.join(map(str, numbers))}{known}")
    print(f"the report is {report}/index.html")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())

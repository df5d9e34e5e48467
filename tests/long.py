#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/long.md from the report of a long run: what each program did and how it ended.

    tests/long.py REPORT PRESET >tests/long.md

What the programs print are their figures; of the models it is how many runs they made.
"""

import datetime
import pathlib
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONG = re.compile(r"(stress|model)\.|exit")


def commit():
    """The commit that was tested, and whether there was more."""
    def git(*arguments):
        run = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return run.stdout.strip() if run.returncode == 0 else ""
    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" and changes" if changed else "")


def machine():
    try:
        cpus = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        cpus = ""
    models = re.findall(r"^model name\s*: (.*)$", cpus, re.MULTILINE) or [platform.machine()]
    return f"{len(models)} × {models[0]}, {platform.system()} {platform.release()}"


def result(case):
    return {"run": "passed", "fail": "**failed**"}.get(case.get("status"), "skipped")


def figures(case):
    """What the program printed, on one line."""
    text = case.findtext("system-out") or ""
    lines = [line.strip().replace("|", "/") for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:12]) if result(case) == "passed" else ""


def main():
    report, preset = sys.argv[1:]
    cases = [case for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase")
             if LONG.match(case.get("name"))]
    print("<!-- SPDX-License-Identifier: Apache-2.0; made by tests/run --long -->")
    print("# The long run\n")
    print("What `tests/run --long` does beside the ordinary tests, and how it ended.\n")
    print(f"- {datetime.date.today()}, commit {commit()}, the {preset} build")
    print(f"- {machine()}")
    print(f"- {sum(float(case.get('time')) for case in cases):.0f} seconds, of programs that ran side "
          "by side\n")
    print("| program | seconds | result | figures |")
    print("|---|--:|---|---|")
    for case in sorted(cases, key=lambda case: case.get("name")):
        print(f"| `{case.get('name')}` | {float(case.get('time')):.0f} | {result(case)} "
              f"| {figures(case)} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a program prints what a Python program prints, and that both succeed.

    tests/pair.py SCRIPT PROGRAM

A line `# Needs: NAME VERSION` in the script asks for a package of at least that version. It is looked
for where this interpreter looks, then where that of the system does; exit status 77 when neither has
it. A difference is printed, and the exit status is 1.
"""

import difflib
import pathlib
import re
import subprocess
import sys

NEEDS = re.compile(r"^# Needs: (\S+) (\d+)\.(\d+)$", re.MULTILINE)
INTERPRETERS = (sys.executable, "/usr/bin/python3")


def has(interpreter, name, wanted):
    """Whether an interpreter finds the package in this version or a newer one."""
    ask = f"import importlib.metadata as m; print(m.version({name!r}))"
    try:
        answer = subprocess.run([interpreter, "-c", ask], capture_output=True, text=True)
    except OSError:
        return False
    found = re.match(r"(\d+)\.(\d+)", answer.stdout)
    return bool(found) and tuple(map(int, found.groups())) >= wanted


def interpreter_for(script):
    """The first interpreter that has what a script needs, or None."""
    needs = NEEDS.findall(script.read_text(encoding="utf-8"))
    for interpreter in INTERPRETERS:
        if all(has(interpreter, name, (int(major), int(minor))) for name, major, minor in needs):
            return interpreter
    return None


def lines_of(command):
    """What a command prints; the whole check ends if it fails."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if ended.returncode != 0:
        sys.exit(f"{command[-1]} returned {ended.returncode}")
    return ended.stdout.splitlines()


def main():
    script, program = map(pathlib.Path, sys.argv[1:])
    interpreter = interpreter_for(script)
    if not interpreter:
        print(f"no Python here has what {script.name} needs")
        return 77
    expected, printed = lines_of([interpreter, str(script)]), lines_of([str(program)])
    difference = list(difflib.unified_diff(expected, printed, script.name, program.name, lineterm=""))
    print("\n".join(difference) if difference else f"{len(printed)} lines are the same")
    return 1 if difference or not printed else 0


if __name__ == "__main__":
    sys.exit(main())

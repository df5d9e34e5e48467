#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the fuzzer leaves no function out: each one that the shared library exports is called
in tests/fuzz/, or stands in ELSEWHERE with the reason.

    tests/fuzz/complete.py LIBDP.SO
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ELSEWHERE = {
    "dp_task_fork": "DP_FORK()", "dp_task_fork_slow": "DP_FORK()",
    "dp_task_join": "DP_JOIN()", "dp_task_join_slow": "DP_JOIN()",
    "dp_task_poll": "DP_POLL()", "dp_task_poll_slow": "DP_POLL()",
    "dp_task_run": "DP_RUN_INTO()", "dp_task_must_run": "DP_RUN()",
    "dp_register": "exec.module", "dp_unregister": "exec.module",
    "dp_engine_register": "support/custom.c, whose engine pools may have",
}
# What belongs to processes, which a program of the fuzzer has none of.
ELSEWHERE_BEGINNING = ("dp_process_", "dp_lock_", "dp_event_", "dp_barrier_")  # stress.interprocess


def exported(library):
    names = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in names.splitlines() if line.strip()}
    return {name for name in names if name.startswith("dp_")}


def main():
    sources = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.c"))
    called = set(re.findall(r"\b(dp_\w+)\b", sources))
    names = exported(sys.argv[1])
    wrong = [f"{name} is not called by the fuzzer" for name in sorted(names - called)
             if name not in ELSEWHERE and not name.startswith(ELSEWHERE_BEGINNING)]
    wrong += [f"{name} is not exported any more" for name in sorted(ELSEWHERE.keys() - names)]
    wrong += [f"{name} is called, and need not be listed" for name in sorted(called)
              if name in ELSEWHERE]
    print("\n".join(wrong) if wrong else f"{len(names)} functions, all of them called")
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main())

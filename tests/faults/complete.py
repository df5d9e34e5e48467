#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the tests with faults leave nothing out.

    tests/faults/complete.py LIBDP.SO

 - Every function that the shared library needs of the system stands in system.txt, refused or with
   the reason why it cannot fail, and nothing else stands there.
 - Every function that the library exports is called by a scenario, or stands in UNDER_OTHER_NAMES.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# What the macros of task.h stand for; the scenarios use those.
UNDER_OTHER_NAMES = re.compile(r"dp_task_(fork|join|poll|must_run|run)(_slow)?$")
# The C library's own names for functions that it keeps in several versions, and what the linker adds.
ALIASES = {"__register_atfork": "pthread_atfork", "__isoc23_strtol": "strtol",
           "__isoc23_strtoll": "strtoll"}
OF_THE_LINKER = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__cxa_finalize",
                 "__gmon_start__", "__stack_chk_fail", "__tls_get_addr", "_GLOBAL_OFFSET_TABLE_"}


def symbols(library, option):
    names = subprocess.run(["nm", "-D", option, library], stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    return {line.split()[-1].split("@")[0] for line in names.splitlines() if line.strip()}


def listed():
    for line in (HERE / "system.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, how = line.split(None, 1)
            yield name, how.strip()


def main():
    library = sys.argv[1]
    wrong = []
    needed = {ALIASES.get(name, name) for name in symbols(library, "--undefined-only")}
    needed -= OF_THE_LINKER
    table = dict(listed())
    # hwloc can be left out of a build.
    with_hwloc = any(name.startswith("hwloc_") for name in needed)
    wrong += [f"{name} is not in system.txt" for name in sorted(needed - table.keys())]
    wrong += [f"system.txt: {name} is not called any more" for name in sorted(table.keys() - needed)
              if with_hwloc or not name.startswith("hwloc_")]
    sources = [*sorted(HERE.glob("*.c")), HERE.parent / "support" / "custom.c"]
    scenarios = "".join(path.read_text(encoding="utf-8") for path in sources)
    called = set(re.findall(r"\bdp_\w+", scenarios))
    wrong += [f"{name}: no scenario calls it" for name in sorted(symbols(library, "--defined-only"))
              if name.startswith("dp_") and name not in called and not UNDER_OTHER_NAMES.match(name)]
    print("\n".join(wrong) if wrong else f"{len(needed)} functions needed, all in order")
    return 1 if wrong or not needed else 0


if __name__ == "__main__":
    sys.exit(main())

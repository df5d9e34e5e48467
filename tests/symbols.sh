#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/symbols.sh LIBDP.SO: the shared library exports every function that the headers mark with
# DP_API, the inline ones of task.h for other languages, and nothing else; its SONAME is the major
# version's.
set -eu
library=$1
headers=$(cd "$(dirname "$0")/../include/dp" && pwd)

# A declaration may be longer than a line; the name stands before the first bracket.
declared=$(cat "$headers"/*.h | sed '/^#/d' | tr '\n' ' ' |
    grep -oE '(DP_API|DP_TASK_INLINE) [^(;]*\(' | grep -oE 'dp_[a-z0-9_]+\($' | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$library" |
    awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u)

if [ -z "$declared" ] || [ "$declared" != "$exported" ]; then
    echo "Declared with DP_API (<) and exported (>) differ:"
    diff <(echo "$declared") <(echo "$exported")
    exit 1
fi
readelf -d "$library" | grep -q 'SONAME.*\[libdp\.so\.[0-9]*\]'
echo "$(echo "$exported" | wc -l) symbols"

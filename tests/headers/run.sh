#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiles every public header alone, twice in one file so that its include guard is used: as C11
# and as C++17, with gcc and, where it is installed, with clang. No warning is allowed.
set -u
include=$(cd "$(dirname "$0")/../../include" && pwd)
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
failed=0
compiled=0

compile() { # compile COMPILER LANGUAGE STANDARD HEADER
    printf '#include <%s>\n#include <%s>\nextern int more;\n' "$4" "$4" |
        "$1" -x "$2" "-std=$3" "${warnings[@]}" -I "$include" -fsyntax-only - || {
        echo "$4 does not compile alone with $1 -std=$3" >&2
        failed=$((failed + 1))
    }
    compiled=$((compiled + 1))
}

for path in "$include"/dp/*.h; do
    header=dp/$(basename "$path")
    for pair in "gcc g++" "clang clang++"; do
        read -r cc cxx <<<"$pair"
        if command -v "$cc" >/dev/null; then
            compile "$cc" c c11 "$header"
        fi
        if command -v "$cxx" >/dev/null; then
            compile "$cxx" c++ c++17 "$header"
        fi
    done
done

# The macros that make verbs, expanded in both languages.
compile_uses() { # compile_uses COMPILER LANGUAGE STANDARD
    command -v "$1" >/dev/null || return 0
    "$1" -x "$2" "-std=$3" "${warnings[@]}" -I "$include" -fsyntax-only "$(dirname "$0")/typed.c" || {
        echo "typed.c does not compile with $1 -std=$3" >&2
        failed=$((failed + 1))
    }
    compiled=$((compiled + 1))
}

for cc in gcc clang; do
    compile_uses "$cc" c c11
done
for cxx in g++ clang++; do
    compile_uses "$cxx" c++ c++17
done

echo "$compiled compilations, $failed failed"
[ "$failed" -eq 0 ] && [ "$compiled" -gt 0 ]

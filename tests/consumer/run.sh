#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/consumer/run.sh BUILD: installs the build, moves the installed tree elsewhere, and builds a
# user's project against it: with find_package and with pkg-config, shared and static, C and C++.
# Then once more with dp as a subdirectory of that project.
# Exit code 77 where there is no compiler for C++.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
: "${CC:=cc}" "${CXX:=c++}" "${CMAKE:=cmake}"
export CC CXX
command -v "$CXX" >/dev/null || { echo "no C++ compiler"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
quietly() { # the output of a command is shown only when it fails
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "$*"
    }
}

# check WAY shared|static PROGRAM: it runs, and uses libdp.so when and only when it should.
check() {
    local linked=static
    if readelf -d "$3" | grep -q 'NEEDED.*libdp\.so\.'; then
        linked=shared
    fi
    [ "$linked" = "$2" ] || fail "$1: ${3##*/} is linked $linked, not $2"
    if readelf -d "$3" | grep -qi 'NEEDED.*/'; then
        fail "$1: ${3##*/} needs a library by its path"
    fi
    printf '%-12s %-6s ' "$1" "$2"
    LD_LIBRARY_PATH=$libdir "$3" || fail "$1 $2: ${3##*/} returned $?"
}

# The prefix given here is not where the tree will be used.
quietly "$CMAKE" --install "$build" --prefix "$work/first"
mv "$work/first" "$work/second"
prefix=$work/second
libdir=$(dirname "$(find "$prefix" -name libdp.a)")
for file in bin/dp-info include/dp/dp.h share/man/man1/dp-info.1 share/doc/dp/LICENSE; do
    [ -e "$prefix/$file" ] || fail "$file was not installed"
done
if grep -rlE "$work/first|$build|$source" "$libdir/cmake" "$libdir/pkgconfig"; then
    fail "an installed file names the place of the build"
fi
"$prefix/bin/dp-info" >"$work/log" || fail "the installed dp-info returned $?"

for kind in shared static; do
    shared=$([ $kind = shared ] && echo ON || echo OFF)
    quietly "$CMAKE" -S "$here" -B "$work/$kind" -DCMAKE_PREFIX_PATH="$prefix" \
        -DBUILD_SHARED_LIBS="$shared" -DCMAKE_BUILD_TYPE=Release -DCMAKE_BUILD_RPATH="$libdir"
    quietly "$CMAKE" --build "$work/$kind"
    check find_package $kind "$work/$kind/consumer-c"
    check find_package $kind "$work/$kind/consumer-cxx"
done

export PKG_CONFIG_PATH=$libdir/pkgconfig
quietly pkg-config --exact-version="$(sed -n 's/^Version: //p' "$PKG_CONFIG_PATH/dp.pc")" dp
read -ra flags <<<"$(pkg-config --cflags dp)"
read -ra shared_libs <<<"$(pkg-config --libs dp)"
read -ra static_libs <<<"$(pkg-config --static --libs dp | sed 's/-ldp /-l:libdp.a /')"
flags+=(-O2 -Wall -Wextra -Wpedantic -Werror)
for kind in shared static; do
    libs=("${shared_libs[@]}")
    [ $kind = shared ] || libs=("${static_libs[@]}")
    quietly "$CC" -std=c11 "${flags[@]}" "$here/main.c" -o "$work/c" "${libs[@]}"
    check pkg-config $kind "$work/c"
    for cxx in "$CXX" clang++; do
        command -v "$cxx" >/dev/null || continue
        quietly "$cxx" -std=c++17 "${flags[@]}" "$here/main.cpp" -o "$work/cxx" "${libs[@]}"
        check pkg-config $kind "$work/cxx"
    done
done

quietly "$CMAKE" -S "$here" -B "$work/sub" -DDP_SOURCE="$source" -DBUILD_SHARED_LIBS=OFF
quietly "$CMAKE" --build "$work/sub" --parallel
check subdirectory static "$work/sub/consumer-c"

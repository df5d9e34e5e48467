#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks tests/failures.py with a report that ctest makes of one test that fails, one that takes too
# long, one that crashes, one that is missing, one that is skipped and one that passes:
#
#     tests/failures_check.sh
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 2
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT

cat >"$folder/CTestTestfile.cmake" <<'TESTS'
add_test(good sh -c "echo all is well")
add_test(bad sh -c "seq 100; echo what it lacks; exit 3")
add_test(slow sh -c "echo began; exec sleep 60")
set_tests_properties(slow PROPERTIES TIMEOUT 0.2)
add_test(crash sh -c "kill -SEGV $$")
add_test(absent "/there is no such program")
add_test(lacking sh -c "exit 77")
set_tests_properties(lacking PROPERTIES SKIP_RETURN_CODE 77)
TESTS
"${CTEST:-ctest}" --test-dir "$folder" --output-junit report.xml >/dev/null 2>&1 &&
    echo "ctest found nothing wrong" && exit 1

printed=$("$here/failures.py" "$folder/report.xml" dev)
wrong=0
expect() { # expect PATTERN
    grep -qE "$1" <<<"$printed" || { echo "missing: $1" && wrong=1; }
}
reject() { # reject PATTERN
    ! grep -qE "$1" <<<"$printed" || { echo "unwanted: $1" && wrong=1; }
}
expect '^FAILED: bad \(dev, [0-9.]+ s\)$'
expect '^    what it lacks$'
expect '^    42$' # the 60th line from the end
reject '^    41$'
expect '^FAILED: slow \(dev, '
expect '^    began$'
expect '^FAILED: crash \(dev, '
expect '^FAILED: absent \(dev, '
reject 'good|all is well|lacking'
[ -z "$("$here/failures.py" "$folder/none.xml" dev 2>&1)" ] || { echo "no report: not silent" && wrong=1; }
[ "$wrong" -eq 0 ] || echo "$printed"
exit "$wrong"

# SPDX-License-Identifier: Apache-2.0
#
# The programs of tests/fuzz. DP_FUZZER is set by tests/fuzz/run alone, for builds of their own.

set(DP_FUZZER "" CACHE STRING "For tests/fuzz/run: libfuzzer or afl.")
mark_as_advanced(DP_FUZZER)

add_library(fuzz-machine STATIC
    tests/fuzz/acts.c
    tests/fuzz/calls.c
    tests/fuzz/futures.c
    tests/fuzz/job.c
    tests/fuzz/lazy.c
    tests/fuzz/machine.c
    tests/fuzz/pools.c
    tests/fuzz/program.c
    tests/fuzz/ranges.c
    tests/fuzz/small.c
    tests/fuzz/within.c
    tests/support/custom.c)
target_link_libraries(fuzz-machine PRIVATE dp_static dp_private)
target_include_directories(fuzz-machine PRIVATE tests)

# dp_add_fuzz_program(name): tests/fuzz/<name>.c with all of the above.
function(dp_add_fuzz_program name)
    dp_add_test_executable(fuzz-${name} tests/fuzz/${name}.c)
    target_link_libraries(fuzz-${name} PRIVATE fuzz-machine)
    target_include_directories(fuzz-${name} PRIVATE tests)
endfunction()

dp_add_fuzz_program(replay)
dp_add_fuzz_program(stdin)
dp_register_test(fuzz.replay COMMAND ${test_launcher} $<TARGET_FILE:fuzz-replay>
    ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds)
if(TEST fuzz.replay)
    set_tests_properties(fuzz.replay PROPERTIES TIMEOUT 120) # some seconds, on two free cores
endif()
# As somebody without a fuzzer starts it.
list(JOIN test_launcher " " launcher)
dp_register_test(fuzz.stdin COMMAND sh -c
    "${launcher} $<TARGET_FILE:fuzz-stdin> < ${PROJECT_SOURCE_DIR}/LICENSE")

if(DP_FUZZER STREQUAL "libfuzzer")
    foreach(target dp_objects fuzz-machine)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endforeach()
    dp_add_fuzz_program(target)
    target_link_options(fuzz-target PRIVATE -fsanitize=fuzzer)
endif()

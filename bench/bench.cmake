# SPDX-License-Identifier: Apache-2.0
#
# The benchmark programs, one for each runtime, so that no two runtimes share a process. They land
# in the folder bench/ of the build tree, where bench/driver.py finds them. What serial C, dp and
# the peers have in common, kernels and harness, is compiled once and linked into every program.

option(DP_BENCH_PEERS "Build the benchmarks of other libraries, where they are installed." ON)

set(bench_dir ${PROJECT_SOURCE_DIR}/bench)
set(bench_out ${PROJECT_BINARY_DIR}/bench)
set(bench_programs)

add_library(bench-common STATIC
    bench/cases.c
    bench/harness.c
    bench/kernels/blocks.c
    bench/kernels/fib.c
    bench/kernels/irregular.c
    bench/kernels/latency.c
    bench/kernels/lazy.c
    bench/kernels/loops.c
    bench/kernels/queens.c
    bench/kernels/reduce.c
    bench/kernels/scan.c
    bench/kernels/sleep.c
    bench/kernels/squares.c
    bench/kernels/tree.c
    bench/kernels/uts.c)
target_link_libraries(bench-common PUBLIC m)
# A short loop may run at another speed at another address: the same one for every program.
target_compile_options(bench-common PRIVATE -falign-functions=64)

# dp_add_bench(name sources... [LIBRARIES library...])
function(dp_add_bench name)
    cmake_parse_arguments(PARSE_ARGV 1 bench "" "" "LIBRARIES")
    add_executable(bench-${name} ${bench_UNPARSED_ARGUMENTS})
    target_link_libraries(bench-${name} PRIVATE bench-common ${bench_LIBRARIES})
    set_target_properties(bench-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${bench_out})
    set(bench_programs ${bench_programs} ${name} PARENT_SCOPE)
endfunction()

# dp_add_openmp_bench(name compiler flag): programs/openmp.c by the compiler whose own OpenMP
# runtime is wanted; the rest of the build has only one compiler.
function(dp_add_openmp_bench name compiler flag)
    find_program(DP_BENCH_${compiler} ${compiler})
    mark_as_advanced(DP_BENCH_${compiler})
    set(path ${DP_BENCH_${compiler}})
    if(NOT path)
        return()
    endif()

    set(probe ${PROJECT_BINARY_DIR}/CMakeFiles/bench-${name}.c)
    file(WRITE ${probe} "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
    execute_process(COMMAND ${path} ${flag} ${probe} -o ${probe}.out
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(failed)
        return()
    endif()

    string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
    separate_arguments(flags UNIX_COMMAND "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}}")
    get_property(warnings DIRECTORY PROPERTY COMPILE_OPTIONS)
    set(output ${bench_out}/bench-${name})
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${bench_out}
        COMMAND ${path} ${flags} ${warnings} -std=c11 -fPIE -pie ${flag} -DBENCH_WHO="${name}"
            -MMD -MF ${output}.d -MT bench/bench-${name}
            ${bench_dir}/programs/openmp.c $<TARGET_FILE:bench-common> -lm -o ${output}
        DEPENDS ${bench_dir}/programs/openmp.c bench-common
        DEPFILE ${output}.d
        COMMENT "Building bench/bench-${name} with ${path}"
        VERBATIM)
    add_custom_target(bench-${name} ALL DEPENDS ${output})
    set(bench_programs ${bench_programs} ${name} PARENT_SCOPE)
endfunction()

dp_add_bench(serial bench/programs/serial.c)
dp_add_bench(dp bench/programs/dp.c LIBRARIES dp::dp)
dp_add_bench(dp-processes bench/programs/processes.c LIBRARIES dp::dp)

if(DP_BENCH_PEERS)
    dp_add_bench(pingpong bench/programs/pingpong.c)
    dp_add_openmp_bench(libgomp gcc -fopenmp)
    dp_add_openmp_bench(libomp clang -fopenmp=libomp)

    find_path(PTHREADPOOL_INCLUDE_DIR pthreadpool.h)
    find_library(PTHREADPOOL_LIBRARY pthreadpool)
    mark_as_advanced(PTHREADPOOL_INCLUDE_DIR PTHREADPOOL_LIBRARY)
    if(PTHREADPOOL_INCLUDE_DIR AND PTHREADPOOL_LIBRARY)
        dp_add_bench(pthreadpool bench/programs/pthreadpool.c
            LIBRARIES ${PTHREADPOOL_LIBRARY} Threads::Threads)
        target_include_directories(bench-pthreadpool PRIVATE ${PTHREADPOOL_INCLUDE_DIR})
    endif()

    include(CheckLanguage)
    check_language(CXX)
    find_package(TBB CONFIG QUIET)
    if(CMAKE_CXX_COMPILER AND TBB_FOUND)
        enable_language(CXX)
        dp_add_bench(onetbb bench/programs/onetbb.cpp LIBRARIES TBB::tbb)
        target_compile_features(bench-onetbb PRIVATE cxx_std_17)
    endif()
endif()

list(JOIN bench_programs " " bench_programs)
message(STATUS "Benchmarks: ${bench_programs}")

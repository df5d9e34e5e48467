# SPDX-License-Identifier: Apache-2.0
#
# The model checker; tests/model/README.md tells how it works.
# Each test tries everything with so many deviations from the plainest run.
set(models_3 orders park lock lock_sleep future timeout callback wait_any then deque again leapfrog law
    law_loop guest)
set(models_4 law_newer)
set(models_2 loop pool wake closing closing_joined reserved queued post bit pinned law_lane imap imap_unordered
    imap_destroyed imap_takers limited limited_turns completed completed_destroyed stopped
    executor_jobs executor_refused executor_then executor_at_once executor_loops executor_alone
    executor_closing executor_cancelled)
set(models_1 jobs call nudged resize surplus leaving slow_hook hooks refused lend spare spare_task
    spare_fails spare_resized spare_comes_back nap nap_job nap_meet handover late_visitor visitors
    crossing helped law_loop_newer chain chain_older lanes nested imap_limited limited_calls then_all
    then_all_cancelled inner_cancelled inner_late inner_executor)

set(model_sources ${sources})
list(REMOVE_ITEM model_sources src/platform/clock.c src/platform/futex.c)
set(model_files ${models_1} ${models_2} ${models_3} ${models_4} crew executor foreign inner stub work)
list(REMOVE_ITEM model_files # in another one's file
    law_newer law_loop_newer law_lane chain_older stopped imap_unordered imap_destroyed
    imap_limited imap_takers limited_calls limited_turns then_all_cancelled completed_destroyed
    pinned leaving slow_hook spare_task spare_fails spare_resized spare_comes_back crossing nap_job
    nap_meet visitors late_visitor closing_joined reserved executor_jobs executor_refused executor_then
    executor_at_once executor_loops executor_alone executor_closing executor_cancelled inner_cancelled inner_late
    inner_executor)
list(TRANSFORM model_files REPLACE "(.+)" "tests/model/models/\\1.c")

add_library(model_objects OBJECT ${model_sources} ${model_files})
target_link_libraries(model_objects PRIVATE dp_private)
target_include_directories(model_objects PRIVATE tests/model)
target_compile_definitions(model_objects PRIVATE
    DP_MODEL=1 DP_CHECKS=1 DP_NARROW_INDEX=1 MODEL_REPLACE=1)
target_compile_options(model_objects PRIVATE
    -O1 -fno-builtin -fsanitize=thread --param tsan-instrument-func-entry-exit=0
    -include ${PROJECT_SOURCE_DIR}/tests/model/replace.h)

add_executable(model tests/model/main.c tests/model/explore.c tests/model/fiber.c
    tests/model/memory.c tests/model/schedule.c tests/model/system.c
    $<TARGET_OBJECTS:model_objects>)
target_compile_options(model PRIVATE -O2)
target_link_libraries(model PRIVATE dp_private m ${CMAKE_DL_LIBS})
target_link_options(model PRIVATE -no-pie)
set_target_properties(model PROPERTIES RUNTIME_OUTPUT_DIRECTORY tests)

function(dp_register_model name)
    dp_register_test(model.${name} COMMAND ${ARGN})
    set_tests_properties(model.${name} PROPERTIES TIMEOUT 600 LABELS model)
endfunction()

foreach(deviations 1 2 3 4)
    foreach(name IN LISTS models_${deviations})
        dp_register_model(${name} model --must-finish --seconds 100 --deviations ${deviations} ${name})
    endforeach()
endforeach()
dp_register_model(mutants ${PROJECT_SOURCE_DIR}/tests/model/mutate
    --quick --jobs 1 --build ${PROJECT_BINARY_DIR})

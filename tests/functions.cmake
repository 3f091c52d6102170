# The functions by which every folder of tests/ adds its tests. A test has one label, and its name begins with it.

# All labels. README.md says which question each answers.
set(spikenet_test_labels
    unit gradient golden isa isa_other allocation compile_fail rules headers docs packaging compile_budget inference nir
    small_example example training fuzz interop cuda cuda_golden cuda_races plans nvcc gpu)
set(SPIKENET_TEST_LABELS all CACHE STRING "Labels of the tests to build and run: all, or a list of them")
set(SPIKENET_TEST_PREFIX "" CACHE STRING "Beginning of every test's name, to tell several builds apart")
mark_as_advanced(SPIKENET_TEST_PREFIX)

# spikenet_wants_<label>: whether this build has the tests with that label.
foreach(label IN LISTS SPIKENET_TEST_LABELS)
  if(NOT label STREQUAL all AND NOT label IN_LIST spikenet_test_labels)
    list(JOIN spikenet_test_labels ", " labels)
    message(FATAL_ERROR "SPIKENET_TEST_LABELS: there is no label \"${label}\"; the labels are ${labels}.")
  endif()
endforeach()
foreach(label IN LISTS spikenet_test_labels)
  set(spikenet_wants_${label} OFF)
  if(SPIKENET_TEST_LABELS STREQUAL all OR label IN_LIST SPIKENET_TEST_LABELS)
    set(spikenet_wants_${label} ON)
  endif()
endforeach()

# spikenet_test(<label> <name> [EXPAND_LISTS] COMMAND <command>... [PROPERTIES <name> <value>...])
# Adds the test <label>/<name>. EXPAND_LISTS makes a list that a generator expression yields several arguments. A command
# that exits with 77 is skipped; the line "Skipped: <reason>" says why.
function(spikenet_test label name)
  cmake_parse_arguments(PARSE_ARGV 2 test "EXPAND_LISTS" "" "COMMAND;PROPERTIES")
  set(full_name "${SPIKENET_TEST_PREFIX}${label}/${name}")
  set(expand "")
  if(test_EXPAND_LISTS)
    set(expand COMMAND_EXPAND_LISTS)
  endif()
  add_test(NAME "${full_name}" COMMAND ${test_COMMAND} ${expand})
  set_tests_properties("${full_name}" PROPERTIES LABELS ${label} TIMEOUT 600 SKIP_RETURN_CODE 77 ${test_PROPERTIES})
endfunction()

# spikenet_skipped_test(<label> <name> <reason>)
# Adds a test that is always skipped, so that the summary of a test run lists what this build cannot test, and why.
function(spikenet_skipped_test label name reason)
  message(STATUS "Skipped: ${label}/${name}: ${reason}")
  add_test(NAME "${SPIKENET_TEST_PREFIX}${label}/${name}" COMMAND ${CMAKE_COMMAND} -E echo "Skipped: ${reason}")
  set_tests_properties("${SPIKENET_TEST_PREFIX}${label}/${name}" PROPERTIES LABELS ${label}
                       SKIP_REGULAR_EXPRESSION "^Skipped: ")
endfunction()

# spikenet_catch_tests(<label> <target> <option>...)
# Adds each Catch2 test case of the target as a test, and gives the target what such tests need.
function(spikenet_catch_tests label target)
  target_compile_definitions(${target} PRIVATE SPIKENET_MNIST_DIR="${PROJECT_SOURCE_DIR}/examples/mnist/data"
                                               SPIKENET_TEST_TMP="${test_tmp}")
  target_link_libraries(${target} PRIVATE spikenet_test_options ${catch})
  target_compile_options(${target} PRIVATE ${ARGN})
  catch_discover_tests(${target} TEST_PREFIX "${SPIKENET_TEST_PREFIX}${label}/" EXTRA_ARGS ${catch_arguments}
                       PROPERTIES LABELS ${label} TIMEOUT 600)
endfunction()

# macros.cmake accepts a header without collisions and finds each that is planted in one:
# cmake -D COMPILER=<C++ compiler> -D SCRATCH=<folder to use> -P macros_test.cmake
cmake_minimum_required(VERSION 3.25)

# check(<line> <regex>): a header with this line. What the rule says must match; an empty regex: it must accept the
# line.
function(check line regex)
  file(REMOVE_RECURSE ${SCRATCH})
  file(WRITE ${SCRATCH}/include/spikenet/core.hpp "#pragma once\n${line}\n")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -D ROOT=${SCRATCH} -D COMPILER=${COMPILER} -P
            ${CMAKE_CURRENT_LIST_DIR}/../rules/macros.cmake
    RESULT_VARIABLE result
    ERROR_VARIABLE output)
  if(regex STREQUAL "" AND NOT result EQUAL 0)
    message(NOTICE "${output}")
    message(SEND_ERROR "A header may say ${line}, but the rule refuses it.")
  elseif(NOT regex STREQUAL "" AND (result EQUAL 0 OR NOT output MATCHES "${regex}"))
    message(NOTICE "${output}")
    message(SEND_ERROR "A header must not say ${line}, but the rule does not say so.")
  endif()
endfunction()

check("template <int... Index> int sum = (0 + ... + Index);" "")
check("template <int... I> int sum = (0 + ... + I);" "core.hpp uses the name I,")
check("int linux = 1;" "uses the name linux,")
check("void assert (bool);" "uses the name assert,")
check("int assert = 1, unix2 = 1;" "")
check("#define I 1" "")
check("const char* name = \"the I of // comments\";  // and I" "")
check("const char* name = \"//\"; int I;" "uses the name I,")

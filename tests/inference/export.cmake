# Exports networks as headers, compiles these as for a small target, and runs them:
# cmake -D COMPILER=<c++> -D WRITER=<export_network> -D INCLUDE=<include> -D SOURCE=<exported.cpp> -D SCRATCH=<folder>
#       -P export.cmake
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "This failed: ${command}")
  endif()
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
run(${WRITER} ${SCRATCH})
# For the same instructions as the writer: where multiplications and additions are fused, sums are rounded otherwise.
run(${COMPILER} -std=c++20 -O1 -fno-exceptions -fno-rtti -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I${INCLUDE}
    -I${SCRATCH} ${SOURCE} -o ${SCRATCH}/exported)
run(${SCRATCH}/exported ${SCRATCH})

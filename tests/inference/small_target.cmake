# Compiles small_target.cpp as for a small target, and fails where it needs more than memory to be copied:
# cmake -D COMPILER=<c++> -D NM=<nm> -D INCLUDE=<include> -D SOURCE=<file> -D OBJECT=<file> -P small_target.cmake
cmake_minimum_required(VERSION 3.25)

execute_process(
  COMMAND ${COMPILER} -std=c++20 -Os -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector -Wall
          -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I${INCLUDE} -c ${SOURCE} -o ${OBJECT}
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "It does not compile.")
endif()

execute_process(
  COMMAND ${NM} --undefined-only --format=just-symbols ${OBJECT}
  OUTPUT_VARIABLE symbols
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${NM} cannot read it.")
endif()
string(REGEX REPLACE "\n$" "" symbols "${symbols}")
string(REPLACE "\n" ";" symbols "${symbols}")
list(FILTER symbols EXCLUDE REGEX "^(memcpy|memmove|memset|memcmp|_GLOBAL_OFFSET_TABLE_)$")
if(symbols)
  message(FATAL_ERROR "It needs ${symbols}.")
endif()

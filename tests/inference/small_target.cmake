# Compiles small_target.cpp as for a small target, and fails where it needs more than memory to be copied and, where the
# processor has no such instructions, arithmetic (Arm's run-time ABI: __aeabi_fadd, __aeabi_ldivmod, ...):
# cmake -D "COMPILER=<c++;option...>" -D NM=<nm> -D INCLUDE=<include> -D SOURCE=<file> -D OBJECT=<file>
#       -P small_target.cmake
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
list(FILTER symbols EXCLUDE REGEX "^__aeabi_([fd](add|sub|rsub|mul|div|neg|cmp[a-z]+|2[a-z]+)|u?[il]2[fd]|u?[il]div(mod)?)$")
list(FILTER symbols EXCLUDE REGEX "^__aeabi_(l(mul|lsl|lsr|asr|cmp)|mem(cpy|move|set|clr)[48]?)$")
if(symbols)
  message(FATAL_ERROR "It needs ${symbols}.")
endif()

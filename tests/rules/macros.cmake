# No identifier of the library is a macro of the system's headers:
# cmake -D ROOT=<repository> -D COMPILER=<C++ compiler> -P macros.cmake
#
# Asks the compiler for all macros that system_headers.h defines, prints each identifier of ROOT's headers that one of
# them would replace, and fails if there is any.
cmake_minimum_required(VERSION 3.25)

# Macros that the library means where it names them.
set(meant "^(errno|stderr|E(ACCES|EXIST|INTR|INVAL)|O_[A-Z]+|MADV_HUGEPAGE)$")
# Names of other libraries, which their own headers declare: an enumerator of cudnn-frontend.
set(foreign "^ADD$")

execute_process(
  COMMAND ${COMPILER} -std=gnu++20 -dM -E -x c++ ${CMAKE_CURRENT_LIST_DIR}/system_headers.h
  RESULT_VARIABLE result
  OUTPUT_VARIABLE definitions
  ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${output}")
endif()
string(REGEX MATCHALL "#define [A-Za-z0-9_]+\\(?" definitions "${definitions}")
foreach(definition IN LISTS definitions)
  string(REGEX MATCH "#define ([A-Za-z0-9_]+)(\\(?)" definition "${definition}")
  set(macro_${CMAKE_MATCH_1} "macro${CMAKE_MATCH_2}")  # "macro(" takes arguments
endforeach()
if(NOT macro_I STREQUAL "macro" OR NOT macro_assert STREQUAL "macro(")
  message(FATAL_ERROR "${COMPILER} does not define the macros of <complex.h> and <assert.h>.")
endif()

set(violations "")
file(GLOB_RECURSE headers RELATIVE ${ROOT}/include ${ROOT}/include/*.hpp ${ROOT}/include/*.cuh)
if(NOT headers)
  set(violations "${ROOT}/include has no headers\n")
endif()
foreach(header IN LISTS headers)
  file(READ ${ROOT}/include/${header} text)
  # Without strings, comments and directives, in this order: a string may hold a //, a comment a single quote. A macro
  # that takes arguments replaces nothing but a name in front of a parenthesis.
  string(REGEX REPLACE "\"([^\"\\\n]|\\\\.)*\"" "" text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "\n[ \t]*#[^\n]*" "\n" text "${text}")
  string(REGEX MATCHALL "[A-Za-z_][A-Za-z0-9_]*[ \n]*\\(?" words "${text}")
  list(REMOVE_DUPLICATES words)
  foreach(word IN LISTS words)
    string(REGEX MATCH "^([A-Za-z0-9_]+)[ \n]*(\\(?)" word "${word}")
    set(name ${CMAKE_MATCH_1})
    if(NOT DEFINED macro_${name} OR (macro_${name} STREQUAL "macro(" AND NOT CMAKE_MATCH_2))
      continue()
    endif()
    if(NOT name MATCHES "${meant}" AND NOT name MATCHES "${foreign}")
      string(APPEND violations "include/${header} uses the name ${name}, which is a macro of a system header\n")
    endif()
  endforeach()
endforeach()

if(violations)
  message(NOTICE "${violations}")
  message(FATAL_ERROR "Names collide with macros; see ${CMAKE_CURRENT_LIST_FILE}.")
endif()

# Compiles SOURCE with COMPILER, as a user would, and compares what the compiler says with the comments that the file
# starts with:
#   // expect: REGEX     it does not compile, and REGEX (CMake's kind) matches in the first 15 lines of the output;
#                        there may be several, and all must match
#   // errors: N         besides, the output has N lines with "error:", "fatal error:" among them
#   // expect-success    it compiles
#   // options: ...      in either case, it is compiled with these options, too
cmake_minimum_required(VERSION 3.25)
set(lines_to_read 15)

# next_line(<text> <line>): moves the first line of the variable text to the variable line. Not by a CMake list of
# lines: what compilers say holds semicolons and brackets.
macro(next_line text line)
  string(FIND "${${text}}" "\n" end)
  if(end EQUAL -1)
    set(${line} "${${text}}")
    set(${text} "")
  else()
    string(SUBSTRING "${${text}}" 0 ${end} ${line})
    math(EXPR end "${end} + 1")
    string(SUBSTRING "${${text}}" ${end} -1 ${text})
  endif()
endmacro()

file(READ ${SOURCE} source_text)
set(patterns 0)
set(expect_success FALSE)
set(errors "")
set(options "")
next_line(source_text line)
while(line MATCHES "^//")
  if(line MATCHES "^// expect: (.+)$")
    math(EXPR patterns "${patterns} + 1")
    set(pattern_${patterns} "${CMAKE_MATCH_1}")
  elseif(line STREQUAL "// expect-success")
    set(expect_success TRUE)
  elseif(line MATCHES "^// errors: ([0-9]+)$")
    set(errors ${CMAKE_MATCH_1})
  elseif(line MATCHES "^// options: (.+)$")
    separate_arguments(options UNIX_COMMAND "${CMAKE_MATCH_1}")
  elseif(line MATCHES "^// *expect")
    message(FATAL_ERROR "${SOURCE}: \"${line}\" is neither \"// expect: REGEX\" nor \"// expect-success\".")
  endif()
  next_line(source_text line)
endwhile()
if((patterns AND expect_success) OR (NOT patterns AND NOT expect_success))
  message(FATAL_ERROR "${SOURCE} must start with \"// expect: REGEX\" lines or with one line \"// expect-success\".")
endif()

list(TRANSFORM INCLUDE_DIRS PREPEND -I)
set(ENV{LC_ALL} C)  # messages in English
execute_process(
  COMMAND ${COMPILER} -std=c++20 -fsyntax-only -fdiagnostics-color=never ${INCLUDE_DIRS} ${options} ${SOURCE}
  RESULT_VARIABLE result
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output)

if(expect_success)
  if(NOT result EQUAL 0)
    message(NOTICE "${output}")
    message(FATAL_ERROR "${SOURCE} should compile.")
  endif()
  return()
endif()
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} should not compile, but does.")
endif()
string(REGEX MATCHALL "error:" error_lines "${output}")
list(LENGTH error_lines count)
if(NOT errors STREQUAL "" AND NOT count EQUAL errors)
  message(NOTICE "${output}")
  message(SEND_ERROR "${SOURCE}: there are ${count} errors, not ${errors}.")
endif()

set(head "")
foreach(i RANGE 1 ${lines_to_read})
  next_line(output line)
  string(APPEND head "${line}\n")
endforeach()
message(NOTICE "${head}")
foreach(i RANGE 1 ${patterns})
  if(NOT head MATCHES "${pattern_${i}}")
    message(SEND_ERROR "${SOURCE}: \"${pattern_${i}}\" does not match in the first ${lines_to_read} lines, above.")
  endif()
endforeach()

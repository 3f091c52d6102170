# A short training on the bundled data, in an empty folder: cmake -D PROGRAM=<spikenet-mnist> -D SCRATCH=<folder> -P ...
# The last line of the output that gives a test accuracy must be at least this (chance is 10 %).
set(required_accuracy 90)

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})

# run(<variable> <argument>...): the accuracy in per cent that the program reports for the test images.
function(run variable)
  execute_process(
    COMMAND ${PROGRAM} ${ARGN}
    WORKING_DIRECTORY ${SCRATCH}
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE errors)
  message(STATUS "${output}${errors}")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "spikenet-mnist failed: ${result}")
  endif()
  if(NOT output MATCHES ".*[Tt]est accuracy[: ]+([0-9.]+) ?%")
    message(FATAL_ERROR "The output gives no test accuracy.")
  endif()
  set(${variable} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

run(accuracy train --epochs 3 --limit 12000 --seed 1 --out trained)
if(accuracy LESS required_accuracy)
  message(FATAL_ERROR "Test accuracy ${accuracy} %: less than ${required_accuracy} %.")
endif()

run(accuracy_of_checkpoint test --checkpoint trained/model.safetensors)
if(NOT accuracy_of_checkpoint STREQUAL accuracy)
  message(FATAL_ERROR "Trained: ${accuracy} %; tested again from its checkpoint: ${accuracy_of_checkpoint} %.")
endif()

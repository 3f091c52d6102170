# What the three consumers have in common, once they have found spikenet their way.
add_executable(consumer ${CMAKE_CURRENT_LIST_DIR}/main.cpp ${CMAKE_CURRENT_LIST_DIR}/evaluate.cpp
                        ${CMAKE_CURRENT_LIST_DIR}/network.cpp)
target_link_libraries(consumer PRIVATE spikenet::spikenet)

# Flags are the consumer's own business.
get_target_property(real_target spikenet::spikenet ALIASED_TARGET)
if(NOT real_target)
  set(real_target spikenet::spikenet)
endif()
foreach(property IN ITEMS INTERFACE_COMPILE_OPTIONS INTERFACE_COMPILE_DEFINITIONS INTERFACE_LINK_OPTIONS)
  get_target_property(value ${real_target} ${property})
  if(value)
    message(FATAL_ERROR "spikenet::spikenet pushes ${property} on its users: ${value}")
  endif()
endforeach()

# What the project's own programs are compiled with. Nothing here reaches a project that uses spikenet.
include(CheckCXXCompilerFlag)

# spikenet_project_options: the warnings, for tests, examples and benchmarks alike.
add_library(spikenet_project_options INTERFACE)
target_compile_options(spikenet_project_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(SPIKENET_WERROR)
  target_compile_options(spikenet_project_options INTERFACE -Werror)
endif()
# The same for what nvcc compiles.
add_library(spikenet_cuda_project_options INTERFACE)
target_compile_options(spikenet_cuda_project_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
if(SPIKENET_WERROR)
  target_compile_options(spikenet_cuda_project_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
endif()

# spikenet_native: this machine's instruction set, where the compiler has a name for it.
add_library(spikenet_native INTERFACE)
if(SPIKENET_NATIVE OR SPIKENET_NATIVE_TESTS)
  check_cxx_compiler_flag(-march=native SPIKENET_HAS_MARCH_NATIVE)
  if(SPIKENET_HAS_MARCH_NATIVE)
    target_compile_options(spikenet_native INTERFACE -march=native)
  endif()
endif()

# spikenet_find(<package> <purpose> <group>): find_package, with a message that says what to do about a failure. A
# macro, so that what find_package sets is the caller's.
macro(spikenet_find package purpose group)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    spikenet_missing(${package} "${purpose}" ${group})
  endif()
endmacro()

# spikenet_require_component(<data, io, checkpoint, tensorboard or nir> <purpose> <group>): spikenet::<component> exists.
function(spikenet_require_component component purpose group)
  if(NOT TARGET spikenet::${component})
    spikenet_missing("${spikenet_${component}_lacks}" "${purpose}" ${group})
  endif()
endfunction()

function(spikenet_missing library purpose group)
  string(TOUPPER ${group} option)
  set(without "")
  if(DEFINED SPIKENET_BUILD_${option})
    set(without "; -D SPIKENET_BUILD_${option}=OFF does without")
  endif()
  message(FATAL_ERROR "CMake cannot find ${library} ${purpose}. "
                      "On Debian and Ubuntu, cmake/install-packages.sh ${group} installs it${without}.")
endfunction()

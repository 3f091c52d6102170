# What CMake tells the users of spikenet: cmake -D SOURCE=<spikenet> -D SCRATCH=<folder> -D COMPILER=<C++ compiler>
# -D EIGEN=<folder of its package> -P messages.cmake
cmake_minimum_required(VERSION 3.25)

set(common "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DEigen3_DIR=${EIGEN}")
set(without_hdf5 "-DCMAKE_DISABLE_FIND_PACKAGE_spikenet_hdf5=ON")
file(REMOVE_RECURSE ${SCRATCH})

function(run_or_stop)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}:\n${output}")
  endif()
endfunction()

# configure(<success> <regular expression> <times> <option>...): configures messages/ and checks how that ends and how
# often its output matches. What the options say is for this time only; what CMake knows of the compiler stays.
set(build ${SCRATCH}/build)
set(reset "")
foreach(variable IN ITEMS ARGUMENTS PRESENT ABSENT LATE_BUILD_TYPE SPIKENET_SOURCE_DIR CMAKE_BUILD_TYPE CMAKE_CXX_FLAGS
                          CMAKE_DISABLE_FIND_PACKAGE_spikenet_hdf5 CMAKE_DISABLE_FIND_PACKAGE_OpenSSL)
  list(APPEND reset "-D${variable}=")
endforeach()
function(configure success expression times)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${SOURCE}/tests/packaging/messages -B ${build} ${common}
            "-DCMAKE_PREFIX_PATH=${SCRATCH}/prefix" ${reset} ${ARGN}
    RESULT_VARIABLE status
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  # CMake breaks the lines of errors and warnings.
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  string(REGEX MATCHALL "${expression}" matches "${output}")
  list(LENGTH matches found)
  if(NOT found EQUAL times OR (status EQUAL 0 AND NOT success) OR (success AND NOT status EQUAL 0))
    message(SEND_ERROR "With ${ARGN}: status ${status}, and ${found} times in place of ${times} \"${expression}\":\n"
                       "${output}")
  endif()
endfunction()

# Installed from a build that has found none of the libraries.
set(nothing "")
foreach(package IN ITEMS ZLIB nlohmann_json OpenSSL PNG spikenet_hdf5 CUDAToolkit)
  list(APPEND nothing "-DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON")
endforeach()
run_or_stop(${CMAKE_COMMAND} -S ${SOURCE} -B ${SCRATCH}/nothing ${common} ${nothing} -DSPIKENET_BUILD_TESTS=OFF
            -DSPIKENET_BUILD_EXAMPLES=OFF -DSPIKENET_BUILD_BENCHMARKS=OFF -DSPIKENET_NATIVE=OFF)
run_or_stop(${CMAKE_COMMAND} --install ${SCRATCH}/nothing --prefix ${SCRATCH}/prefix)

# Components: all that can be had, or those that are asked for.
set(no_hdf5 "spikenet::nir needs HDF5 1.10, which CMake cannot find")
configure(TRUE "-- ${no_hdf5}" 2 "-DARGUMENTS=REQUIRED" "-DPRESENT=spikenet data io checkpoint tensorboard"
          "-DABSENT=nir" ${without_hdf5})
configure(TRUE "needs" 0 "-DARGUMENTS=REQUIRED QUIET" "-DPRESENT=data" "-DABSENT=nir" ${without_hdf5})
configure(TRUE "needs" 0 "-DARGUMENTS=REQUIRED COMPONENTS data" "-DPRESENT=data"
          "-DABSENT=io checkpoint tensorboard nir cuda")
configure(TRUE "needs" 0 "-DARGUMENTS=REQUIRED COMPONENTS checkpoint" "-DPRESENT=io checkpoint" "-DABSENT=data")
configure(TRUE "-- ${no_hdf5}" 2 "-DARGUMENTS=REQUIRED COMPONENTS data OPTIONAL_COMPONENTS nir" "-DPRESENT=data"
          "-DABSENT=nir" ${without_hdf5})
configure(FALSE "${no_hdf5}\\." 1 "-DARGUMENTS=REQUIRED COMPONENTS data nir" ${without_hdf5})
configure(FALSE "spikenet::checkpoint needs OpenSSL, which CMake cannot find\\." 1
          "-DARGUMENTS=REQUIRED COMPONENTS checkpoint" "-DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON")
configure(FALSE "spikenet has no component nri, only data, io, checkpoint, tensorboard, nir, cuda" 1
          "-DARGUMENTS=REQUIRED COMPONENTS nri")
configure(TRUE "-- No spikenet::nir: it needs HDF5 1.10, which CMake cannot find" 1 "-DSPIKENET_SOURCE_DIR=${SOURCE}"
          "-DPRESENT=data" "-DABSENT=nir" ${without_hdf5})

# A build type, or flags that stand in for one.
set(unoptimised "CMAKE_BUILD_TYPE is not set")
foreach(way IN ITEMS "-DARGUMENTS=REQUIRED" "-DSPIKENET_SOURCE_DIR=${SOURCE}")
  configure(TRUE "${unoptimised}" 1 "${way}")
  configure(TRUE "${unoptimised}" 0 "${way}" -DCMAKE_BUILD_TYPE=Debug)
  configure(TRUE "${unoptimised}" 0 "${way}" "-DCMAKE_CXX_FLAGS=-g -O2")
  configure(TRUE "${unoptimised}" 0 "${way}" -DLATE_BUILD_TYPE=Release)
endforeach()
configure(TRUE "${unoptimised}" 0 "-DARGUMENTS=REQUIRED QUIET")
find_program(NINJA ninja)
if(NINJA)
  set(build ${SCRATCH}/multi_config)
  configure(TRUE "${unoptimised}" 0 "-DARGUMENTS=REQUIRED" -G "Ninja Multi-Config")
endif()

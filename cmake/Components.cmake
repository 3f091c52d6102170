# What spikenet's targets need. The project itself and its installed package (spikenet-config.cmake) both include this
# file.
set(spikenet_components data io checkpoint tensorboard nir cuda)

# spikenet_describe(<target>): makes the target spikenet::spikenet, up to the folder of its headers.
function(spikenet_describe target)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_link_libraries(${target} INTERFACE Eigen3::Eigen Threads::Threads)
endfunction()

# spikenet_describe_component(<target> <component>): makes the target spikenet::<component>, which has been found.
function(spikenet_describe_component target component)
  target_link_libraries(${target} INTERFACE spikenet::spikenet ${spikenet_${component}_libraries})
  if(component STREQUAL "cuda")
    # Not as a compile feature: CMake before 3.26 does not know that nvcc has C++20.
    target_compile_options(${target} INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--extended-lambda>")
  endif()
endfunction()

# spikenet_find_component(<component>): looks for the libraries that spikenet::<component> needs. Macros, so that what
# find_package sets is the caller's.
#   spikenet_<component>_libraries  their targets
#   spikenet_<component>_lacks      the name of the first that CMake cannot find; empty if there are all
macro(spikenet_find_component component)
  set(spikenet_${component}_libraries "")
  set(spikenet_${component}_lacks "")
  if("${component}" STREQUAL "data")
    spikenet_need(data "zlib" ZLIB::ZLIB ZLIB)
  elseif("${component}" STREQUAL "io")
    spikenet_need(io "nlohmann-json" nlohmann_json::nlohmann_json nlohmann_json)
  elseif("${component}" STREQUAL "checkpoint")
    spikenet_need(checkpoint "nlohmann-json" spikenet::io nlohmann_json)  # spikenet::io is found before
    spikenet_need(checkpoint "OpenSSL" OpenSSL::Crypto OpenSSL)
  elseif("${component}" STREQUAL "tensorboard")
    spikenet_need(tensorboard "libpng 1.6" PNG::PNG PNG 1.6)
  elseif("${component}" STREQUAL "nir")
    spikenet_need(nir "HDF5 1.10" spikenet::hdf5 spikenet_hdf5 1.10)
  elseif("${component}" STREQUAL "cuda")
    # 12.0 is the first whose compiler knows C++20.
    spikenet_need(cuda "a CUDA toolkit 12.0 or later (nvcc in the PATH, or -D CUDAToolkit_ROOT=<folder>)" CUDA::cudart
                  CUDAToolkit 12.0)
    spikenet_need(cuda "cuBLASLt of the CUDA toolkit" CUDA::cublasLt CUDAToolkit 12.0)
    spikenet_need(cuda "NVRTC of the CUDA toolkit" CUDA::nvrtc CUDAToolkit 12.0)
    spikenet_need(cuda "cuDNN 9.8 or later (-D CUDNN_ROOT=<folder>)" CUDNN::cudnn CUDNN 9.8)
    spikenet_need(cuda "cudnn-frontend" CUDNN::frontend CUDNN 9.8)
    if(spikenet_cuda_lacks MATCHES "^cuDNN" AND CUDNN_INCLUDE_DIR AND CUDNN_LIBRARY AND NOT CUDNN_FRONTEND_INCLUDE_DIR)
      string(CONCAT spikenet_cuda_lacks "the headers of cudnn-frontend (pip install nvidia-cudnn-frontend, or "
                                        "-D CUDNN_FRONTEND_ROOT=<folder>)")
    endif()
  endif()
endmacro()

# spikenet_need(<component> <name for messages> <target> <argument of find_package>...)
macro(spikenet_need component name target package)
  if(NOT spikenet_${component}_lacks)
    find_package(${package} ${ARGN} QUIET)
    if(${package}_FOUND AND TARGET ${target})
      list(APPEND spikenet_${component}_libraries ${target})
    else()
      set(spikenet_${component}_lacks "${name}")
    endif()
  endif()
endmacro()

# spikenet_check_build_type(): has a project that uses spikenet warned, once, if its programs are not optimised. That is
# known at the end of its configuration.
function(spikenet_check_build_type)
  get_property(checked GLOBAL PROPERTY spikenet_build_type_checked)
  if(NOT checked)
    set_property(GLOBAL PROPERTY spikenet_build_type_checked TRUE)
    cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL spikenet_warn_if_unoptimised)
  endif()
endfunction()

function(spikenet_warn_if_unoptimised)
  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  get_directory_property(options COMPILE_OPTIONS)
  if(NOT multi_config AND NOT CMAKE_BUILD_TYPE AND NOT "${CMAKE_CXX_FLAGS};${options}" MATCHES "(^|[ ;])[-/]O")
    message(WARNING "CMAKE_BUILD_TYPE is not set, so the compiler does not optimise: networks of spikenet train about "
                    "ten times as long. For programs that run fast: cmake -D CMAKE_BUILD_TYPE=Release")
  endif()
endfunction()

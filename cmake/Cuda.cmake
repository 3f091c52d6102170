# What spikenet::cuda needs: the CUDA toolkit, cuDNN and cudnn-frontend. Where all are there it is on by default; where one
# is missing, a line says which, and everything else is built as ever.
set(spikenet_cuda_lacks "")
if(NOT DEFINED SPIKENET_CUDA OR SPIKENET_CUDA)
  spikenet_find_component(cuda)
endif()

if(spikenet_cuda_lacks)
  set(spikenet_cuda_default OFF)
else()
  set(spikenet_cuda_default ON)
endif()
option(SPIKENET_CUDA "Offer spikenet::cuda, for NVIDIA GPUs" ${spikenet_cuda_default})

if(SPIKENET_CUDA AND spikenet_cuda_lacks)
  message(FATAL_ERROR "SPIKENET_CUDA is ON, but spikenet::cuda needs ${spikenet_cuda_lacks}, which CMake cannot find.")
elseif(SPIKENET_CUDA)
  # Turing, Ampere, Hopper, and consumer Blackwell where the toolkit knows it.
  set(architectures 75 80 90)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND architectures 120)
  endif()
  set(SPIKENET_CUDA_ARCHITECTURES "${architectures}" CACHE STRING "What the project's own CUDA programs are compiled for")
  list(JOIN SPIKENET_CUDA_ARCHITECTURES ", " architectures)
  message(STATUS "CUDA is on: toolkit ${CUDAToolkit_VERSION}, cuDNN ${CUDNN_VERSION}, cudnn-frontend "
                 "${CUDNN_FRONTEND_VERSION}; architectures ${architectures}")
  if(PROJECT_IS_TOP_LEVEL)  # for the project's own programs; the library itself is headers
    if(NOT DEFINED CMAKE_CUDA_COMPILER)
      set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${SPIKENET_CUDA_ARCHITECTURES})
    enable_language(CUDA)
  endif()
elseif(spikenet_cuda_lacks)
  message(STATUS "CUDA is off: spikenet::cuda needs ${spikenet_cuda_lacks}, which CMake cannot find")
else()
  message(STATUS "CUDA is off: SPIKENET_CUDA is OFF")
endif()

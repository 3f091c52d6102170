# Finds cuDNN 9.8 or later and the headers of cudnn-frontend, its C++ interface.
#
#   find_package(CUDNN [version])      CUDNN::cudnn, CUDNN::frontend; CUDNN_VERSION, CUDNN_FRONTEND_VERSION
#
# Looked for, in this order: CUDNN_ROOT and CUDNN_FRONTEND_ROOT (variables of CMake or of the environment: the folder that
# has include/ and lib/), the CUDA toolkit's folders, the system's, and the Python packages nvidia-cudnn-cu13 (or -cu12)
# and nvidia-cudnn-frontend of the Python that CUDNN_PYTHON names (python3). The result is in the cache variables
# CUDNN_INCLUDE_DIR, CUDNN_LIBRARY and CUDNN_FRONTEND_INCLUDE_DIR.
include(FindPackageHandleStandardArgs)

set(CUDNN_PYTHON python3 CACHE STRING "The Python whose packages may hold cuDNN")
mark_as_advanced(CUDNN_PYTHON)

set(cudnn_hints ${CUDAToolkit_INCLUDE_DIRS} ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_TARGET_DIR} ${CUDAToolkit_LIBRARY_ROOT})
set(cudnn_frontend_hints ${PROJECT_SOURCE_DIR}/build/cudnn-frontend)  # where cmake/install-packages.sh puts it
if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY OR NOT CUDNN_FRONTEND_INCLUDE_DIR)
  # Python's wheels keep headers and libraries below site-packages; a virtual environment has its own.
  execute_process(
    COMMAND ${CUDNN_PYTHON} -c "import site, sys; print(';'.join(p for p in sys.path if p.endswith('-packages')))"
    OUTPUT_VARIABLE cudnn_site_packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE cudnn_python_status)
  if(cudnn_python_status EQUAL 0)
    list(TRANSFORM cudnn_site_packages APPEND /nvidia/cudnn OUTPUT_VARIABLE cudnn_wheels)
    list(APPEND cudnn_hints ${cudnn_wheels})
    list(APPEND cudnn_frontend_hints ${cudnn_site_packages})
  endif()
endif()

find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${cudnn_hints} PATH_SUFFIXES include)
# A wheel has no libcudnn.so, which only the compiler's linker looks for.
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${cudnn_hints}
             PATH_SUFFIXES lib lib64)
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
          HINTS ${CUDNN_FRONTEND_ROOT} ENV CUDNN_FRONTEND_ROOT ${CUDNN_INCLUDE_DIR} ${cudnn_frontend_hints}
          PATH_SUFFIXES include)
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY CUDNN_FRONTEND_INCLUDE_DIR)

# cudnn_read_version(<header> <macro of the major, minor and patch number> <variable>)
function(cudnn_read_version header macro variable)
  set(${variable} "" PARENT_SCOPE)
  if(EXISTS "${header}")
    file(STRINGS "${header}" lines REGEX "^#define +${macro} +[0-9]+")
    list(TRANSFORM lines REPLACE "^.* ([0-9]+).*$" "\\1")
    list(JOIN lines "." version)
    set(${variable} "${version}" PARENT_SCOPE)
  endif()
endfunction()
cudnn_read_version("${CUDNN_INCLUDE_DIR}/cudnn_version.h" "CUDNN_(MAJOR|MINOR|PATCHLEVEL)" CUDNN_VERSION)
cudnn_read_version("${CUDNN_FRONTEND_INCLUDE_DIR}/cudnn_frontend_version.h"
                   "CUDNN_FRONTEND_(MAJOR|MINOR|PATCH)_VERSION" CUDNN_FRONTEND_VERSION)

find_package_handle_standard_args(
  CUDNN
  REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR CUDNN_FRONTEND_INCLUDE_DIR
  VERSION_VAR CUDNN_VERSION)

if(CUDNN_FOUND AND NOT TARGET CUDNN::cudnn)
  add_library(CUDNN::cudnn UNKNOWN IMPORTED)
  set_target_properties(CUDNN::cudnn PROPERTIES IMPORTED_LOCATION "${CUDNN_LIBRARY}"
                                                INTERFACE_INCLUDE_DIRECTORIES "${CUDNN_INCLUDE_DIR}")
  add_library(CUDNN::frontend INTERFACE IMPORTED)
  set_target_properties(CUDNN::frontend PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${CUDNN_FRONTEND_INCLUDE_DIR}"
                                                   INTERFACE_LINK_LIBRARIES CUDNN::cudnn)
endif()

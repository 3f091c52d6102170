# HDF5's C library, as the imported target spikenet::hdf5. CMake's own module wants the language C enabled.
find_path(SPIKENET_HDF5_INCLUDE_DIR hdf5.h PATH_SUFFIXES hdf5/serial)
find_library(SPIKENET_HDF5_LIBRARY NAMES hdf5_serial hdf5 PATH_SUFFIXES hdf5/serial)
mark_as_advanced(SPIKENET_HDF5_INCLUDE_DIR SPIKENET_HDF5_LIBRARY)
if(SPIKENET_HDF5_INCLUDE_DIR)
  file(STRINGS ${SPIKENET_HDF5_INCLUDE_DIR}/H5public.h version REGEX "define H5_VERS_INFO")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" spikenet_hdf5_VERSION "${version}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(spikenet_hdf5 REQUIRED_VARS SPIKENET_HDF5_LIBRARY SPIKENET_HDF5_INCLUDE_DIR
                                  VERSION_VAR spikenet_hdf5_VERSION)
if(spikenet_hdf5_FOUND AND NOT TARGET spikenet::hdf5)
  add_library(spikenet::hdf5 UNKNOWN IMPORTED GLOBAL)
  set_target_properties(spikenet::hdf5 PROPERTIES IMPORTED_LOCATION "${SPIKENET_HDF5_LIBRARY}"
                                                  INTERFACE_INCLUDE_DIRECTORIES "${SPIKENET_HDF5_INCLUDE_DIR}")
endif()

# Installing, and the package that find_package(spikenet) finds. Every header is installed, and find_package decides
# which components there are: the machine that uses the package may have libraries that this one does not have.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(spikenet_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/spikenet)

install(
  DIRECTORY include/spikenet
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING
  PATTERN "*.hpp"
  PATTERN "*.cuh")

configure_package_config_file(cmake/spikenet-config.cmake.in spikenet-config.cmake
                              INSTALL_DESTINATION ${spikenet_package_dir}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
# Before 1.0 a minor version may change the interface. Headers fit any architecture.
write_basic_package_version_file(spikenet-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/spikenet-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/spikenet-config-version.cmake
              cmake/Findspikenet_hdf5.cmake
              cmake/FindCUDNN.cmake
        DESTINATION ${spikenet_package_dir})
install(FILES cmake/Components.cmake DESTINATION ${spikenet_package_dir} RENAME spikenet-components.cmake)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

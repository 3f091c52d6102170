# Installing, and the package that find_package(spikenet [COMPONENTS data io checkpoint tensorboard nir cuda]) finds. Each
# component has an export file of its own, so that a user who does not ask for spikenet::data needs no zlib.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(spikenet_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/spikenet)

foreach(component IN LISTS spikenet_components)
  string(REPLACE "_" "-" export ${component}-targets)
  install(
    TARGETS ${component}
    EXPORT ${export}
    FILE_SET HEADERS)
  install(
    EXPORT ${export}
    NAMESPACE spikenet::
    DESTINATION ${spikenet_package_dir})
endforeach()

configure_package_config_file(cmake/spikenet-config.cmake.in spikenet-config.cmake
                              INSTALL_DESTINATION ${spikenet_package_dir})
# Before 1.0 a minor version may change the interface. Headers fit any architecture.
write_basic_package_version_file(spikenet-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/spikenet-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/spikenet-config-version.cmake
              ${CMAKE_CURRENT_SOURCE_DIR}/cmake/Findspikenet_hdf5.cmake
        DESTINATION ${spikenet_package_dir})
if(TARGET spikenet::cuda)
  install(FILES cmake/FindCUDNN.cmake DESTINATION ${spikenet_package_dir})
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

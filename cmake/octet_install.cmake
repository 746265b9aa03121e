# make install, find_package(octet_runtime), pkg-config octet_runtime, and packages of three parts: runtime (the shared
# library), development (headers and build files), tools (the octet program), mpi (the module for mpirun, where MPI is).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(octet_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/octet_runtime)
install(TARGETS octet_runtime_shared EXPORT octet_runtime
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
install(EXPORT octet_runtime NAMESPACE octet:: FILE octet_runtime-targets.cmake DESTINATION ${octet_cmake_dir}
  COMPONENT development)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/octet_runtime-config.cmake.in
  ${CMAKE_BINARY_DIR}/generated/octet_runtime-config.cmake INSTALL_DESTINATION ${octet_cmake_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/octet_runtime-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/octet_runtime-config.cmake
  ${CMAKE_BINARY_DIR}/generated/octet_runtime-config-version.cmake DESTINATION ${octet_cmake_dir} COMPONENT development)
configure_file(${CMAKE_SOURCE_DIR}/cmake/octet_runtime.pc.in ${CMAKE_BINARY_DIR}/generated/octet_runtime.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/octet_runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/include/octet_runtime.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/include/octet/runtime.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet
  COMPONENT development)
# In the sources octet/result.h forwards to a room; outside there are no rooms.
install(FILES ${CMAKE_SOURCE_DIR}/src/base/result.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet COMPONENT development)
install(TARGETS octet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
if(TARGET octet_mpi)
  install(TARGETS octet_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/octet COMPONENT mpi)
endif()

set(CPACK_PACKAGE_NAME octet)
set(CPACK_PACKAGE_VENDOR octet)
set(CPACK_PACKAGE_CONTACT "the octet developers <octet@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "INT8 quantization and inference of ONNX networks")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime development tools)
if(TARGET octet_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME liboctet-runtime${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME liboctet-runtime-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "liboctet-runtime${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME octet)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_NAME octet-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "octet (= ${PROJECT_VERSION})")
include(CPack)

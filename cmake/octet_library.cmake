# find_package(octet): everything under include/octet as one static library, octet::octet, and octet::train where
# training is built. (octet_runtime is the small shared library of programs that only run plans.)
# Its headers have a folder of their own: they include those of the rooms they are made of.
set(octet_library_rooms base tensor quant ir data onnx checkpoint passes repair kernels plan backends runtime calibrate report api)
set(octet_objects)
foreach(room IN LISTS octet_library_rooms)
  list(APPEND octet_objects $<TARGET_OBJECTS:octet_${room}>)
endforeach()
if(OCTET_CUDA)
  list(APPEND octet_objects $<TARGET_OBJECTS:octet_cuda_kernels>)
endif()
add_library(octet_library STATIC ${octet_objects})
set_target_properties(octet_library PROPERTIES OUTPUT_NAME octet LINKER_LANGUAGE CXX)

set(octet_library_include ${CMAKE_INSTALL_INCLUDEDIR}/octet-library)
install(TARGETS octet_library ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/octet DESTINATION ${octet_library_include} COMPONENT library FILES_MATCHING PATTERN "*.h")
foreach(room base tensor quant ir data report)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/${room} DESTINATION ${octet_library_include} COMPONENT library
    FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
endforeach()
if(OCTET_HAS_TRAIN)
  install(TARGETS octet_train ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
endif()
# The debug information of static libraries is ten times the rest; --strip knows programs only.
install(CODE "if(CMAKE_INSTALL_DO_STRIP)
  file(GLOB archives \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/liboctet*.a\")
  foreach(archive IN LISTS archives)
    execute_process(COMMAND ${CMAKE_STRIP} --strip-debug \${archive})
  endforeach()
endif()" COMPONENT library)
set(octet_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/octet-config.cmake.in ${CMAKE_BINARY_DIR}/generated/octet-config.cmake
  INSTALL_DESTINATION ${octet_config_dir} PATH_VARS CMAKE_INSTALL_LIBDIR octet_library_include)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/octet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/octet-config.cmake ${CMAKE_BINARY_DIR}/generated/octet-config-version.cmake
  DESTINATION ${octet_config_dir} COMPONENT library)

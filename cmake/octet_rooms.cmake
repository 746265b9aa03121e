# One function per kind of thing that is built, so that flags live in one place.

find_package(Threads REQUIRED)

add_library(octet_flags INTERFACE)
target_compile_options(octet_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror
  -ffp-contract=off)  # the arithmetic contract: a fused multiply-add happens only where the source says fma
target_include_directories(octet_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(octet_flags INTERFACE Threads::Threads)

# Programs too that see the installed headers only: a sanitizer's runtime must be the program's first library, or its threads start unseen.
add_library(octet_sanitizer INTERFACE)
if(OCTET_SANITIZE)
  # GCC believes members of a variant uninitialized where a sanitizer's checks stand between.
  target_compile_options(octet_sanitizer INTERFACE -fsanitize=${OCTET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    $<$<CXX_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
  target_link_options(octet_sanitizer INTERFACE -fsanitize=${OCTET_SANITIZE})
endif()
target_link_libraries(octet_flags INTERFACE octet_sanitizer)

# octet_room(quant SOURCES a.cpp b.cpp USES base tensor LINK lib): a folder of src as a static library octet_quant.
function(octet_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINK" ${ARGN})
  if(ARG_SOURCES)
    add_library(octet_${name} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(octet_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(octet_${name} ${scope} octet_flags ${ARG_LINK})
  foreach(use IN LISTS ARG_USES)
    target_link_libraries(octet_${name} ${scope} octet_${use})
  endforeach()
endfunction()

# octet_isa_source(quant rows/avx2.cpp -mavx2 -mfma): adds the source to octet_quant with these flags and nothing else; x86 only.
function(octet_isa_source room source)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_sources(octet_${room} PRIVATE ${source})
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${ARGN}")
  endif()
endfunction()

# octet_kernel_isa(conv_u8s8 avx2 -mavx2 -mfma): adds src/kernels/conv_u8s8/avx2.cpp to octet_kernels.
# Fuzzing leaves them without sanitizers: clang takes minutes for them, and the unit tests run them under gcc's.
function(octet_kernel_isa family isa)
  if(OCTET_FUZZ)
    list(APPEND ARGN -O1 -fno-sanitize=all)
  endif()
  octet_isa_source(kernels ${family}/${isa}.cpp ${ARGN})
endfunction()

# octet_test(onnx reader_test.cpp USES onnx): tests/<name>/*.cpp as one program octet_<name>_test.
# -O1: assertions are most of a test, and -O2 took 6, 24 and 34 % more CPU time for three of the largest sources. The
# rooms' sources keep their own flags; of a header's inline functions and templates the linker may take the test's copies.
# At -O1 gcc knows less of what is set before it is used.
function(octet_test name)
  cmake_parse_arguments(ARG "" "" "USES" ${ARGN})
  if(NOT ARG_UNPARSED_ARGUMENTS)
    return()
  endif()
  add_executable(octet_${name}_test ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(octet_${name}_test PRIVATE GTest::gtest_main GTest::gmock)
  foreach(use IN LISTS ARG_USES)
    target_link_libraries(octet_${name}_test PRIVATE octet_${use})
  endforeach()
  target_compile_options(octet_${name}_test PRIVATE $<$<CONFIG:RelWithDebInfo,Release>:-O1>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
  target_include_directories(octet_${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  add_test(NAME ${name} COMMAND octet_${name}_test)
endfunction()

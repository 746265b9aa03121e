# Training: libtorch, and nothing else in octet, is behind this option. AUTO builds it where libtorch is found.
# tools/setup.sh train installs Debian's; CMAKE_PREFIX_PATH points to another.
set(OCTET_TRAIN AUTO CACHE STRING "Build training on libtorch: AUTO, ON or OFF")
set_property(CACHE OCTET_TRAIN PROPERTY STRINGS AUTO ON OFF)
set(OCTET_HAS_TRAIN OFF)
if(NOT OCTET_TRAIN STREQUAL "OFF")
  find_package(Torch QUIET)
  if(Torch_FOUND)
    set(OCTET_HAS_TRAIN ON)
    message(STATUS "octet: training is built on libtorch ${Torch_VERSION}")
    # libtorch's headers are not ours to warn about.
    add_library(octet_torch INTERFACE)
    get_target_property(torch_includes torch INTERFACE_INCLUDE_DIRECTORIES)
    target_include_directories(octet_torch SYSTEM INTERFACE ${torch_includes})
    target_link_libraries(octet_torch INTERFACE ${TORCH_LIBRARIES})
    # Loops on libtorch's own threads (src/train/parallel.cpp), which are OpenMP's.
    find_package(OpenMP QUIET COMPONENTS CXX)
    if(NOT OpenMP_CXX_FOUND)
      message(STATUS "octet: this compiler has no OpenMP, so the quantizers of training run on one thread")
    endif()
    # What this libtorch was built with: each is a source of src/train, or its stub.
    find_path(octet_gloo_headers gloo/context.h PATHS ${torch_includes} NO_DEFAULT_PATH)
    set(OCTET_TORCH_SOURCES no_gloo.cpp no_nccl.cpp no_fused.cpp no_step_graph.cpp)
    if(octet_gloo_headers)
      list(TRANSFORM OCTET_TORCH_SOURCES REPLACE no_gloo.cpp gloo.cpp)
    endif()
    if(TORCH_CUDA_LIBRARIES)
      find_path(octet_nccl_headers nccl.h PATHS ${torch_includes})
      list(TRANSFORM OCTET_TORCH_SOURCES REPLACE no_fused.cpp fused_cuda.cpp)
      list(TRANSFORM OCTET_TORCH_SOURCES REPLACE no_step_graph.cpp step_graph_cuda.cpp)
      if(octet_nccl_headers)
        list(TRANSFORM OCTET_TORCH_SOURCES REPLACE no_nccl.cpp nccl.cpp)
      endif()
    endif()
  elseif(OCTET_TRAIN STREQUAL "ON")
    message(FATAL_ERROR "OCTET_TRAIN is ON, and CMake finds no libtorch: tools/setup.sh train installs Debian's, "
      "or set CMAKE_PREFIX_PATH to a libtorch")
  endif()
endif()

# A program that shares octet_train's precompiled header: libtorch's headers cost half a minute of each source.
function(octet_uses_torch_header target)
  # gcc takes a header compiled with -fPIC for sources compiled with -fPIC only, and CMake gives programs -fPIE.
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM octet_train)
endfunction()

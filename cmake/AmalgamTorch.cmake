# amalgam::torch: Debian's libtorch. Its own CMake package is not used: it looks for CUDA, MKL and
# everything else PyTorch might have been built with, and fails where they are not installed.
find_path(AMALGAM_TORCH_INCLUDE torch/csrc/api/include/torch/torch.h)
find_library(AMALGAM_TORCH_LIBRARY torch)
find_library(AMALGAM_TORCH_CPU_LIBRARY torch_cpu)
find_library(AMALGAM_C10_LIBRARY c10)
find_path(AMALGAM_OPENBLAS_INCLUDE cblas-openblas.h)
find_library(AMALGAM_OPENBLAS_LIBRARY openblas)
foreach(found AMALGAM_TORCH_INCLUDE AMALGAM_TORCH_LIBRARY AMALGAM_TORCH_CPU_LIBRARY
              AMALGAM_C10_LIBRARY AMALGAM_OPENBLAS_INCLUDE AMALGAM_OPENBLAS_LIBRARY)
  if(NOT ${found})
    message(FATAL_ERROR "libtorch or OpenBLAS was not found (${found}); install libtorch-dev and"
                        " libopenblas-dev, or use -DAMALGAM_TORCH=OFF")
  endif()
endforeach()

add_library(amalgam_torch INTERFACE)
add_library(amalgam::torch ALIAS amalgam_torch)
target_include_directories(amalgam_torch SYSTEM INTERFACE
                           ${AMALGAM_TORCH_INCLUDE}/torch/csrc/api/include
                           ${AMALGAM_OPENBLAS_INCLUDE})
target_link_libraries(amalgam_torch INTERFACE ${AMALGAM_TORCH_LIBRARY} ${AMALGAM_TORCH_CPU_LIBRARY}
                                              ${AMALGAM_C10_LIBRARY} ${AMALGAM_OPENBLAS_LIBRARY})
# libtorch's headers take twenty seconds to read, so they are precompiled once. Without the time
# stamp in it, ccache can tell that a new one is the same.
target_compile_options(amalgam_torch INTERFACE
                       $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)

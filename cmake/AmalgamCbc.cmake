# amalgam::cbc: COIN-OR's solver of integer programmes and the linear ones within, which has no
# CMake package.
find_path(AMALGAM_COIN_INCLUDE CbcModel.hpp PATH_SUFFIXES coin REQUIRED)
set(libraries "")
foreach(name Cbc OsiClp Clp Cgl Osi CoinUtils)
  find_library(AMALGAM_${name}_LIBRARY ${name} REQUIRED)
  list(APPEND libraries ${AMALGAM_${name}_LIBRARY})
endforeach()
add_library(amalgam_cbc INTERFACE)
add_library(amalgam::cbc ALIAS amalgam_cbc)
target_include_directories(amalgam_cbc SYSTEM INTERFACE $<BUILD_INTERFACE:${AMALGAM_COIN_INCLUDE}>)
target_link_libraries(amalgam_cbc INTERFACE ${libraries})

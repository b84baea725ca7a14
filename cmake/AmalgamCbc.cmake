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

# libamalgam_integer.so: integer programmes of rankings. It is loaded when it is first needed: Cbc's
# libraries need a BLAS, which would slow every start of a program that links it.
file(GLOB integer_sources CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/amalgam/scores/kemeny/integer/*.cpp)
add_library(amalgam_integer SHARED ${integer_sources})
target_include_directories(amalgam_integer PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(amalgam_integer PRIVATE amalgam::cbc amalgam_warnings)
# Only the entry point is visible.
set_target_properties(amalgam_integer PROPERTIES CXX_VISIBILITY_PRESET hidden
                      VISIBILITY_INLINES_HIDDEN ON BUILD_RPATH "" INSTALL_RPATH "")

# Helpers that keep every folder one target, with the same flags everywhere.

find_program(AMALGAM_CCACHE ccache)
if(AMALGAM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${AMALGAM_CCACHE})
endif()

# Results must be the same bits on every CPU: no fused multiply-add behind our back.
add_compile_options(-ffp-contract=off)
# SIMD code is compiled for x86-64's baseline, SSE4, AVX2 and AVX-512; SSSE3 alone is not worth its
# compile time.
add_compile_definitions(HWY_DISABLED_TARGETS=HWY_SSSE3)
if(AMALGAM_SANITIZE)
  add_compile_options(-fsanitize=${AMALGAM_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AMALGAM_SANITIZE})
  if(AMALGAM_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
endif()

add_library(amalgam_warnings INTERFACE)
target_compile_options(amalgam_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)

# amalgam_library(<folder> [SUBFOLDERS ...] [LINK ...] [PRIVATE_LINK ...]): the static library
# amalgam::<folder> from all sources in amalgam/<folder> and the named sub-folders.
function(amalgam_library folder)
  cmake_parse_arguments(ARG "" "" "SUBFOLDERS;LINK;PRIVATE_LINK" ${ARGN})
  set(patterns ${PROJECT_SOURCE_DIR}/amalgam/${folder}/*.cpp)
  foreach(sub ${ARG_SUBFOLDERS})
    list(APPEND patterns ${PROJECT_SOURCE_DIR}/amalgam/${folder}/${sub}/*.cpp)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" target amalgam_${folder})
  add_library(${target} STATIC ${sources})
  string(REPLACE "amalgam_" "" alias ${target})
  add_library(amalgam::${alias} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${alias})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                              $<INSTALL_INTERFACE:include>)
  target_link_libraries(${target} PUBLIC ${ARG_LINK}
                        PRIVATE ${ARG_PRIVATE_LINK} $<BUILD_INTERFACE:amalgam_warnings>)
  set_property(GLOBAL APPEND PROPERTY AMALGAM_LIBRARIES ${target})
endfunction()

# amalgam_test(<folder> [PROGRAM] [PRECOMPILE ...] [LINK ...]): the test program <folder>_test from
# tests/<folder>/*_test.cpp. PROGRAM: the tests run the command line, at AMALGAM_BINARY. PRECOMPILE:
# headers of its own, beside those that all tests read.
function(amalgam_test folder)
  cmake_parse_arguments(ARG "PROGRAM" "" "PRECOMPILE;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${folder}_test ${sources})
  target_include_directories(${folder}_test PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${folder}_test PRIVATE ${ARG_LINK} GTest::gmock_main rapidcheck
                                               rapidcheck_gtest amalgam_warnings)
  # Most of the time of compiling a test is reading these: once for all programs.
  if(ARG_PRECOMPILE OR folder STREQUAL "core")
    target_precompile_headers(${folder}_test PRIVATE <gmock/gmock.h> <gtest/gtest.h> <rapidcheck.h>
                                                     <rapidcheck/gtest.h> ${ARG_PRECOMPILE})
  else()
    target_precompile_headers(${folder}_test REUSE_FROM core_test)
  endif()
  target_compile_options(${folder}_test PRIVATE
                         $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
  # Only sources that read fixtures see the path: the others' objects can be cached for any clone.
  foreach(source ${sources})
    file(STRINGS ${source} uses_data REGEX "AMALGAM_TEST_DATA" LIMIT_COUNT 1)
    if(uses_data)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS
                   AMALGAM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
    endif()
  endforeach()
  if(AMALGAM_FUZZ)
    target_compile_options(${folder}_test PRIVATE -fno-sanitize=fuzzer-no-link)
  endif()
  # The sanitizers watch the library; instrumenting the tests too would double the build's time.
  if(AMALGAM_SANITIZE MATCHES "undefined")
    target_compile_options(${folder}_test PRIVATE -O0 -gline-tables-only -fno-sanitize=undefined)
  elseif(NOT AMALGAM_SANITIZE)
    target_compile_options(${folder}_test PRIVATE -O1)
  endif()
  if(ARG_PROGRAM)
    target_compile_definitions(${folder}_test PRIVATE AMALGAM_BINARY="$<TARGET_FILE:amalgam_cli>")
    add_dependencies(${folder}_test amalgam_cli)
  endif()
  gtest_discover_tests(${folder}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()

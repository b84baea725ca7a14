# Installs the build in BUILD into WORK and uses it as a stranger would: the command runs, the files
# are where shells and man look for them, and a small project builds with find_package(amalgam).
#   cmake -DBUILD=... -DSOURCE=... -DWORK=... -DCXX=... -DCC=... -P install_test.cmake
file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "'${ARGN}' failed (${code}):\n${out}\n${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
foreach(file bin/amalgam include/amalgam/weights/rule.hpp share/man/man1/amalgam.1
        share/bash-completion/completions/amalgam share/zsh/site-functions/_amalgam
        share/doc/amalgam/LICENSE lib/cmake/amalgam/amalgamConfig.cmake)
  if(NOT EXISTS ${prefix}/${file})
    message(FATAL_ERROR "${file} was not installed")
  endif()
endforeach()
if(EXISTS ${BUILD}/lib/libamalgam_integer.so AND NOT EXISTS ${prefix}/lib/libamalgam_integer.so)
  message(FATAL_ERROR "the library for integer programmes was not installed")
endif()
file(GLOB_RECURSE private ${prefix}/include/amalgam/experiments/*.hpp
     ${prefix}/include/amalgam/learning/*.hpp)
if(private)
  message(FATAL_ERROR "installed headers that are not part of the library: ${private}")
endif()

run(${prefix}/bin/amalgam --version)
if(NOT out STREQUAL "amalgam 0.1.0\n")
  message(FATAL_ERROR "the installed command says '${out}'")
endif()

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install/consumer -B ${WORK}/consumer
    -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${CC} -DCMAKE_CXX_COMPILER=${CXX})
run(${CMAKE_COMMAND} --build ${WORK}/consumer)
run(${WORK}/consumer/consumer)
if(NOT out STREQUAL "linear 2.5\n")
  message(FATAL_ERROR "the consumer printed '${out}'")
endif()
file(REMOVE_RECURSE ${WORK})

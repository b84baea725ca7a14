# `cmake --install`: the command with its man page and completions, and the library as a CMake
# package: find_package(amalgam) gives amalgam::core ... amalgam::weights.
set(CMAKE_INSTALL_LIBDIR lib CACHE PATH "The command looks for its own libraries in ../lib")
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(amalgam_libraries GLOBAL PROPERTY AMALGAM_LIBRARIES)
foreach(library ${amalgam_libraries})
  target_compile_features(${library} INTERFACE cxx_std_20)
endforeach()
install(TARGETS ${amalgam_libraries} EXPORT amalgamTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS amalgam_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(companion amalgam_integer amalgam_mpi amalgam_learning)
  if(TARGET ${companion})
    install(TARGETS ${companion} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()

# What needs libtorch is part of the learning library only, which is loaded, not linked.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/amalgam DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp"
        PATTERN "experiments" EXCLUDE PATTERN "learning" EXCLUDE PATTERN "learned" EXCLUDE)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/amalgam)
install(EXPORT amalgamTargets NAMESPACE amalgam:: DESTINATION ${package_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/amalgamConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/amalgamConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/amalgamConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/amalgamConfig.cmake
              ${PROJECT_BINARY_DIR}/amalgamConfigVersion.cmake
        DESTINATION ${package_folder})

install(FILES ${PROJECT_SOURCE_DIR}/docs/man/amalgam.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/completion/amalgam.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME amalgam)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/completion/_amalgam
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})

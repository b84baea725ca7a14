# libamalgam_mpi.so: what joins the processes that mpirun started. It is loaded by those alone, so
# that no other start pays for MPI. Built where MPI is found.
find_package(MPI QUIET COMPONENTS CXX)
if(MPI_CXX_FOUND)
  add_library(amalgam_mpi SHARED ${PROJECT_SOURCE_DIR}/amalgam/core/mpi/mpi_library.cpp)
  target_include_directories(amalgam_mpi PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(amalgam_mpi PRIVATE MPI::MPI_CXX amalgam_warnings)
  set_target_properties(amalgam_mpi PROPERTIES CXX_VISIBILITY_PRESET hidden
                        VISIBILITY_INLINES_HIDDEN ON BUILD_RPATH "" INSTALL_RPATH "")
else()
  message(STATUS "MPI was not found: amalgam runs on one machine")
endif()

#include "amalgam/core/mpi/mpi_library.hpp"

#include <mpi.h>

#include <cstdlib>

namespace {

int broadcast(double* numbers, int count, int root) {
  return MPI_Bcast(numbers, count, MPI_DOUBLE, root, MPI_COMM_WORLD) == MPI_SUCCESS ? 0 : 1;
}

void abort_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

void leave() {
  int finished = 0;
  MPI_Finalized(&finished);
  if (finished == 0) MPI_Finalize();
}

}  // namespace

int amalgam_mpi_start(AmalgamMpi* mpi) {
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) return 1;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &mpi->size);
  mpi->broadcast = broadcast;
  mpi->abort = abort_all;
  return std::atexit(leave) == 0 ? 0 : 1;
}

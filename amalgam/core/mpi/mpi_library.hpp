#pragma once

/// The entry point of libamalgam_mpi.so, which is all that links MPI: it is loaded where a launcher
/// started several processes, see core/cluster.hpp. Plain data, so that nothing but this is shared.
extern "C" {

struct AmalgamMpi {
  int rank;
  int size;
  /// Everyone gets the `count` numbers that `root` has. 0, or 1 if that failed.
  int (*broadcast)(double* numbers, int count, int root);
  /// Ends all processes.
  void (*abort)(int code);
};

/// Joins the job and fills `mpi`; leaves it when the process ends. 0, or 1 if that failed.
__attribute__((visibility("default"))) int amalgam_mpi_start(AmalgamMpi* mpi);
}

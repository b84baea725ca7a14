#include "amalgam/core/cluster.hpp"

#include <dlfcn.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <string_view>
#include <vector>

#include "amalgam/core/companion_library.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/mpi/mpi_library.hpp"

namespace amalgam {
namespace {

constexpr const char* kLibrary = "libamalgam_mpi.so";

// What launchers tell their processes: Open MPI, and those that speak PMI (MPICH, Slurm).
constexpr const char* kSizeVariables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

class MpiCluster final : public Cluster {
 public:
  explicit MpiCluster(const AmalgamMpi& mpi) : mpi_(mpi) {}

  std::size_t rank() const override { return static_cast<std::size_t>(mpi_.rank); }
  std::size_t size() const override { return static_cast<std::size_t>(mpi_.size); }

  void gather(std::span<double> all, std::span<const std::size_t> parts) override {
    // MPI counts in int. What is longer goes in pieces of every part.
    constexpr std::size_t kPiece = std::size_t{1} << 24U;
    std::vector<std::size_t> begins(parts.size());
    std::size_t longest = 0;
    std::size_t end = 0;
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
      begins[rank] = end;
      end += parts[rank];
      longest = std::max(longest, parts[rank]);
    }
    if (end != all.size()) throw Error("gather: parts of {} numbers, expected {}", end, all.size());
    for (std::size_t done = 0; done < longest; done += kPiece) {
      for (std::size_t rank = 0; rank < parts.size(); ++rank) {
        if (parts[rank] <= done) continue;
        const std::size_t count = std::min(kPiece, parts[rank] - done);
        if (mpi_.broadcast(all.data() + begins[rank] + done, static_cast<int>(count),
                           static_cast<int>(rank)) != 0) {
          throw Error("MPI: process {} cannot be reached", rank);
        }
      }
    }
  }

  [[noreturn]] void abort(int code) override {
    mpi_.abort(code);
    std::abort();
  }

 private:
  AmalgamMpi mpi_;
};

std::unique_ptr<Cluster> join() {
  const std::size_t processes = launched_processes();
  if (processes <= 1) return nullptr;
  std::string reason;
  void* library = open_companion_library(kLibrary, reason);
  auto* start =
      library == nullptr
          ? nullptr
          : reinterpret_cast<decltype(&amalgam_mpi_start)>(dlsym(library, "amalgam_mpi_start"));
  if (start == nullptr) {
    throw InputError(
        "mpirun started {} processes, but this build of amalgam has no MPI ({}); start one, or "
        "build where MPI is installed (Debian: libopenmpi-dev) and keep {} in ../lib beside the "
        "program",
        processes, reason, kLibrary);
  }
  AmalgamMpi mpi{};
  if (start(&mpi) != 0) throw Error("MPI does not start");
  if (mpi.size <= 1) return nullptr;
  return std::make_unique<MpiCluster>(mpi);
}

}  // namespace

std::size_t launched_processes() {
  for (const char* variable : kSizeVariables) {
    const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nobody sets it
    if (text == nullptr) continue;
    std::size_t count = 0;
    const std::string_view view(text);
    std::from_chars(view.data(), view.data() + view.size(), count);
    if (count > 0) return count;
  }
  return 1;
}

Cluster* joined_cluster() {
  static const std::unique_ptr<Cluster> kCluster = join();
  return kCluster.get();
}

double sum_over(Cluster* cluster, double value) {
  if (cluster == nullptr) return value;
  std::vector<double> all(cluster->size());
  all[cluster->rank()] = value;
  cluster->gather(all, std::vector<std::size_t>(all.size(), 1));
  return std::accumulate(all.begin(), all.end(), 0.0);
}

void wait_for_all(Cluster* cluster) { (void)sum_over(cluster, 0); }

RankShare share_of(std::size_t rank, std::size_t ranks, std::size_t count) {
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

}  // namespace amalgam

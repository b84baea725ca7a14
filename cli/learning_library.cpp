#include "cli/learning_library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "amalgam/core/companion_library.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::cli {
namespace {

struct LearningCommand {
  std::string_view name;
  const char* summary;
  bool listed = true;
};
constexpr std::array kCommands{
    LearningCommand{"train", "Train a network by a recipe."},
    LearningCommand{"evaluate", "Judge networks, or their ensemble, on labelled data."},
    LearningCommand{"fisher", "Write a network's Fisher diagonal, for merging by it."},
    LearningCommand{"gram", "Write the Gram matrices of a network's layers, for merging by them."},
    LearningCommand{"calibrate",
                    "Re-estimate a network's BatchNorm statistics, as merged weights need."},
    LearningCommand{"reproduce", "Run a paper's experiment and judge its claims."},
    LearningCommand{"report", "Draw the report of evaluated networks.", false},
};

// The verbs of `amalgam study` that run networks.
constexpr std::array kStudies{
    LearningCommand{"interpolation",
                    "Follow a network on the way from its pretrained to its tuned weights."},
    LearningCommand{"merging", "Train experts and find out what helps merging them."},
    LearningCommand{"soup", "What averaging gives every pair of fine-tuned networks, and why."},
};

constexpr const char* kLibrary = "libamalgam_learning.so";
constexpr const char* kEntry = "amalgam_learning_main";

// OpenBLAS takes its oldest kernels on a processor that is newer than itself (0.3.21 on Sapphire
// Rapids, for one); by its instructions it may have better ones. OPENBLAS_CORETYPE set by the user
// stays.
//
// libtorch takes its kernels for AVX2 wherever that is, too, unless the list of processors that it
// makes to find out finds no memory: then others, which round otherwise. ATEN_CPU_CAPABILITY set by
// the user stays.
void choose_kernels() {
#ifdef __x86_64__
  const char* kernels = nullptr;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels = "HASWELL";
    setenv("ATEN_CPU_CAPABILITY", "avx2", 0);  // NOLINT(concurrency-mt-unsafe): as below
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    kernels = "SKYLAKEX";
  }
  // No other thread runs yet.
  if (kernels != nullptr) setenv("OPENBLAS_CORETYPE", kernels, 0);  // NOLINT(concurrency-mt-unsafe)
#endif
}

}  // namespace

void register_learning(CLI::App& root) {
  for (const LearningCommand& command : kCommands) {
    CLI::App* added = root.add_subcommand(std::string(command.name), command.summary);
    if (!command.listed) added->group("");
  }
}

void register_learning_studies(CLI::App& study) {
  for (const LearningCommand& verb : kStudies) {
    study.add_subcommand(std::string(verb.name), verb.summary);
  }
}

bool is_learning_command(int argc, const char* const* argv) {
  const auto names = [](const auto& commands, std::string_view word) {
    return std::ranges::find(commands, word, &LearningCommand::name) != commands.end();
  };
  if (argc >= 3 && std::string_view(argv[1]) == "study") return names(kStudies, argv[2]);
  return argc >= 2 && names(kCommands, argv[1]);
}

int run_learning_library(int argc, const char* const* argv) {
  std::string reasons;
  choose_kernels();
  if (void* const library = open_companion_library(kLibrary, reasons); library != nullptr) {
    using Main = int(int, const char* const*);
    auto* entry = reinterpret_cast<Main*>(dlsym(library, kEntry));
    if (entry == nullptr) throw Error("{}: it has no '{}'", kLibrary, kEntry);
    return entry(argc, argv);
  }
  throw InputError(
      "this build of amalgam has no learning library, which '{}' needs ({}); build it with"
      " -DAMALGAM_TORCH=ON (Debian: libtorch-dev) and keep {} in ../lib beside the program",
      argv[1], reasons, kLibrary);
}

}  // namespace amalgam::cli

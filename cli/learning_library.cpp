#include "cli/learning_library.hpp"

#include <dlfcn.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/data_methods.hpp"

namespace amalgam::cli {
namespace {

namespace fs = std::filesystem;

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
    LearningCommand{"reproduce", "Run a paper's experiment and judge its claims."},
    LearningCommand{"report", "Draw the report of evaluated networks.", false},
};

constexpr const char* kLibrary = "libamalgam_learning.so";
constexpr const char* kEntry = "amalgam_learning_main";

std::vector<std::string> library_places() {
  std::vector<std::string> places;
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  if (!unknown) {
    places.push_back((program.parent_path().parent_path() / "lib" / kLibrary).string());
    places.push_back((program.parent_path() / kLibrary).string());
  }
  places.emplace_back(kLibrary);
  return places;
}

}  // namespace

void register_learning(CLI::App& root) {
  for (const LearningCommand& command : kCommands) {
    CLI::App* added = root.add_subcommand(std::string(command.name), command.summary);
    if (!command.listed) added->group("");
  }
}

bool wants_learning_library(int argc, const char* const* argv) {
  if (argc < 2) return false;
  const std::string_view noun = argv[1];
  for (const LearningCommand& command : kCommands) {
    if (noun == command.name) return true;
  }
  if (noun != "merge") return false;
  const auto is_method = [](std::string_view name) { return find_data_method(name) != nullptr; };
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--method" || word == "-m") return i + 1 < argc && is_method(argv[i + 1]);
    for (const std::string_view start : {"--method=", "-m"}) {
      if (word.starts_with(start)) return is_method(word.substr(start.size()));
    }
  }
  return false;
}

int run_learning_library(int argc, const char* const* argv) {
  std::string reasons;
  for (const std::string& place : library_places()) {
    std::error_code ignored;
    if (place.find('/') != std::string::npos && !fs::exists(place, ignored)) continue;
    void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      reasons = dlerror();  // NOLINT(concurrency-mt-unsafe): no other thread runs yet
      continue;
    }
    using Main = int(int, const char* const*);
    auto* entry = reinterpret_cast<Main*>(dlsym(library, kEntry));
    if (entry == nullptr) throw Error("{}: it has no '{}'", place, kEntry);
    return entry(argc, argv);
  }
  throw InputError(
      "this build of amalgam has no learning library, which '{}' needs ({}); build it with"
      " -DAMALGAM_TORCH=ON (Debian: libtorch-dev) and keep {} in ../lib beside the program",
      argv[1], reasons, kLibrary);
}

}  // namespace amalgam::cli

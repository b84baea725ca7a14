#include "amalgam/core/companion_library.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> places(const std::string& name) {
  std::vector<std::string> found;
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  if (!unknown) {
    found.push_back((program.parent_path().parent_path() / "lib" / name).string());
    found.push_back((program.parent_path() / name).string());
  }
  found.push_back(name);
  return found;
}

// The loader says it in words alone.
bool lacks_a_file(const std::string& reason) {
  return reason.find("No such file or directory") != std::string::npos;
}

}  // namespace

void* open_companion_library(const std::string& name, std::string& reason) {
  for (const std::string& place : places(name)) {
    std::error_code ignored;
    if (place.find('/') != std::string::npos && !fs::exists(place, ignored)) continue;
    void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
    reason = dlerror();  // NOLINT(concurrency-mt-unsafe): its text is per thread in glibc
    if (!lacks_a_file(reason)) throw Error("{} cannot be loaded: {}", name, reason);
    if (place.find('/') != std::string::npos) break;  // it is there, but not what it needs
  }
  return nullptr;
}

}  // namespace amalgam

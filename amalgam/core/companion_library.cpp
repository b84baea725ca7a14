#include "amalgam/core/companion_library.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <vector>

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

}  // namespace

void* open_companion_library(const std::string& name, std::string& reason) {
  for (const std::string& place : places(name)) {
    std::error_code ignored;
    if (place.find('/') != std::string::npos && !fs::exists(place, ignored)) continue;
    void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
    reason = dlerror();  // NOLINT(concurrency-mt-unsafe): its text is per thread in glibc
  }
  return nullptr;
}

}  // namespace amalgam

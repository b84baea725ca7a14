#include "cli/last_resort.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include "cli/run.hpp"

namespace amalgam::cli {
namespace {

constexpr std::string_view kOutOfMemory =
    "amalgam: error: out of memory; a smaller --memory or fewer --threads may help\n";

std::terminate_handler usual_end = nullptr;
std::atomic<bool> said{false};

bool is_out_of_memory() {
  const std::exception_ptr current = std::current_exception();
  // Compilers may let an exception meet the end of a function that must not throw without catching
  // it, so that what it is stays unknown. Such functions of the C++ library throw nothing else.
  if (current == nullptr) return std::uncaught_exceptions() > 0;
  try {
    std::rethrow_exception(current);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

[[noreturn]] void end_process() {
  if (is_out_of_memory()) {
    // Several threads may come here: the first one speaks, and ends them all.
    if (said.exchange(true)) {
      while (true) ::pause();
    }
    say_out_of_memory();
    std::_Exit(kFailed);
  }
  if (usual_end != nullptr) usual_end();
  std::abort();
}

}  // namespace

void say_out_of_memory() noexcept {
  std::string_view rest = kOutOfMemory;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void end_without_memory_in_one_sentence() { usual_end = std::set_terminate(end_process); }

}  // namespace amalgam::cli

#include "amalgam/core/log_once.hpp"

#include <mutex>
#include <set>

#include "amalgam/core/log.hpp"

namespace amalgam::log {

void write_warning_once(const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> written;
  {
    const std::lock_guard lock(mutex);
    if (!written.insert(message).second) return;
  }
  write(Level::warning, message);
}

}  // namespace amalgam::log

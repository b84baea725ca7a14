#pragma once

#include <atomic>
#include <cstdint>

#include "amalgam/checkpoint/file.hpp"

namespace amalgam {

/// Starts writing a file's dirty pages back to the device each time another 32 MiB have come to it,
/// so that the fsync at the end finds little left to do. Thread-safe.
class EarlyWriteBack {
 public:
  /// To be called after every write of `bytes` bytes to `file`.
  void wrote(const File& file, std::uint64_t bytes) {
    const std::uint64_t before = written_.fetch_add(bytes, std::memory_order_relaxed);
    if ((before + bytes) / kStep != before / kStep) {
      file.start_write_back(0, 0);  // all of the file that is not under way yet
    }
  }

 private:
  static constexpr std::uint64_t kStep = std::uint64_t{32} << 20;
  std::atomic<std::uint64_t> written_{0};
};

}  // namespace amalgam

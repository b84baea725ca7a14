#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/cli/start_binary.hpp"

namespace amalgam {

/// The unfinished work of an output.
inline std::filesystem::path partial_of(const std::filesystem::path& output) {
  return output.parent_path() / ("." + output.filename().string() + ".partial");
}

/// Records in the journal of a running merge into `output`; none if it has not begun, or has ended.
inline std::size_t journal_records(const std::filesystem::path& output) {
  std::ifstream file(partial_of(output) / "journal.0", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() < 16) return 0;
  std::uint32_t identity = 0;
  std::memcpy(&identity, bytes.data() + 12, sizeof(identity));
  const std::size_t beginning = 16 + identity + 8;
  return bytes.size() < beginning ? 0 : (bytes.size() - beginning) / 32;
}

/// Leaves the work of a merge into `output` (the command `words`) that was killed when it had made
/// that many leaves.
inline void kill_after(std::size_t leaves, const std::vector<std::string>& words,
                       const std::filesystem::path& output) {
  const std::filesystem::path journal = partial_of(output) / "journal.0";
  for (int attempt = 0; attempt < 20 && !std::filesystem::exists(journal); ++attempt) {
    std::filesystem::remove(output);
    const pid_t child = start_amalgam(words);
    ASSERT_GT(child, 0);
    int status = 0;
    while (waitpid(child, &status, WNOHANG) != child) {
      if (journal_records(output) >= leaves) kill(child, SIGKILL);
      std::this_thread::yield();
    }
  }
  ASSERT_TRUE(std::filesystem::exists(journal)) << "no merge was killed before its end";
}

}  // namespace amalgam

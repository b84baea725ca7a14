#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {

/// What a run of the real `amalgam` program printed, and its exit code (128 + signal if killed).
struct RunResult {
  std::string out;
  std::string err;
  int code = -1;

  nlohmann::ordered_json json() const { return nlohmann::ordered_json::parse(out); }
};

/// Runs the built program with `arguments`; stdout goes to `out_path` instead if that is given.
inline RunResult run_amalgam(const std::vector<std::string>& arguments,
                             const std::filesystem::path& out_path = {}) {
  const TemporaryFolder folder;
  const std::string out = (out_path.empty() ? folder / "out" : out_path).string();
  const std::string err = (folder / "err").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<std::string> words = {AMALGAM_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, AMALGAM_BINARY, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot run " AMALGAM_BINARY);
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");
  RunResult result;
  if (out_path.empty()) result.out = contents_of(out);
  result.err = contents_of(err);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// Expects exit code 2, nothing on stdout, and on stderr one line that contains all `parts`.
template <class... Parts>
void expect_bad_usage(const RunResult& result, const Parts&... parts) {
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("amalgam: error: ")) << result.err;
  for (const std::string_view part : std::initializer_list<std::string_view>{parts...}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err << "lacks: " << part;
  }
}

/// Writes tensors as a safetensors file and returns its path.
inline std::string write_safetensors(const std::filesystem::path& path,
                                     const std::vector<MemoryTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const MemoryTensor& tensor : tensors) infos.push_back(tensor.info);
  const auto sink = create_safetensors_file(path, infos);
  for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, tensors[i].bytes);
  sink->finish();
  return path.string();
}

/// The keys of a JSON object, in order.
inline std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

}  // namespace amalgam

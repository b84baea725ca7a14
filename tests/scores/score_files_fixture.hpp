#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/files/score_files.hpp"

namespace amalgam::scores {

/// A folder of files of measurements, for one test.
namespace fs = std::filesystem;

class ScoreFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("scores_") + info->test_suite_name() + "_" + info->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  ScoreTable read(const std::string& name, const std::string& text,
                  const ScoreFormat& format = {}) {
    notes_ = {};
    return read_scores({write(name, text)}, format, &notes_);
  }
  ScoreTable read_folder(const ScoreFormat& format = {}) {
    notes_ = {};
    return read_scores({folder_}, format, &notes_);
  }
  std::string error(const std::string& name, const std::string& text,
                    const ScoreFormat& format = {}) {
    try {
      read(name, text, format);
    } catch (const InputError& found) {
      return found.what();
    }
    return "no error";
  }
  std::string warnings() const {
    std::string all;
    for (const std::string& warning : notes_.warnings) all += warning + "\n";
    return all;
  }

  std::filesystem::path folder_;
  ScoreNotes notes_;
};

/// Values as "task instance system value", sorted as the table is; the instance is left out where
/// it is the whole task.
inline std::vector<std::string> rows_of(const ScoreTable& table) {
  std::vector<std::string> rows;
  for (std::size_t b = 0; b < table.ballot_count(); ++b) {
    const ScoreTable::Ballot ballot = table.ballot(b);
    const std::string instance(table.instances[table.ballot_instances[b]]);
    for (std::size_t i = 0; i < ballot.systems.size(); ++i) {
      rows.push_back(std::string(table.tasks[table.ballot_tasks[b]]) + " " +
                     (instance.empty() ? "" : instance + " ") +
                     std::string(table.systems[ballot.systems[i]]) + " " +
                     fmt::format("{}", ballot.values[i]));
    }
  }
  return rows;
}

/// Comparisons as "first > second", "first < second" or "first = second", in their order.
inline std::vector<std::string> battles_of(const ScoreTable& table) {
  std::vector<std::string> battles;
  const Comparisons& all = table.comparisons;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const char* sign = all.outcomes[i] == 1 ? " > " : all.outcomes[i] == -1 ? " < " : " = ";
    battles.push_back(std::string(table.systems[all.first[i]]) + sign +
                      std::string(table.systems[all.second[i]]));
  }
  return battles;
}

}  // namespace amalgam::scores

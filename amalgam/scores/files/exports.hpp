#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/files/measurements.hpp"

namespace amalgam::scores {

/// Decides which of the metrics of a task count: those the format names, else the first usual one,
/// the same in all files.
class MetricChooser {
 public:
  explicit MetricChooser(Measurements& into) : into_(into) {}

  /// Of the metrics that a file has of a task: those that count, and the names of their tasks.
  /// `usual`: patterns in the order of preference. A metric "acc,none" is meant by "acc" and
  /// "acc:none" too. InputError if another metric of the task counted before, or there is no usual
  /// one.
  struct Choice {
    std::string metric;
    std::string task;
  };
  std::vector<Choice> choose(const std::string& task, const std::vector<std::string>& available,
                             const std::vector<std::string>& usual, const std::string& where);

  /// InputError naming a metric of the format that no task has.
  void check_all_used() const;

 private:
  static std::string usual_one(const std::string& task, const std::vector<std::string>& available,
                               const std::vector<std::string>& usual, const std::string& where);

  Measurements& into_;
  std::map<std::string, std::string> chosen_;  // by task
  std::set<std::string> used_;
  std::set<std::string> available_;
  std::set<std::string> warned_;
};

/// Values of one system on one task by several metrics, before it is known which of them counts.
/// Values of one instance (trials, epochs) count by their mean.
class MetricValues {
 public:
  void add(std::string_view instance, std::string_view metric, double value);
  /// A value of the task as a whole.
  void add_whole(std::string_view metric, double value);
  std::vector<std::string> metrics() const;
  bool empty() const { return means_.empty(); }
  /// Puts the values of a metric into a task.
  void put(std::string_view metric, Task task, System system, const std::string& where,
           Measurements& into) const;

 private:
  struct Mean {
    double mean = 0;
    std::uint64_t count = 0;
  };
  StringPool metrics_;
  StringPool instances_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Mean> means_;  // by metric and instance
};

/// Puts in all that counts of the values of a task by a system, and returns what that is.
std::vector<MetricChooser::Choice> put_chosen(const MetricValues& values, const std::string& task,
                                              const std::string& system,
                                              const std::vector<std::string>& usual,
                                              const std::string& where, MetricChooser& chooser,
                                              Measurements& into);

/// The files below a folder in the order of their names; links are not followed. InputError beyond
/// 200,000 of them or 16 folders inside each other.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder);

/// One result file, one sample file, or a folder of both. Of a folder, tasks with sample files are
/// read from those.
void read_lm_eval(const std::filesystem::path& path, MetricChooser& chooser, Measurements& into);
/// A run folder, a folder of such, or one of the files of a run.
void read_helm(const std::filesystem::path& path, MetricChooser& chooser, Measurements& into);
/// A log (.json or .eval), or a folder of logs.
void read_inspect(const std::filesystem::path& path, MetricChooser& chooser, Measurements& into);

/// A member of an object, or null if there is none, it is null, or `object` is no object.
const nlohmann::json* member(const nlohmann::json& object, std::string_view key);
/// A member that is a text that is not empty.
std::optional<std::string> text_member(const nlohmann::json& object, std::string_view key);

}  // namespace amalgam::scores

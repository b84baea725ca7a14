#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/files/score_files.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// Where all readers put what they find: names are checked when they are new, and what files and
/// the format say of tasks is brought together.
class Measurements {
 public:
  Measurements(const ScoreFormat& format, ScoreNotes& notes) : format_(format), notes_(notes) {}

  const ScoreFormat& format() const { return format_; }
  ScoreNotes& notes() { return notes_; }

  /// Numbers of names; `place` is a function that tells where the name is, for errors. InputError
  /// for an empty name and text that is not UTF-8.
  System system(std::string_view name, const auto& place) {
    const System number = builder_.system(name);
    if (number == system_names_.size()) {
      check_name(name, "system", place);
      system_names_.add(name);
    }
    return number;
  }
  Task task(std::string_view name, const auto& place) {
    const Task number = builder_.task(name);
    if (number == statements_.size()) {
      check_name(name, "task", place);
      task_names_.add(name);
      statements_.emplace_back();
    }
    return number;
  }
  Instance instance(std::string_view name, const auto& place) {
    const Instance number = builder_.instance(name);
    if (number == instances_) {
      check_name(name, "instance", place);
      ++instances_;
    }
    return number;
  }
  /// The instance of values that are of a task as a whole.
  Instance whole() {
    const Instance number = builder_.instance("");
    if (number == instances_) ++instances_;
    return number;
  }

  /// A finite value, as measured.
  void add(System system, Task task, Instance instance, double value) {
    builder_.add(system, task, instance, value);
  }
  Comparisons& comparisons() { return builder_.comparisons(); }
  /// When each comparison was made, in seconds; what is not known is NaN. If all are known,
  /// finish() brings comparisons into this order.
  std::vector<double>& comparison_times() { return comparison_times_; }
  /// The number of a cluster of comparisons.
  std::uint32_t cluster(std::string_view name) { return clusters_.add(name); }

  /// What a file says of a task; InputError if another place said something else.
  void say_direction(Task task, bool higher, const std::string& place);
  void say_kind(Task task, ScoreKind kind, const std::string& place);
  void say_weight(Task task, double weight, const std::string& place);

  void warn(std::string warning);
  void leave_out(std::string what);

  /// The table, with what the format says of tasks, and warnings of what looks odd in it.
  ScoreTable finish(const std::string& where);

 private:
  struct Statement {
    std::optional<bool> higher;
    std::optional<ScoreKind> kind;
    std::optional<double> weight;
    std::string direction_place;
    std::string kind_place;
    std::string weight_place;
  };

  static void check_name(std::string_view name, std::string_view what, const auto& place) {
    if (is_good_name(name)) return;
    refuse_name(name, what, place());
  }
  static bool is_good_name(std::string_view name);
  [[noreturn]] static void refuse_name(std::string_view name, std::string_view what,
                                       const std::string& place);

  void sort_comparisons();
  Task known_task(const std::string& name, std::string_view option) const;
  void apply_format();
  void look_at_tasks(ScoreTable& table);
  void look_at_systems(const ScoreTable& table);

  const ScoreFormat& format_;
  ScoreNotes& notes_;
  ScoreBuilder builder_;
  StringPool system_names_;
  StringPool task_names_;
  StringPool clusters_;
  std::vector<double> comparison_times_;
  std::size_t instances_ = 0;
  std::vector<Statement> statements_;  // [tasks]
};

/// Whether the name of a task or metric is known to be of something of which less is better (loss,
/// perplexity, error rates, times).
bool sounds_lower_is_better(std::string_view name);

/// Whether the name of a column is known to be of something that is no measurement of systems
/// (sizes, dates, error bars).
bool sounds_like_no_task(std::string_view name);

/// Whether a number is a weight that sums stay finite with: 0 to 1e30.
bool is_weight(double weight);

/// The weight that a text is; InputError naming the place unless is_weight().
double weight_of_text(std::string_view text, const std::string& place);

}  // namespace amalgam::scores

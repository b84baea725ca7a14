#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/learning/data_recipe.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam::cli {

/// The data that a merge's recipe names, checked, and loaded when asked for. What it leaves out is
/// fashion-mnist, all examples, and the validation split (to evaluate on: the test split). Errors
/// begin with the recipe and the line.
class MergeData {
 public:
  /// `recipe` outlives this. InputError for keys and values that do not fit.
  MergeData(const Recipe& recipe, std::uint64_t seed);

  /// One data set per task, in their order; without tasks `data` itself. Tables and texts are
  /// encoded as for `network`.
  std::vector<learning::Dataset> tasks(const learning::NetworkDescription& network);
  /// The data set of one task.
  learning::Dataset task(std::size_t number, const learning::NetworkDescription& network);
  /// Lets tasks have numbers to predict; without it they are refused.
  void take_numbers() { takes_numbers_ = true; }
  /// Which examples of every task `tasks` and `together` give.
  enum class Part {
    all,
    looked_at,  ///< those of even numbers: what a method merges by while parameters are searched
    held_out    ///< the others: what decides between parameters
  };
  void use(Part part) { part_ = part; }
  /// All examples of all tasks in one. InputError if their inputs are not of one shape.
  learning::Dataset together(const learning::NetworkDescription& network);
  /// What entry number `entry` of `evaluate` names.
  learning::Dataset to_evaluate(std::size_t entry, const learning::NetworkDescription& network);

  /// For people: "fashion-mnist validation, rotate=90", tasks between semicolons.
  std::string describe() const;
  /// Whether all tasks are for the same head.
  bool has_one_head() const;
  std::size_t task_count() const { return tasks_.size(); }
  /// The name, or what it consists of.
  std::string task_name(std::size_t task) const { return tasks_.at(task).name; }
  std::size_t evaluation_count() const { return evaluate_.size(); }
  std::string evaluation_name(std::size_t entry) const { return evaluate_.at(entry).name; }

 private:
  struct Source {
    std::string name;
    std::string split;
    learning::DataRecipe recipe;
    std::string key;  // of what is loaded before its inputs are changed
    RecipeLine line;
  };
  Source source(const RecipeData& data, const std::string& split) const;
  learning::Dataset part_of(learning::Dataset data) const;
  learning::Dataset load(const Source& source, const learning::NetworkDescription& network);

  const Recipe& recipe_;
  std::uint64_t seed_;
  std::vector<Source> tasks_;
  std::vector<Source> evaluate_;
  Part part_ = Part::all;
  bool takes_numbers_ = false;
  // What was loaded last, before its inputs were changed: tasks often share it.
  std::string last_;
  learning::Dataset loaded_;
};

}  // namespace amalgam::cli

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/common_options.hpp"

namespace amalgam::cli {

/// The options of `amalgam study difficulty`.
struct DifficultyCommand {
  std::string data;
  std::string label;
  std::string labels;
  std::vector<std::string> features;
  std::vector<std::string> ignore;
  std::string split = "train";
  std::size_t limit = 0;
  bool standardise = false;

  std::string kind = "classification";
  std::vector<double> errors{0.1, 0.01, 0.001};
  std::optional<double> count;
  std::optional<double> dimension;
  std::optional<double> radius;
  std::optional<double> resolution;
  std::optional<double> classes;
  std::optional<double> outputs;
  std::optional<double> bound;
  std::optional<double> ways;
  std::optional<double> dimension_within;
  std::string beside;

  std::string dimension_by = "likelihood";
  bool keep_fraction = false;
  std::size_t neighbours = 5;
  std::size_t queries = 10'000;
  std::string resolution_by = "closest";
  std::size_t sample = 30'000;
  std::size_t pairs = 4'000'000;
  std::size_t tail = 2'000;
  double ignore_below = 0;
  std::string out;
  std::string html;
  CommonOptions common;
};
void add_difficulty_options(CLI::App& app, DifficultyCommand& command);

}  // namespace amalgam::cli

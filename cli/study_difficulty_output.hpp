#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/studies/difficulty.hpp"
#include "amalgam/scores/studies/task_constants.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// A task of either kind, whose dimension can be looked at again as it was estimated.
struct DifficultTask {
  scores::SphereTask sphere;
  scores::TorusTask torus;
  bool on_torus = false;
  std::optional<double> estimated_dimension;  ///< before rounding
  double rounded_off = 0;                     ///< that less what the task has of it

  scores::Difficulty at(double error) const {
    return on_torus ? difficulty(torus, error) : difficulty(sphere, error);
  }
  double dimension() const { return on_torus ? torus.dimension : sphere.dimension; }
};

/// What `amalgam study difficulty` found.
struct DifficultyReport {
  std::string data;  ///< empty: told by constants
  std::string kind;
  std::optional<scores::TaskConstants> found;  ///< in data
  DifficultTask task;
  std::vector<scores::Difficulty> results;  ///< one for each error, at least one
  std::vector<std::string> warnings;
};

Json difficulty_json(const DifficultyReport& report);
std::string difficulty_text(const DifficultyReport& report);
/// Writes one row per error: error, bits, log10_bits, log10_bits_unrounded, bits_per_dimension,
/// over_determined and everything_general; what is not finite or not there is empty. InputError or
/// Error as CsvOutput.
void write_difficulty(const std::string& path, const DifficultyReport& report);
/// A page of HTML: the text, and how the bits grow with smaller errors and more dimensions.
std::string difficulty_page(const DifficultyReport& report);

}  // namespace amalgam::cli

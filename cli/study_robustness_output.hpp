#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/studies/accuracy_table.hpp"
#include "amalgam/scores/studies/robustness.hpp"
#include "amalgam/scores/studies/robustness_weights.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// How models' properties go with their robustness.
struct PropertyAgreement {
  std::string property;
  std::string resolution;
  scores::RankAgreement sar;
  scores::RankAgreement war;
};

/// What was studied and found.
struct RobustnessStudy {
  scores::AccuracyTable table;
  scores::RobustnessOptions options;
  std::string weights;  ///< where they come from: "equal", "published", a file, "optimised"
  scores::Robustness result;
  std::size_t at = 0;  ///< resolution that weights were optimised at, and that tables are of
  std::optional<scores::OptimisedWeights> optimised;
  std::vector<PropertyAgreement> properties;
  std::vector<std::string> warnings;

  double war(std::size_t model, std::size_t resolution) const {
    return result.war[model * table.resolutions.size() + resolution];
  }
  double sar(std::size_t model, std::size_t resolution) const {
    return result.sar[model * table.resolutions.size() + resolution];
  }
};

/// [models], from the best WAR at the resolution `at`; models without one last.
std::vector<std::size_t> models_by_war(const RobustnessStudy& study);

/// One JSON object of all of it.
Json robustness_json(const RobustnessStudy& study);

/// Tables for people.
std::string robustness_text(const RobustnessStudy& study);

/// Writes the robustness of every cell as CSV.
void write_robustness(const std::string& path, const RobustnessStudy& study);

/// A page of HTML that needs nothing but itself: the ranking, WAR over resolutions, robustness of
/// each model on each data set, and which data sets agree with the ranking.
std::string robustness_page(const RobustnessStudy& study);

}  // namespace amalgam::cli

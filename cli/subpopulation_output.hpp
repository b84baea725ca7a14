#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/scores/studies/subpopulation_study.hpp"
#include "amalgam/scores/studies/subpopulation_sweep.hpp"
#include "amalgam/scores/studies/subpopulation_table.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// What `amalgam study subpopulations` found, in three forms.
struct SubpopulationReport {
  const scores::SubpopulationTable* table = nullptr;
  const scores::SubpopulationOptions* options = nullptr;
  scores::SubpopulationStudy study;
  std::optional<scores::StrengthSweep> sweep = {};
  std::vector<std::string> warnings = {};
};

/// A row for each fit, and what its cells are.
std::vector<std::vector<std::string>> subpopulation_rows(const SubpopulationReport& report);
const std::vector<std::string>& subpopulation_titles();
/// Sentences that say what the figures mean.
std::vector<std::string> subpopulation_findings(const SubpopulationReport& report);

Json subpopulation_json(const SubpopulationReport& report);
std::string subpopulation_text(const SubpopulationReport& report);
/// A page of HTML with both pairs of axes as scatter plots.
std::string subpopulation_page(const SubpopulationReport& report);

}  // namespace amalgam::cli

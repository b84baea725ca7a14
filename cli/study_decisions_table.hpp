#pragma once

#include <string>

#include "amalgam/scores/studies/decision_study.hpp"

namespace amalgam::cli {

/// Writes one row per test of a report: what it is of (a group, "A and B", "all 3 groups", a
/// setting over temperatures), test, statistic, degrees_of_freedom, p, exact (true or false) and
/// adjusted_p; fields without a figure are empty. InputError or Error as CsvOutput.
void write_decision_tests(const std::string& path, const scores::DecisionReport& report);

/// All comparisons for the terminal, or of many those that reject at `level`.
std::string comparison_table(const scores::DecisionReport& report, double level);

/// What a comparison is of: "A and B", or "all 3 groups".
std::string compared_text(const scores::DecisionComparison& comparison);

}  // namespace amalgam::cli

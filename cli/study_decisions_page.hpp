#pragma once

#include <string>

#include "amalgam/scores/studies/decision_study.hpp"

namespace amalgam::cli {

/// A page of HTML that needs nothing but itself: verdicts, shares of yes and autocorrelations with
/// intervals, repeats after runs, comparisons, the response to temperature, and every test.
std::string decisions_page(const scores::DecisionReport& report,
                           const scores::DecisionOptions& options);

}  // namespace amalgam::cli

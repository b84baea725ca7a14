#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amalgam/experiments/experiment.hpp"

namespace amalgam::experiments {

/// A figure over the seeds, with the 95 % interval of its mean (Student's t).
struct Row {
  std::string name;
  double mean = 0;
  double low = 0;
  double high = 0;
};
std::vector<Row> summarise(const Result& result);

/// {"slug", "paper", "verdict", "seeds", "seeds_holding", "seconds", "claims": [{"text",
/// "measured", "low", "high", "margin", "p", "primary", "seeds_holding", "holds"}], "table":
/// [{"name", "mean", "low", "high", "values"}]}.
nlohmann::ordered_json as_json(const Result& result);

/// A page by itself: question, setting, verdict, figures, claims and how to run it again.
std::string html_page(const Result& result);

}  // namespace amalgam::experiments

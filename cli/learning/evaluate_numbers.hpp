#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/description/network_description.hpp"
#include "amalgam/learning/dataset.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// What `amalgam evaluate` is asked about networks that predict a number.
struct NumberEvaluation {
  std::vector<std::string> checkpoints;
  std::vector<std::string> also;                        ///< outside the ensemble
  std::optional<learning::NetworkDescription> network;  ///< of checkpoints that do not say
  bool ensemble = false;                                ///< the mean of the predictions as well
  bool best = false;      ///< print the one with the smallest squared error only
  std::string reference;  ///< one of them; empty: none
  std::string data;       ///< as people call it
  CommonOptions common;
};

/// Judges the networks and prints what comes of it. InputError naming a file.
void evaluate_numbers(const NumberEvaluation& request, const learning::Dataset& data);

}  // namespace amalgam::cli

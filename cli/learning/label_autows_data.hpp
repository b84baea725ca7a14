#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amalgam/labels/weak/features.hpp"
#include "cli/label_autows_options.hpp"

/// What `amalgam label autows` compares methods on.
namespace amalgam::cli {

/// A representation of all rows.
struct FeatureSet {
  std::string name;
  labels::Features features;
};

struct AutoWsTask {
  std::vector<labels::Label> truth;  ///< [rows]
  std::vector<std::string> class_names;
  std::vector<FeatureSet> sets;
  std::optional<labels::Features> logits;      ///< [rows, classes]
  std::optional<labels::Features> prototypes;  ///< [classes, columns of some features]
};

/// Loads the data and makes the features that are asked for. InputError naming the option for what
/// is missing or does not fit.
AutoWsTask load_autows_task(const AutoWsCommand& command);

}  // namespace amalgam::cli

#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/common_options.hpp"

namespace amalgam::cli {

/// `amalgam label autows` as it was asked for. The program and the learning library, which carries
/// it out, both read the command line by this.
struct AutoWsCommand {
  std::string data;
  std::string label;
  std::vector<std::string> ignore;
  std::uint64_t examples = 0;
  std::uint64_t labelled = 100;
  std::uint64_t unlabelled = 0;  ///< 0: half of what is left
  std::vector<std::string> features = {"raw", "pca"};
  std::string scale;  ///< empty: standard for tables, none for images
  std::vector<std::string> methods = {"few-shot", "label-propagation", "goggles", "snuba"};
  std::vector<std::string> label_models = {"generative", "majority-vote"};
  std::string logits;
  std::string prototypes;
  std::uint64_t rounds = 23;
  std::uint64_t cardinality = 1;
  std::uint64_t combinations = 0;
  std::uint64_t queries = 25;
  std::string acquisition = "level-set";
  std::string dialogue;
  std::string base_model = "gaussian-mixture";
  bool end_model = false;
  std::string end_model_labels;  ///< soft or hard; empty: soft
  std::uint64_t seeds = 1;
  std::string out;       ///< where a training set is written; empty: nowhere
  std::string soft;      ///< with probabilities
  std::string pipeline;  ///< whose; empty: the best one's
  CommonOptions common;
};

/// Adds all options of `amalgam label autows`, and examples. `command` must live until it has run.
void add_autows_options(CLI::App& app, AutoWsCommand& command);

inline constexpr const char* kAutoWsSummary =
    "Is weak supervision worth it? Methods that label many rows by 100 labelled ones, compared.";

}  // namespace amalgam::cli

#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/labels/bags/bag_files.hpp"
#include "amalgam/labels/bags/privacy.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

/// The verbs of `amalgam label bags`.
namespace amalgam::cli {

void register_label_bags_make(CLI::App& bags);
void register_label_bags_merge(CLI::App& bags);
void register_label_bags_plan(CLI::App& bags);
void register_label_bags_release(CLI::App& bags);

/// The options of private noise, of `release` and `plan`.
struct BagNoiseOptions {
  std::optional<double> epsilon;
  double delta = 0;
  std::optional<double> clip;   ///< C of the bound C sqrt(log n)
  std::optional<double> bound;  ///< or the bound itself
  std::string mechanism = "laplace";
  std::string neighbours = "replace";
};
void add_bag_noise_options(CLI::App& command, BagNoiseOptions& options);
/// InputError unless --epsilon and exactly one of --clip and --bound are there, or a value is out
/// of range.
labels::PrivacyOptions privacy_of(const BagNoiseOptions& options, std::uint64_t rows);

/// `amalgam label bags fit` as it was asked for. The program fits linear models, the learning
/// library networks; both read the command line by this.
struct BagFitCommand {
  std::string rows;
  std::string bag;
  std::string response;
  std::string responses;
  std::string class_column;
  std::vector<std::string> shares;
  std::vector<std::string> features;
  std::vector<std::string> ignore;
  std::string method = "interpolated";
  std::string rho;
  double ridge = 0;
  bool has_ridge = false;
  bool no_intercept = false;
  std::size_t folds = 5;
  std::vector<std::int64_t> hidden;
  std::uint64_t epochs = 200;
  std::uint64_t batch = 16;
  double learning_rate = 0.01;
  std::string out;
  std::string save_state;
  std::string predict;
  std::string predictions;
  bool overwrite = false;
  CommonOptions common;
};
void add_bag_fit_options(CLI::App& command, BagFitCommand& options);

/// Whether what is learned from is a state of bags (a .safetensors file) instead of rows.
bool is_bag_state(const BagFitCommand& command);
/// Whether a network is asked for: hidden layers, or label proportions.
bool needs_network(const BagFitCommand& command);
/// InputError for options that contradict each other or outputs that are inputs.
void check_bag_fit(const BagFitCommand& command);

/// The rho that are to be tried: one number, or the standard ones ("auto"; also if nothing is said
/// and the method is the interpolated one). InputError for what is no number >= 0.
std::vector<double> rho_candidates(const BagFitCommand& command);

/// What is learned from.
struct BagFitInput {
  labels::BagRows rows;
  labels::BagData data;              ///< without responses, for label proportions
  std::vector<std::string> classes;  ///< for label proportions
  std::vector<double> shares;        ///< [bags, classes]
};
BagFitInput read_bag_fit_input(const BagFitCommand& command);

/// The rows of --predict, with these features.
labels::BagRows read_rows_to_predict(const BagFitCommand& command,
                                     const std::vector<std::string>& features);

/// Losses as a JSON object.
Json losses_json(const labels::BagLosses& losses);

/// Fits a linear model and writes what was asked for.
void fit_linear_bags(const BagFitCommand& command);

}  // namespace amalgam::cli

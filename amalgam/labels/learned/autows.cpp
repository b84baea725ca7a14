#include "amalgam/labels/learned/autows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/interrupt.hpp"

namespace amalgam::labels {
namespace {

class Run {
 public:
  Run(const ProtocolData& data, const AutoWsOptions& options,
      const std::function<void(const std::string&)>& progress)
      : data_(data), options_(options), progress_(progress) {
    context_.parallel = options.parallel;
  }

  std::vector<ProtocolResult> results() {
    if (options_.few_shot) add("few-shot", [&] { return by_few_shot(data_); });
    if (options_.propagation) {
      add("label propagation", [&] { return by_propagation(data_, options_.propagation_options); });
    }
    if (options_.goggles) {
      GogglesOptions goggles = options_.goggles_options;
      goggles.seed = options_.seed;
      add("GOGGLES", [&] { return by_goggles(data_, goggles); });
    }
    if (options_.snuba) add_snuba("Snuba", false);
    if (options_.multipolar_snuba) add_snuba("Snuba multipolar", true);
    if (options_.dialogue) add_dialogue();
    return std::move(results_);
  }

 private:
  void say(const std::string& what) const {
    check_interrupt();
    if (progress_) progress_(what);
  }

  template <class Make>
  void add(const char* name, const Make& make) {
    say(name);
    results_.push_back(make());
  }

  CandidateOptions candidates() const {
    CandidateOptions made = options_.snuba_options.candidates;
    made.seed = options_.seed;
    made.parallel = options_.parallel;
    return made;
  }

  void add_snuba(const std::string& name, bool multipolar) {
    say(name);
    SnubaOptions snuba_options = options_.snuba_options;
    snuba_options.multipolar = multipolar;
    snuba_options.candidates = candidates();
    add_functions(name, snuba(data_.known(), data_.unlabelled, snuba_options).functions);
  }

  void add_dialogue() {
    say("IWS");
    DialogueOptions dialogue = options_.dialogue_options;
    dialogue.seed = options_.seed;
    const auto oracle = [&](const FunctionCandidates& made) {
      return labelled_oracle(made, dialogue.usefulness);
    };
    add_functions("IWS", functions_by_dialogue(data_, candidates(), dialogue,
                                               ensemble_model(options_.ensemble_options), oracle));
  }

  void add_functions(const std::string& name, const std::vector<LabellingFunction>& functions) {
    say(name + ": label models");
    for (std::size_t m = 0; m < options_.label_models.size(); ++m) {
      const std::string& model = options_.label_models[m];
      const std::size_t fewest = find_label_model(model).info().fewest_workers;
      if (functions.empty() || functions.size() < fewest) {
        add_uncovered(fmt::format("{}, {}", name, model), functions.size(), fewest);
        continue;
      }
      ProtocolResult made =
          by_functions(name, data_, functions, std::span(&model, 1), context_).front();
      if (options_.end_model && m == 0 && any_covered(made.unlabelled)) {
        results_.push_back(made);
        made = end_model(name, results_.back());
      }
      results_.push_back(std::move(made));
    }
  }

  static bool any_covered(const WeakLabels& labels) {
    return std::ranges::find(labels.covered, true) != labels.covered.end();
  }

  // With too few functions nothing is covered: all rows have the balance of the classes.
  void add_uncovered(std::string method, std::size_t functions, std::size_t fewest) {
    const std::vector<double> balance = class_balance(data_.labels, data_.classes);
    ProtocolResult& result = results_.emplace_back();
    result.method = std::move(method);
    result.functions = functions;
    result.warnings.push_back(
        fmt::format("{} labelling functions were found, but {} are needed: no row is covered",
                    functions, std::max<std::size_t>(1, fewest)));
    result.test.soft = SoftLabels(data_.test.rows, data_.classes);
    result.test.covered.assign(data_.test.rows, false);
    for (std::size_t i = 0; i < data_.test.rows; ++i) {
      std::ranges::copy(balance, result.test.soft.row(i).begin());
    }
  }

  ProtocolResult end_model(const std::string& name, const ProtocolResult& labels) const {
    say(name + ": end model");
    std::vector<std::string> classes;
    for (std::size_t k = 0; k < data_.classes; ++k) classes.push_back(fmt::to_string(k));
    EndModelOptions training = options_.end_model_options;
    training.seed = options_.seed;
    const auto network =
        train_end_model(as_dataset(data_.unlabelled, classes), labels.unlabelled, training);
    ProtocolResult result;
    result.method = labels.method + (training.hard ? ", end model on hard labels" : ", end model");
    result.functions = labels.functions;
    result.test.soft = predict(*network, as_dataset(data_.test, classes));
    result.test.covered.assign(data_.test.rows, true);
    return result;
  }

  const ProtocolData& data_;
  const AutoWsOptions& options_;
  const std::function<void(const std::string&)>& progress_;
  FitContext context_;
  std::vector<ProtocolResult> results_;
};

}  // namespace

std::vector<ProtocolResult> run_autows(const ProtocolData& data, const AutoWsOptions& options,
                                       const std::function<void(const std::string&)>& progress) {
  return Run(data, options, progress).results();
}

}  // namespace amalgam::labels

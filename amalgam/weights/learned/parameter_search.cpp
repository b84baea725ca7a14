#include "amalgam/weights/learned/parameter_search.hpp"

#include <cmath>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/learning/evaluation.hpp"

namespace amalgam::learned {
namespace {

void judge(SearchTrial& trial, learning::Network& network,
           const std::vector<learning::Dataset>& tasks) {
  for (const learning::Dataset& task : tasks) {
    learning::check_classes(task, "a search, which judges by accuracy,");
    const torch::Tensor logits = learning::predict_logits(network, task);
    const learning::Evaluation evaluation =
        learning::evaluate(learning::log_probabilities(logits).flatten(0, -2),
                           task.labels.flatten(), task.class_names, {.resamples = 0});
    trial.accuracy += evaluation.accuracy / static_cast<double>(tasks.size());
    trial.nll += evaluation.nll / static_cast<double>(tasks.size());
  }
}

}  // namespace

ParameterSearch search_parameters(const std::vector<std::vector<std::string>>& points,
                                  const MergeWith& merge,
                                  const std::vector<learning::Dataset>& tasks, SearchFigure figure,
                                  const std::function<void(const SearchTrial&)>& on_trial) {
  if (points.empty()) throw InputError("search: no values to try");
  if (tasks.empty()) throw InputError("search: no data to choose by");
  const auto merit = [&](const SearchTrial& trial) {
    return figure == SearchFigure::accuracy ? trial.accuracy : -trial.nll;
  };
  ParameterSearch search;
  std::optional<double> best;
  for (const std::vector<std::string>& point : points) {
    SearchTrial trial{.parameters = point};
    judge(trial, *merge(point), tasks);
    const double value = merit(trial);
    if (!std::isnan(value) && (!best || value > *best)) {
      best = value;
      search.best = search.trials.size();
    }
    search.trials.push_back(std::move(trial));
    if (on_trial) on_trial(search.trials.back());
  }
  if (!best) throw InputError("search: the predictions are not finite at any of the values");
  return search;
}

}  // namespace amalgam::learned

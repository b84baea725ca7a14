#include "amalgam/learning/validation.hpp"

#include <algorithm>

#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/number_evaluation.hpp"

namespace amalgam::learning {

ValidationFigures validate(Network& network, const Dataset& data) {
  constexpr std::int64_t kBatch = 256;
  check_fits(network, data);
  const torch::NoGradGuard no_grad;
  const bool was_training = network.is_training();
  network.eval();
  if (data.predicts_numbers()) {
    const NumberFigures figures = judge_numbers(predict_logits(network, data), data);
    network.train(was_training);
    return {.loss = figures.scaled_mse, .accuracy = figures.r2};
  }
  double loss = 0;
  double hits = 0;
  for (std::int64_t first = 0; first < data.count(); first += kBatch) {
    const std::int64_t count = std::min(kBatch, data.count() - first);
    const torch::Tensor logits =
        logits_of_head(network, data, network.forward(data.inputs.narrow(0, first, count)))
            .flatten(0, -2);
    const torch::Tensor labels = data.labels.narrow(0, first, count).flatten();
    const torch::Tensor losses = torch::nn::functional::cross_entropy(
        logits, labels, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
    loss += losses.sum(torch::kDouble).item<double>();
    hits += static_cast<double>(logits.argmax(1).eq(labels).sum().item<std::int64_t>());
  }
  network.train(was_training);
  const auto all = static_cast<double>(data.labels.numel());
  return {.loss = loss / all, .accuracy = hits / all};
}

bool EarlyStopper::is_better(const ValidationFigures& figures,
                             const ValidationFigures& best) const {
  if (options_->metric == EarlyStop::Metric::loss) {
    return figures.loss < best.loss - options_->min_change;
  }
  return figures.accuracy > best.accuracy + options_->min_change;
}

void EarlyStopper::note(std::uint64_t epoch, const ValidationFigures& figures,
                        const Network& network, TrainingProgress& progress) const {
  if (!options_) return;
  if (progress.best_epoch &&
      !is_better(figures, *progress.epochs[*progress.best_epoch].validation)) {
    return;
  }
  progress.best_epoch = epoch;
  progress.best_weights = copied_state(network);
}

bool EarlyStopper::stops(const TrainingProgress& progress) const {
  if (!options_ || !progress.best_epoch) return false;
  return progress.epochs.size() - 1 - *progress.best_epoch >= options_->patience;
}

}  // namespace amalgam::learning

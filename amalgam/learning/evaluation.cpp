#include "amalgam/learning/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::learning {
namespace {

// What the metrics need of each example.
struct Judged {
  std::vector<double> correct;
  std::vector<double> confidence;
  std::vector<double> nll;
  std::vector<double> brier;
  std::vector<std::int64_t> guess;
  std::vector<std::uint32_t> bin;
};

Judged judge(const torch::Tensor& log_probabilities, const torch::Tensor& labels,
             std::size_t bins) {
  Judged judged;
  const auto rows = log_probabilities.accessor<double, 2>();
  const auto truth = labels.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    std::int64_t best = 0;
    double squares = 0;
    for (std::int64_t k = 0; k < rows.size(1); ++k) {
      if (rows[i][k] > rows[i][best]) best = k;
      const double away = std::exp(rows[i][k]) - (k == truth[i] ? 1 : 0);
      squares += away * away;
    }
    judged.brier.push_back(squares);
    judged.guess.push_back(best);
    const double confidence = std::exp(rows[i][best]);
    const auto bin = static_cast<std::size_t>(confidence * static_cast<double>(bins));
    judged.correct.push_back(best == truth[i] ? 1.0 : 0.0);
    judged.confidence.push_back(confidence);
    judged.nll.push_back(-rows[i][truth[i]]);
    judged.bin.push_back(static_cast<std::uint32_t>(std::min(bin, bins - 1)));
  }
  return judged;
}

// `indices` are examples, some perhaps several times.
template <class Indices>
double mean_nll(const Judged& judged, const Indices& indices) {
  double sum = 0;
  for (const auto i : indices) sum += judged.nll[i];
  return sum / static_cast<double>(indices.size());
}

template <class Indices>
double calibration_error(const Judged& judged, const Indices& indices, std::size_t bins) {
  std::vector<double> gap(bins);  // per bin: sum of (correct - confidence)
  for (const auto i : indices) gap[judged.bin[i]] += judged.correct[i] - judged.confidence[i];
  double sum = 0;
  for (const double one : gap) sum += std::abs(one);
  return sum / static_cast<double>(indices.size());
}

double macro_f1(const Judged& judged, const torch::Tensor& labels, std::size_t classes) {
  std::vector<double> hits(classes);
  std::vector<double> seen(classes);  // as label, and as prediction
  const auto truth = labels.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < truth.size(0); ++i) {
    const auto label = static_cast<std::size_t>(truth[i]);
    const auto guess = static_cast<std::size_t>(judged.guess[static_cast<std::size_t>(i)]);
    if (label == guess) ++hits[label];
    ++seen[label];
    ++seen[guess];
  }
  double sum = 0;
  double count = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    if (seen[c] == 0) continue;
    sum += 2 * hits[c] / seen[c];
    ++count;
  }
  return sum / count;
}

std::vector<ClassAccuracy> accuracy_by_class(const Judged& judged, const torch::Tensor& labels,
                                             const std::vector<std::string>& class_names) {
  std::vector<ClassAccuracy> classes;
  classes.reserve(class_names.size());
  for (const std::string& name : class_names) classes.push_back({name, 0, {}});
  std::vector<double> hits(class_names.size());
  const auto truth = labels.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < truth.size(0); ++i) {
    const auto label = static_cast<std::size_t>(truth[i]);
    ++classes[label].examples;
    hits[label] += judged.correct[static_cast<std::size_t>(i)];
  }
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (classes[c].examples > 0) {
      classes[c].accuracy = hits[c] / static_cast<double>(classes[c].examples);
    }
  }
  return classes;
}

}  // namespace

torch::Tensor predict_logits(Network& network, const Dataset& data, std::int64_t batch) {
  constexpr double kMostLogits = 1e9;
  check_fits(network, data);
  const auto classes = static_cast<double>(data.class_names.size());
  if (static_cast<double>(data.labels.numel()) * classes > kMostLogits) {
    throw InputError(
        "{}: {} predictions over {} classes do not fit into memory; take fewer examples",
        data.source, data.labels.numel(), classes);
  }
  const torch::InferenceMode inference;
  const bool was_training = network.is_training();
  network.eval();
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < data.count(); first += batch) {
    const std::int64_t count = std::min(batch, data.count() - first);
    const torch::Tensor logits = network.forward(data.inputs.narrow(0, first, count));
    parts.push_back(logits_of_head(network, data, logits));
  }
  network.train(was_training);
  return torch::cat(parts);
}

torch::Tensor log_probabilities(const torch::Tensor& logits) {
  return torch::log_softmax(logits.to(torch::kDouble), -1);
}

Evaluation evaluate(const torch::Tensor& log_probs, const torch::Tensor& truth,
                    const std::vector<std::string>& class_names, const EvaluationOptions& options) {
  const torch::Tensor labels = truth.flatten();
  const Judged judged = judge(log_probs.flatten(0, -2), labels, options.bins);
  std::vector<std::uint32_t> all(judged.correct.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint32_t>(i);
  if (all.empty()) throw InputError("there are no examples to evaluate on");

  Evaluation result;
  result.examples = all.size();
  double hits = 0;
  for (const double one : judged.correct) hits += one;
  result.accuracy = hits / static_cast<double>(all.size());
  result.accuracy_interval = wilson_interval(static_cast<std::uint64_t>(hits), all.size());
  result.nll = mean_nll(judged, all);
  result.ece = calibration_error(judged, all, options.bins);
  result.macro_f1 = macro_f1(judged, labels, class_names.size());
  for (const double one : judged.brier) result.brier += one / static_cast<double>(all.size());
  if (options.resamples > 0) {
    const auto interval = [&](const auto& statistic) {
      return bootstrap_interval(all.size(), options.resamples, options.seed, statistic);
    };
    result.nll_interval = interval([&](const auto& indices) { return mean_nll(judged, indices); });
    result.ece_interval = interval(
        [&](const auto& indices) { return calibration_error(judged, indices, options.bins); });
  }
  result.per_class = accuracy_by_class(judged, labels, class_names);
  result.correct = judged.correct;
  return result;
}

}  // namespace amalgam::learning

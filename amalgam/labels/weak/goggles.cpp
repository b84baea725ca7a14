#include "amalgam/labels/weak/goggles.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "amalgam/core/assignment.hpp"
#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/k_means.hpp"

namespace amalgam::labels {
namespace {

constexpr double kFloor = 1e-5;
constexpr std::size_t kIterations = 200;
constexpr std::size_t kWindow = 20;
constexpr double kTolerance = 1e-6;

void maximise(BernoulliMixture& mixture, const Features& rows, const SoftLabels& posterior) {
  for (std::size_t k = 0; k < mixture.classes; ++k) {
    double total = 0;
    const std::span<double> mean(mixture.means.data() + k * mixture.inputs, mixture.inputs);
    std::ranges::fill(mean, 0.0);
    for (std::size_t i = 0; i < rows.rows; ++i) {
      const double share = posterior.row(i)[k];
      total += share;
      for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += share * rows.at(i, c);
    }
    mixture.weights[k] = total / static_cast<double>(rows.rows);
    for (double& value : mean) value = total > 0 ? value / total : 0.5;
  }
}

void reorder(SoftLabels& posterior, const std::vector<std::size_t>& components) {
  std::vector<double> before(posterior.classes);
  for (std::size_t i = 0; i < posterior.items; ++i) {
    const std::span<double> row = posterior.row(i);
    std::ranges::copy(row, before.begin());
    for (std::size_t k = 0; k < row.size(); ++k) row[k] = before[components[k]];
  }
}

void append_rows(Features& features, const Features& more) {
  if (more.columns != features.columns) {
    throw InputError("GOGGLES: labelled rows have {} features, but unlabelled ones {}",
                     features.columns, more.columns);
  }
  features.rows += more.rows;
  features.values.insert(features.values.end(), more.values.begin(), more.values.end());
}

double frobenius(const SoftLabels& posterior) {
  double sum = 0;
  for (const double value : posterior.values) sum += value * value;
  return std::sqrt(sum);
}

}  // namespace

SoftLabels BernoulliMixture::posterior(const Features& rows) const {
  SoftLabels result(rows.rows, classes);
  std::vector<double> log_one(means.size());
  std::vector<double> log_zero(means.size());
  for (std::size_t i = 0; i < means.size(); ++i) {
    log_one[i] = portable_log(means[i] + kFloor);
    log_zero[i] = portable_log(1 - means[i] + kFloor);
  }
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const std::span<double> row = result.row(i);
    for (std::size_t k = 0; k < classes; ++k) {
      row[k] = portable_log(weights[k] + kFloor);
      for (std::size_t c = 0; c < inputs; ++c) {
        const double x = rows.at(i, c);
        row[k] += x * log_one[k * inputs + c] + (1 - x) * log_zero[k * inputs + c];
      }
    }
    const double most = std::ranges::max(row);
    double sum = 0;
    for (double& value : row) {
      value = portable_exp(value - most);
      sum += value;
    }
    for (double& value : row) value /= sum;
  }
  return result;
}

std::vector<std::size_t> match_components(const SoftLabels& posterior,
                                          std::span<const Label> labels) {
  const std::size_t classes = posterior.classes;
  std::vector<double> agreement(classes * classes, 0.0);
  const HardLabels components = hard_labels(posterior);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    agreement[labels[i] * classes + components.labels[i]] += 1;
  }
  std::vector<std::size_t> matched;
  for (const std::int64_t column : linear_assignment(agreement, classes, Goal::maximise).columns) {
    matched.push_back(static_cast<std::size_t>(column));
  }
  return matched;
}

BernoulliMixture fit_bernoulli_mixture(const Features& rows, std::span<const Label> labels,
                                       std::size_t classes, std::uint64_t seed) {
  BernoulliMixture mixture;
  mixture.classes = classes;
  mixture.inputs = rows.columns;
  mixture.weights.resize(classes);
  mixture.means.resize(classes * rows.columns);
  SoftLabels posterior(rows.rows, classes);
  const KMeans start = k_means(rows, classes, seed);
  for (std::size_t i = 0; i < rows.rows; ++i) posterior.row(i)[start.clusters[i]] = 1;
  reorder(posterior, match_components(posterior, labels));
  std::deque<double> changes;
  double before = frobenius(posterior);
  for (std::size_t iteration = 0; iteration < kIterations; ++iteration) {
    check_interrupt();
    maximise(mixture, rows, posterior);
    posterior = mixture.posterior(rows);
    reorder(posterior, match_components(posterior, labels));
    mixture.iterations = iteration + 1;
    const double now = frobenius(posterior);
    changes.push_back(std::abs(now - before));
    before = now;
    if (changes.size() > kWindow) changes.pop_front();
    const double mean = std::accumulate(changes.begin(), changes.end(), 0.0) / kWindow;
    if (changes.size() == kWindow && mean <= kTolerance) break;
  }
  // New rows are labelled by parameters in the classes' order.
  maximise(mixture, rows, posterior);
  return mixture;
}

Goggles::Goggles(std::span<const Features> views, std::span<const Label> labels,
                 std::size_t classes, const GogglesOptions& options,
                 std::span<const Features> others) {
  if (views.empty() || options.models.empty()) {
    throw InputError("GOGGLES needs a representation of the rows and a base model");
  }
  for (const Features& view : views) check_labelled({view, labels, classes}, "GOGGLES");
  for (std::size_t k = 0; k < classes; ++k) {
    if (std::ranges::find(labels, k) != labels.end()) continue;
    throw InputError("GOGGLES: class {} has no labelled row; it needs one of each class at least",
                     k);
  }
  if (!others.empty() && others.size() != views.size()) {
    throw InputError("GOGGLES: {} representations of the unlabelled rows; expected {}",
                     others.size(), views.size());
  }
  anchors_.assign(views.begin(), views.end());
  std::vector<Features> all = anchors_;
  for (std::size_t v = 0; v < others.size(); ++v) append_rows(all[v], others[v]);
  for (std::size_t v = 0; v < all.size(); ++v) {
    auto& kinds = models_.emplace_back();
    const Features among_anchors = cosine_affinity(anchors_[v], anchors_[v]);
    const Features affinity = cosine_affinity(all[v], anchors_[v]);
    for (const AffinityModelKind kind : options.models) {
      const bool spectral = kind == AffinityModelKind::spectral;
      kinds.push_back(
          fit_affinity_model(kind, spectral ? among_anchors : affinity, classes, options.seed));
    }
  }
  mixture_ = fit_bernoulli_mixture(inputs(all), labels, classes, options.seed);
}

Features Goggles::inputs(std::span<const Features> views) const {
  if (views.size() != anchors_.size()) {
    throw InputError("GOGGLES: {} representations of the rows; expected {}", views.size(),
                     anchors_.size());
  }
  std::vector<SoftLabels> parts;
  std::size_t columns = 0;
  for (std::size_t v = 0; v < views.size(); ++v) {
    check_finite(views[v], "GOGGLES");
    const Features affinity = cosine_affinity(views[v], anchors_[v]);
    for (const auto& model : models_[v]) {
      parts.push_back(model->posteriors(affinity));
      columns += parts.back().classes;
    }
  }
  Features joined(views[0].rows, columns);
  for (std::size_t i = 0; i < joined.rows; ++i) {
    auto into = joined.row(i).begin();
    for (const SoftLabels& part : parts) into = std::ranges::copy(part.row(i), into).out;
  }
  return joined;
}

SoftLabels Goggles::label(std::span<const Features> views) const {
  return mixture_.posterior(inputs(views));
}

}  // namespace amalgam::labels

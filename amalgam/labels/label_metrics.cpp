#include "amalgam/labels/label_metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "amalgam/core/elementary.hpp"

namespace amalgam::labels {
namespace {

struct Counts {
  std::uint64_t both = 0;
  std::uint64_t predicted = 0;
  std::uint64_t gold = 0;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kBins = 15;

struct Bin {
  std::uint64_t count = 0;
  double confidence = 0;
  double right = 0;
};

}  // namespace

LabelQuality label_quality(std::span<const Label> predicted, std::span<const Label> gold) {
  std::map<Label, Counts> labels;
  LabelQuality quality;
  std::uint64_t right = 0;
  for (std::size_t task = 0; task < predicted.size(); ++task) {
    if (gold[task] == kNoLabel || predicted[task] == kNoLabel) continue;
    ++quality.tasks;
    ++labels[predicted[task]].predicted;
    ++labels[gold[task]].gold;
    if (predicted[task] != gold[task]) continue;
    ++right;
    ++labels[gold[task]].both;
  }
  if (quality.tasks == 0) return {0, kNaN, kNaN};
  double sum = 0;
  for (const auto& [label, counts] : labels) {
    sum += 2.0 * static_cast<double>(counts.both) /
           static_cast<double>(counts.predicted + counts.gold);
  }
  quality.accuracy = static_cast<double>(right) / static_cast<double>(quality.tasks);
  quality.macro_f1 = sum / static_cast<double>(labels.size());
  return quality;
}

SoftQuality soft_quality(const SoftLabels& soft, std::span<const Label> gold, double floor) {
  SoftQuality quality;
  std::array<Bin, kBins> bins{};
  for (std::size_t task = 0; task < soft.items; ++task) {
    if (gold[task] == kNoLabel) continue;
    const std::span<const double> row = soft.row(task);
    const bool known = gold[task] < soft.classes;
    ++quality.tasks;
    quality.nll -= portable_log(std::max(known ? row[gold[task]] : 0.0, floor));
    double brier = known ? 0 : 1;
    for (std::size_t k = 0; k < soft.classes; ++k) {
      const double error = row[k] - (k == gold[task] ? 1 : 0);
      brier += error * error;
    }
    quality.brier += brier;
    const auto most = std::ranges::max_element(row);
    const auto bin = std::min(kBins - 1, static_cast<std::size_t>(*most * kBins));
    ++bins[bin].count;
    bins[bin].confidence += *most;
    bins[bin].right += known && most == row.begin() + gold[task] ? 1 : 0;
  }
  if (quality.tasks == 0) return {0, kNaN, kNaN, kNaN};
  const auto count = static_cast<double>(quality.tasks);
  quality.nll /= count;
  quality.brier /= count;
  for (const Bin& bin : bins) quality.ece += std::abs(bin.confidence - bin.right) / count;
  return quality;
}

}  // namespace amalgam::labels

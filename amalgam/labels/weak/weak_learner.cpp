#include "amalgam/labels/weak/weak_learner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::labels {
namespace {

constexpr std::size_t kMostSubsets = 1'000'000;

std::vector<std::size_t> varying_columns(const Features& features) {
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < features.columns; ++c) {
    for (std::size_t i = 1; i < features.rows; ++i) {
      if (features.at(i, c) == features.at(0, c)) continue;
      columns.push_back(c);
      break;
    }
  }
  return columns;
}

// The next subset of {0, ..., count - 1} in lexicographic order; false after the last.
bool advance(std::vector<std::size_t>& subset, std::size_t count) {
  const std::size_t size = subset.size();
  for (std::size_t i = size; i-- > 0;) {
    if (subset[i] + (size - i) >= count) continue;
    ++subset[i];
    for (std::size_t j = i + 1; j < size; ++j) subset[j] = subset[j - 1] + 1;
    return true;
  }
  return false;
}

using Subsets = std::vector<std::vector<std::size_t>>;

void add_all(Subsets& subsets, std::size_t size, const std::vector<std::size_t>& columns) {
  std::vector<std::size_t> places(size);
  for (std::size_t i = 0; i < size; ++i) places[i] = i;
  do {
    if (subsets.size() == kMostSubsets) {
      throw InputError("more than {} subsets of {} columns; ask for a number of random ones",
                       kMostSubsets, columns.size());
    }
    auto& subset = subsets.emplace_back();
    for (const std::size_t place : places) subset.push_back(columns[place]);
  } while (advance(places, columns.size()));
}

// Floyd's sampling: each subset of `size` columns is equally likely; doubles are drawn again.
void add_random(Subsets& subsets, std::size_t size, const std::vector<std::size_t>& columns,
                const CandidateOptions& options) {
  RandomStream random(options.seed, fmt::format("column subsets {}", size));
  std::set<std::vector<std::size_t>> seen;
  for (std::size_t tries = 0;
       seen.size() < options.combinations && tries < 20 * options.combinations; ++tries) {
    std::set<std::size_t> places;
    for (std::size_t j = columns.size() - size; j < columns.size(); ++j) {
      const std::size_t place = random.below(j + 1);
      if (!places.insert(place).second) places.insert(j);
    }
    std::vector<std::size_t> subset;
    for (const std::size_t place : places) subset.push_back(columns[place]);
    if (seen.insert(subset).second) subsets.push_back(std::move(subset));
  }
}

}  // namespace

void WeakLearner::probabilities(std::span<const double> row, std::span<double> into) const {
  constexpr std::size_t kFew = 16;
  double few[kFew];
  std::vector<double> many;
  if (columns.size() > kFew) many.resize(columns.size());
  const std::span<double> input(columns.size() > kFew ? many.data() : few, columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) input[c] = row[columns[c]];
  std::visit([&](const auto& one) { one.probabilities(input, into); }, model);
}

std::vector<double> WeakLearner::probabilities(const Features& features) const {
  std::vector<double> all(features.rows * classes);
  for (std::size_t i = 0; i < features.rows; ++i) {
    probabilities(features.row(i), std::span(all).subspan(i * classes, classes));
  }
  return all;
}

Subsets column_subsets(const Features& features, const CandidateOptions& options) {
  if (options.cardinality == 0 || options.combinations > kMostSubsets) {
    throw InputError("subsets of {} columns, {} of them; expected 1 or more, at most {}",
                     options.cardinality, options.combinations, kMostSubsets);
  }
  const std::vector<std::size_t> columns = varying_columns(features);
  if (columns.empty()) throw InputError("every feature is the same in all labelled rows");
  Subsets subsets;
  for (std::size_t size = 1; size <= std::min(options.cardinality, columns.size()); ++size) {
    if (options.combinations == 0) {
      add_all(subsets, size, columns);
    } else {
      add_random(subsets, size, columns, options);
    }
  }
  return subsets;
}

std::vector<WeakLearner> fit_candidates(const LabelledRows& data,
                                        std::span<const std::vector<std::size_t>> subsets,
                                        const CandidateOptions& options) {
  const std::size_t kinds = options.kinds.size();
  if (kinds == 0) throw InputError("no kind of weak learner was asked for");
  std::vector<WeakLearner> learners(subsets.size() * kinds);
  parallel_for(options.parallel, subsets.size(), [&](std::size_t s, std::size_t) {
    check_interrupt();
    Features some(data.features.rows, subsets[s].size());
    for (std::size_t i = 0; i < some.rows; ++i) {
      for (std::size_t c = 0; c < some.columns; ++c) {
        some.row(i)[c] = data.features.at(i, subsets[s][c]);
      }
    }
    const LabelledRows part{some, data.labels, data.classes};
    for (std::size_t k = 0; k < kinds; ++k) {
      WeakLearner& learner = learners[s * kinds + k];
      learner.columns = subsets[s];
      learner.classes = data.classes;
      if (options.kinds[k] == LearnerKind::tree) {
        learner.model = fit_tree(part, subsets[s].size());
      } else {
        learner.model = fit_logistic(part, options.inverse_penalty);
      }
    }
  });
  return learners;
}

}  // namespace amalgam::labels

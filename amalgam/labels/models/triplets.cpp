#include "amalgam/labels/models/triplets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::labels::models {
namespace {

std::optional<double> one_triplet(const PairMoments& moments, Eigen::Index v, Eigen::Index w,
                                  Eigen::Index x, bool skip_negative) {
  if (!(moments.common(v, w) > 0 && moments.common(v, x) > 0 && moments.common(w, x) > 0)) {
    return std::nullopt;
  }
  const double below = moments.values(w, x);
  const double above = moments.values(v, w) * moments.values(v, x);
  if (std::abs(below) < 1e-12 || (skip_negative && above / below < 0)) return std::nullopt;
  return std::sqrt(std::abs(above / below));
}

double middle(std::vector<double>& values) {
  const auto half = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), half, values.end());
  if (values.size() % 2 == 1) return *half;
  return (*std::max_element(values.begin(), half) + *half) / 2;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

std::vector<double> triplet_sizes(const PairMoments& moments, const TripletOptions& options,
                                  const Parallel& parallel) {
  const auto workers = static_cast<std::size_t>(moments.values.rows());
  std::vector<double> sizes(workers, 0);
  parallel_for(parallel, workers, [&](std::size_t v, std::size_t) {
    std::vector<Eigen::Index> others;
    for (std::size_t w = 0; w < workers; ++w) {
      const auto index = static_cast<Eigen::Index>(w);
      if (w != v && moments.common(static_cast<Eigen::Index>(v), index) > 0)
        others.push_back(index);
    }
    const std::size_t count = others.size();
    const std::size_t pairs = count < 2 ? 0 : count * (count - 1) / 2;
    std::vector<double> estimates;
    const auto add = [&](std::size_t a, std::size_t b) {
      const auto estimate = one_triplet(moments, static_cast<Eigen::Index>(v), others[a], others[b],
                                        options.skip_negative);
      if (estimate) estimates.push_back(*estimate);
    };
    if (pairs <= options.most) {
      for (std::size_t a = 0; a < count; ++a) {
        for (std::size_t b = a + 1; b < count; ++b) add(a, b);
      }
    } else {
      RandomStream random(options.seed, fmt::format("triplets of worker {}", v));
      for (std::size_t i = 0; i < options.most; ++i) {
        const std::size_t a = random.below(count);
        const std::size_t b = random.below(count - 1);
        add(a, b < a ? b : b + 1);
      }
    }
    if (!estimates.empty()) sizes[v] = options.mean ? mean_of(estimates) : middle(estimates);
  });
  return sizes;
}

void check_pairs_size(std::string_view method, std::size_t workers, std::size_t matrices) {
  constexpr std::size_t kMost = std::size_t{1} << 26U;
  if (workers * workers > kMost / matrices) {
    throw InputError(
        "method '{}': {} matrices of {} times {} workers are too large (at most {} numbers); "
        "dawid-skene needs no pairs of workers",
        method, matrices, workers, workers, kMost);
  }
}

}  // namespace amalgam::labels::models

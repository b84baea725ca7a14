#include "amalgam/labels/masks/segmentation.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::labels {
namespace {

void check_sizes(std::span<const Mask> masks, std::string_view where) {
  if (masks.empty()) throw InputError("{}: it has no mask", where);
  for (const Mask& mask : masks) {
    if (mask.rows == masks[0].rows && mask.columns == masks[0].columns) continue;
    throw InputError("{}: a mask of {} times {} pixels, but the first has {} times {}", where,
                     mask.rows, mask.columns, masks[0].rows, masks[0].columns);
  }
}

// The pixels that at least one mask has.
std::vector<std::size_t> covered_pixels(std::span<const Mask> masks) {
  std::vector<std::size_t> covered;
  for (std::size_t i = 0; i < masks[0].pixels.size(); ++i) {
    if (std::ranges::any_of(masks, [&](const Mask& mask) { return mask.pixels[i] != 0; })) {
      covered.push_back(i);
    }
  }
  return covered;
}

}  // namespace

Mask majority_mask(std::span<const Mask> masks, std::string_view where) {
  check_sizes(masks, where);
  Mask majority{masks[0].rows, masks[0].columns, {}};
  majority.pixels.resize(masks[0].pixels.size());
  for (std::size_t i = 0; i < majority.pixels.size(); ++i) {
    std::size_t votes = 0;
    for (const Mask& mask : masks) votes += mask.pixels[i];
    majority.pixels[i] = 2 * votes > masks.size() ? 1 : 0;
  }
  return majority;
}

Segmentation segmentation_em(std::span<const Mask> masks, std::string_view where,
                             const SegmentationOptions& options) {
  constexpr double kLeast = 1e-10;
  check_sizes(masks, where);
  Segmentation result{{masks[0].rows, masks[0].columns, {}}, {}, {}, 0};
  result.mask.pixels.assign(masks[0].pixels.size(), 0);
  result.probabilities.assign(masks[0].pixels.size(), 0);
  const std::vector<std::size_t> region = covered_pixels(masks);
  result.skills.assign(masks.size(), 1);
  if (region.empty()) return result;
  const auto size = static_cast<double>(region.size());
  for (const std::size_t pixel : region) {
    double votes = 0;
    for (const Mask& mask : masks) votes += mask.pixels[pixel];
    result.probabilities[pixel] = votes / static_cast<double>(masks.size());
  }
  std::vector<double> log_odds(masks.size());
  double change = 1;
  while (result.iterations < options.iterations && change > options.tolerance) {
    check_interrupt();
    double inside = 0;
    std::vector<double> right(masks.size(), 0);
    for (const std::size_t pixel : region) {
      const double p = result.probabilities[pixel];
      inside += p;
      for (std::size_t m = 0; m < masks.size(); ++m) {
        right[m] += masks[m].pixels[pixel] != 0 ? p : 1 - p;
      }
    }
    change = 0;
    for (std::size_t m = 0; m < masks.size(); ++m) {
      const double skill = std::clamp(right[m] / size, kLeast, 1 - kLeast);
      if (result.iterations > 0) change = std::max(change, std::abs(skill - result.skills[m]));
      result.skills[m] = skill;
      log_odds[m] = portable_log(skill / (1 - skill));
    }
    if (result.iterations == 0) change = 1;
    const double share = std::clamp(inside / size, kLeast, 1 - kLeast);
    const double prior = portable_log(share / (1 - share));
    for (const std::size_t pixel : region) {
      double sum = prior;
      for (std::size_t m = 0; m < masks.size(); ++m) {
        sum += masks[m].pixels[pixel] != 0 ? log_odds[m] : -log_odds[m];
      }
      result.probabilities[pixel] = portable_logistic(sum);
    }
    ++result.iterations;
  }
  for (const std::size_t pixel : region) {
    result.mask.pixels[pixel] = result.probabilities[pixel] > 0.5 ? 1 : 0;
  }
  return result;
}

}  // namespace amalgam::labels

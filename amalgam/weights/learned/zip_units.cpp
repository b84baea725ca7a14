#include "amalgam/weights/learned/zip_units.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::learned {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

// Merged units are kept at the place of their lowest one. Every unit knows its best partner among
// the higher ones, so that a step looks at one number per unit, and again only at the rows whose
// best partner is gone or has become worse.
class Zipper {
 public:
  Zipper(std::span<const double> similarity, std::size_t networks, std::size_t units,
         const ZipOptions& options)
      : count_(networks * units),
        alpha_(options.alpha),
        similarity_(similarity.begin(), similarity.end()),
        joined_(count_),
        present_(count_, true),
        network_(count_),
        allowed_(networks, allowance(networks, units, options.beta)),
        within_(networks, 0),
        partner_(count_, 0),
        best_(count_, kNothing) {
    std::iota(joined_.begin(), joined_.end(), std::size_t{0});
    for (std::size_t i = 0; i < count_; ++i) network_[i] = i / units;
    look_everywhere();
  }

  void merge_best_pair() {
    const auto best = std::ranges::max_element(best_);  // the first of equal ones
    if (*best == kNothing) throw Error("zipit: no pair of units may be merged");
    const auto low = static_cast<std::size_t>(best - best_.begin());
    join(low, partner_[low]);
  }

  UnitZip result() const {
    UnitZip zip{.into = std::vector<std::int64_t>(count_), .width = 0, .within = within_};
    for (std::size_t i = 0; i < count_; ++i) {
      // What a unit was joined to is lower, so its place is known.
      zip.into[i] = present_[i] ? zip.width++ : zip.into[joined_[i]];
    }
    return zip;
  }

 private:
  static std::int64_t allowance(std::size_t networks, std::size_t units, double beta) {
    const double merges =
        static_cast<double>((networks - 1) * units) / static_cast<double>(networks);
    // A product that is a whole number must not come out just below it.
    return static_cast<std::int64_t>(std::floor(beta * merges + 1e-9));
  }

  double& at(std::size_t low, std::size_t high) { return similarity_[low * count_ + high]; }

  bool may_merge(std::size_t a, std::size_t b) const {
    return network_[a] != network_[b] || within_[network_[a]] < allowed_[network_[a]];
  }

  // Takes `high` for the best partner of `low` if it is.
  void offer(std::size_t low, std::size_t high) {
    if (!may_merge(low, high)) return;
    const double value = at(low, high);
    if (value > best_[low] || (!(value < best_[low]) && high < partner_[low])) {
      best_[low] = value;
      partner_[low] = high;
    }
  }

  void look_for_partner(std::size_t low) {
    best_[low] = kNothing;
    partner_[low] = count_;
    for (std::size_t high = low + 1; high < count_; ++high) {
      if (present_[high]) offer(low, high);
    }
  }

  void look_everywhere() {
    for (std::size_t i = 0; i < count_; ++i) {
      if (present_[i]) look_for_partner(i);
    }
  }

  void join(std::size_t low, std::size_t high) {
    present_[high] = false;
    best_[high] = kNothing;
    joined_[high] = low;
    for (std::size_t i = 0; i < count_; ++i) {
      if (!present_[i] || i == low) continue;
      double& similarity = at(std::min(i, low), std::max(i, low));
      similarity = alpha_ * std::min(similarity, at(std::min(i, high), std::max(i, high)));
    }
    const std::size_t network = network_[low];
    if (network == network_[high] && ++within_[network] == allowed_[network]) {
      return look_everywhere();
    }
    look_for_partner(low);
    for (std::size_t i = 0; i < high; ++i) {
      if (!present_[i] || i == low) continue;
      if (partner_[i] == low || partner_[i] == high) {
        look_for_partner(i);
      } else if (i < low) {
        offer(i, low);
      }
    }
  }

  std::size_t count_;
  double alpha_;
  std::vector<double> similarity_;  // above the diagonal
  std::vector<std::size_t> joined_;
  std::vector<bool> present_;
  std::vector<std::size_t> network_;
  std::vector<std::int64_t> allowed_;  // merges within each network
  std::vector<std::int64_t> within_;
  std::vector<std::size_t> partner_;
  std::vector<double> best_;
};

void check_options(const ZipOptions& options) {
  if (!(options.alpha > 0 && options.alpha <= 1)) {
    throw InputError("zipit: alpha is {}; expected more than 0, at most 1", options.alpha);
  }
  if (!(options.beta >= 0 && options.beta <= 1)) {
    throw InputError("zipit: beta is {}; expected 0 to 1", options.beta);
  }
}

}  // namespace

std::vector<std::int64_t> UnitZip::sizes() const {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(width), 0);
  for (const std::int64_t unit : into) ++sizes[static_cast<std::size_t>(unit)];
  return sizes;
}

UnitZip zip_units(std::span<const double> similarity, std::size_t networks, std::size_t units,
                  const ZipOptions& options) {
  check_options(options);
  const std::size_t count = networks * units;
  if (networks < 2 || units == 0 || similarity.size() != count * count) {
    throw InputError("zipit: {} similarities of the units of {} networks with {} each",
                     similarity.size(), networks, units);
  }
  for (std::size_t i = 0; i < similarity.size(); ++i) {
    if (i / count < i % count && !std::isfinite(similarity[i])) {
      throw InputError("zipit: the similarity of units {} and {} is not finite", i / count,
                       i % count);
    }
  }
  Zipper zipper(similarity, networks, units, options);
  for (std::size_t left = count; left > units; --left) {
    check_interrupt();
    zipper.merge_best_pair();
  }
  return zipper.result();
}

UnitZip keep_apart(std::size_t networks, std::size_t units) {
  UnitZip zip{.into = std::vector<std::int64_t>(networks * units),
              .width = static_cast<std::int64_t>(networks * units),
              .within = std::vector<std::int64_t>(networks, 0)};
  std::iota(zip.into.begin(), zip.into.end(), 0);
  return zip;
}

}  // namespace amalgam::learned

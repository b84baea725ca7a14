#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"

// The task-vector family once more, written from its description alone: plain loops, whole vectors
// in memory, full sorts, one random number at a time.
namespace amalgam::testing::reference {

struct Member {
  double weight = 1;
  double density = 1;
  double gamma = 0.01;
  double epsilon = 0.15;
};

struct Options {
  std::string sparsify = "none";  ///< none, magnitude, random, outliers, magprune
  bool consensus = false;
  std::string elect = "sum";
  std::string merge = "sum";  ///< sum, mean, max
  std::string rescale = "false";
  std::string zero_sign = "plus";
  bool round_half_even = false;
  double trim_density = 1;
  double lambda = 1;
  std::uint64_t seed = 0;
};

struct Tensor {
  std::string name;
  std::size_t row = 1;
  std::vector<std::vector<double>> x;  ///< values exact in the type merged in
  std::vector<double> base;
};

inline std::size_t count_of(double share, std::size_t n, bool round_half_even) {
  const double exact = share * static_cast<double>(n);
  double count = std::floor(exact);
  if (round_half_even) {
    const double rest = exact - count;
    const bool odd = std::fmod(count, 2.0) == 1.0;
    if (rest > 0.5 || (rest == 0.5 && odd)) count += 1;
  }
  return std::min(n, std::max<std::size_t>(1, static_cast<std::size_t>(count)));
}

/// Positions by descending magnitude, ties by index.
inline std::vector<std::size_t> ranking(const std::vector<double>& d) {
  std::vector<std::size_t> order(d.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return std::abs(d[a]) > std::abs(d[b]); });
  return order;
}

inline double uniform(const std::string& name, std::uint64_t seed, std::size_t member,
                      std::uint64_t e) {
  const std::uint64_t key = fnv1a64(name) ^ seed;
  const auto words =
      philox4x32({static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
                 {static_cast<std::uint32_t>(e / 4), static_cast<std::uint32_t>((e / 4) >> 32),
                  static_cast<std::uint32_t>(member), 0});
  return words[e % 4] * 0x1p-32;
}

/// Which elements of a concatenation of tensors survive a threshold method.
inline std::vector<bool> survivors(const std::vector<double>& d, const Options& options,
                                   const Member& member, double share,
                                   const std::string& sparsify) {
  const std::size_t n = d.size();
  std::vector<bool> keep(n, false);
  if (n == 0) return keep;
  const std::size_t kept = count_of(share, n, options.round_half_even);
  std::size_t top = 0;
  if (sparsify == "outliers") {
    top = static_cast<std::size_t>(std::floor(member.gamma * static_cast<double>(n)));
    if (kept + top > n) top = n - kept;
  }
  const auto order = ranking(d);
  for (std::size_t r = top; r < top + kept; ++r) keep[order[r]] = true;
  return keep;
}

inline double norm(const std::vector<double>& d, const std::string& kind) {
  double sum = 0;
  for (const double value : d) {
    if (kind == "linf") sum = std::max(sum, std::abs(value));
    if (kind == "l2") sum += value * value;
    if (kind == "l1" || kind == "true") sum += std::abs(value);
  }
  return kind == "l2" ? std::sqrt(sum) : sum;
}

/// Merges tensors that form one unit (one tensor, or all of a model). `single`: differences are
/// rounded to float. `members[t][m]`; `lambdas` of each tensor come from options.
inline std::vector<std::vector<double>> merge(const std::vector<Tensor>& tensors,
                                              const std::vector<Member>& members,
                                              const Options& options, bool single) {
  const std::size_t count = members.size();
  // differences[m][t]
  std::vector<std::vector<std::vector<double>>> d(count);
  for (std::size_t m = 0; m < count; ++m) {
    for (const Tensor& tensor : tensors) {
      std::vector<double> difference(tensor.base.size());
      for (std::size_t i = 0; i < difference.size(); ++i) {
        difference[i] = single ? static_cast<double>(static_cast<float>(tensor.x[m][i]) -
                                                     static_cast<float>(tensor.base[i]))
                               : tensor.x[m][i] - tensor.base[i];
      }
      d[m].push_back(std::move(difference));
    }
  }
  const auto concatenated = [&](std::size_t m) {
    std::vector<double> all;
    for (const auto& part : d[m]) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const auto drop = [&](std::size_t m, const std::vector<bool>& keep) {
    std::size_t i = 0;
    for (auto& part : d[m]) {
      for (double& value : part) {
        if (!keep[i++]) value = 0;
      }
    }
  };

  for (std::size_t m = 0; m < count; ++m) {
    const Member& member = members[m];
    const auto before = d[m];
    if (options.sparsify == "magnitude" || options.sparsify == "outliers") {
      drop(m, survivors(concatenated(m), options, member, member.density, options.sparsify));
    } else if (options.sparsify == "random" && member.density < 1) {
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        for (std::size_t e = 0; e < d[m][t].size(); ++e) {
          if (!(uniform(tensors[t].name, options.seed, m, e) < member.density)) d[m][t][e] = 0;
        }
      }
    } else if (options.sparsify == "magprune" && member.density < 1) {
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        const std::size_t row = tensors[t].row;
        for (std::size_t first = 0; first < d[m][t].size(); first += row) {
          std::vector<std::size_t> order(row);
          std::iota(order.begin(), order.end(), std::size_t{0});
          const auto& original = before[t];
          std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return std::abs(original[first + a]) < std::abs(original[first + b]);
          });
          for (std::size_t r = 0; r < row; ++r) {
            const std::size_t e = first + order[r];
            const double u = uniform(tensors[t].name, options.seed, m, e);
            double p = member.density;
            if (row > 1) {
              p = (member.density - member.epsilon) +
                  2 * member.epsilon * static_cast<double>(r) / static_cast<double>(row - 1);
            }
            if (member.density <= 0 || !(u < p)) d[m][t][e] = 0;
          }
        }
      }
    }
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      double factor = 1;
      if (options.rescale == "inverse_density") {
        factor = member.density > 0 ? 1 / member.density : 1;
      } else if (options.rescale != "false") {
        const double all = norm(before[t], options.rescale);
        const double kept = norm(d[m][t], options.rescale);
        if (all >= 1e-7 && kept >= 1e-7) factor = all / kept;
      }
      for (double& value : d[m][t]) value *= factor;
    }
    if (options.trim_density < 1) {
      drop(m, survivors(concatenated(m), options, member, options.trim_density, "magnitude"));
    }
  }

  const auto ballot = [&](std::size_t t, std::size_t i) {
    double total = 0;
    for (std::size_t m = 0; m < count; ++m) {
      const double y = members[m].weight * d[m][t][i];
      total += options.elect == "count" ? (y > 0 ? 1.0 : y < 0 ? -1.0 : 0.0) : y;
    }
    return total;
  };
  double zero_sign = 1;
  if (options.consensus && options.zero_sign == "majority") {
    double balance = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      for (std::size_t i = 0; i < tensors[t].base.size(); ++i) {
        const double total = ballot(t, i);
        balance += total > 0 ? 1 : total < 0 ? -1 : 0;
      }
    }
    zero_sign = balance < 0 ? -1 : 1;
  }
  std::vector<std::vector<double>> out;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    std::vector<double> merged(tensors[t].base.size());
    for (std::size_t i = 0; i < merged.size(); ++i) {
      const double votes = ballot(t, i);
      const double sign = votes > 0 ? 1 : votes < 0 ? -1 : zero_sign;
      double total = 0;
      double divisor = 0;
      double largest = 0;
      for (std::size_t m = 0; m < count; ++m) {
        const double y = members[m].weight * d[m][t][i];
        if (options.consensus && !(y * sign > 0)) continue;
        total += y;
        divisor += members[m].weight;
        largest = std::max(largest, std::abs(y));
      }
      if (options.consensus ? divisor == 0 : std::abs(divisor) < 1e-8) divisor = 1;
      if (options.merge == "mean") total /= divisor;
      if (options.merge == "max") total = sign * largest;
      merged[i] = tensors[t].base[i] + total * options.lambda;
    }
    out.push_back(std::move(merged));
  }
  return out;
}

}  // namespace amalgam::testing::reference

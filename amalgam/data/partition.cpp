#include "amalgam/data/partition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "amalgam/core/distributions.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam {
namespace {

constexpr int kMostAttempts = 1000;

void check_clients(std::size_t count, std::size_t clients, std::size_t least) {
  if (clients == 0) throw InputError("a partition over 0 clients; expected at least one");
  if (least > 0 && count / least < clients) {
    throw InputError("{} examples cannot be shared out to {} clients with at least {} each", count,
                     clients, least);
  }
}

std::map<std::int64_t, std::vector<std::size_t>> examples_by_class(
    std::span<const std::int64_t> labels) {
  std::map<std::int64_t, std::vector<std::size_t>> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) {
      throw InputError("example {} has label {}; expected a class number from 0", i, labels[i]);
    }
    classes[labels[i]].push_back(i);
  }
  return classes;
}

// Adds the examples of one class to the clients, in consecutive pieces of the drawn shares.
void share_out(const std::vector<std::size_t>& examples, const std::vector<double>& shares,
               Partition& partition) {
  const auto count = static_cast<double>(examples.size());
  double sum = 0;
  std::size_t begin = 0;
  for (std::size_t client = 0; client < shares.size(); ++client) {
    sum += shares[client];
    const bool last = client + 1 == shares.size();
    const std::size_t end =
        last ? examples.size()
             : std::clamp(static_cast<std::size_t>(std::llround(std::min(sum, 1.0) * count)), begin,
                          examples.size());
    auto& mine = partition[client];
    mine.insert(mine.end(), examples.begin() + static_cast<std::ptrdiff_t>(begin),
                examples.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
}

void sort_all(Partition& partition) {
  for (auto& one : partition) std::sort(one.begin(), one.end());
}

}  // namespace

Partition uniform_partition(std::size_t count, std::size_t clients, std::uint64_t seed) {
  check_clients(count, clients, 1);
  const std::vector<std::size_t> order = shuffled_indices(count, seed, "uniform partition");
  Partition partition(clients);
  for (std::size_t i = 0; i < count; ++i) partition[i % clients].push_back(order[i]);
  sort_all(partition);
  return partition;
}

Partition dirichlet_partition(std::span<const std::int64_t> labels, std::size_t clients,
                              double alpha, std::uint64_t seed, std::size_t least) {
  check_clients(labels.size(), clients, least);
  const bool positive = alpha > 0 && std::isfinite(alpha);
  if (!positive) throw InputError("alpha of a Dirichlet partition is {}; expected > 0", alpha);
  auto classes = examples_by_class(labels);
  for (auto& [label, examples] : classes) {
    const std::vector<std::size_t> order =
        shuffled_indices(examples.size(), seed, fmt::format("dirichlet order {}", label));
    std::vector<std::size_t> shuffled;
    shuffled.reserve(examples.size());
    for (const std::size_t place : order) shuffled.push_back(examples[place]);
    examples = std::move(shuffled);
  }
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    Partition partition(clients);
    for (const auto& [label, examples] : classes) {
      RandomStream random(seed, fmt::format("dirichlet shares {} {}", attempt, label));
      share_out(examples, dirichlet_draw(alpha, clients, random), partition);
    }
    const auto too_small = [&](const auto& one) { return one.size() < least; };
    if (std::any_of(partition.begin(), partition.end(), too_small)) continue;
    sort_all(partition);
    return partition;
  }
  throw InputError(
      "none of {} Dirichlet partitions with alpha {} gives each of {} clients at least {} of {}"
      " examples; use a larger alpha, fewer clients, or ask for fewer",
      kMostAttempts, alpha, clients, least, labels.size());
}

std::vector<std::size_t> long_tailed_choice(std::span<const std::int64_t> labels,
                                            std::size_t classes, double factor,
                                            std::uint64_t seed) {
  const bool usable = factor >= 1 && std::isfinite(factor);
  if (!usable) throw InputError("an imbalance of {}; expected a number from 1", factor);
  const auto by_class = examples_by_class(labels);
  std::size_t largest = 0;
  for (const auto& [label, examples] : by_class) {
    if (static_cast<std::size_t>(label) >= classes) {
      throw InputError("label {}, but there are {} classes", label, classes);
    }
    largest = std::max(largest, examples.size());
  }
  std::vector<std::size_t> chosen;
  for (const auto& [label, examples] : by_class) {
    const double place =
        classes > 1 ? static_cast<double>(label) / static_cast<double>(classes - 1) : 0.0;
    const double wanted = static_cast<double>(largest) * std::pow(factor, -place);
    const std::size_t count =
        std::clamp<std::size_t>(static_cast<std::size_t>(std::llround(wanted)), 1, examples.size());
    const std::vector<std::size_t> order =
        shuffled_indices(examples.size(), seed, fmt::format("imbalance {}", label));
    for (std::size_t i = 0; i < count; ++i) chosen.push_back(examples[order[i]]);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace amalgam

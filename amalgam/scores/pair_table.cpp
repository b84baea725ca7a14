#include "amalgam/scores/pair_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"

namespace amalgam::scores {
namespace {

constexpr std::array kMissing{Missing::observed, Missing::complete, Missing::drop};
// A leaf's table has systems^2 entries, so leaves are few: their number depends on the table alone.
constexpr std::size_t kMostLeaves = 16;
constexpr std::size_t kLeastVotes = 4096;                       // of a leaf
constexpr std::size_t kLeavesMemory = std::size_t{256} << 20U;  // bytes of all leaves, about
// Sums of fractions that are equal on paper differ by less than this share of them.
constexpr double kRounding = 1e-12;

// Adds one ballot's votes on the pairs of measured systems.
void count_observed(PairTable& table, const ScoreTable::Ballot& ballot, double weight,
                    double tie_tolerance) {
  const std::size_t count = ballot.systems.size();
  for (std::size_t a = 0; a < count; ++a) {
    const std::size_t i = ballot.systems[a];
    for (std::size_t b = a + 1; b < count; ++b) {
      const std::size_t j = ballot.systems[b];
      const double difference = ballot.values[a] - ballot.values[b];
      if (difference > tie_tolerance) {
        table.wins[i * table.systems + j] += weight;
      } else if (difference < -tie_tolerance) {
        table.wins[j * table.systems + i] += weight;
      } else {
        table.ties[i * table.systems + j] += weight;
        table.ties[j * table.systems + i] += weight;
      }
    }
  }
}

// Adds what a ballot says of pairs of which one or both are not measured: a measured system with
// average 0-based rank p among k is before a missing one with probability (k - p) / (k + 1), and of
// two missing ones each is before the other with 1/2.
class Completion {
 public:
  /// `takes_part` [systems]: whom a ballot may place; must stay.
  explicit Completion(const std::vector<char>& takes_part)
      : takes_part_(takes_part), measured_(takes_part.size()) {}

  void count(PairTable& table, const ScoreTable::Ballot& ballot, double weight,
             double tie_tolerance) {
    std::ranges::fill(measured_, char{0});
    for (const System system : ballot.systems) measured_[system] = 1;
    missing_.clear();
    for (std::size_t system = 0; system < table.systems; ++system) {
      if (measured_[system] == 0 && takes_part_[system] != 0) missing_.push_back(system);
    }
    if (missing_.empty()) return;
    const auto k = static_cast<double>(ballot.systems.size());
    for (std::size_t a = 0; a < ballot.systems.size(); ++a) {
      double better = 0;
      double equal = 0;
      for (std::size_t b = 0; b < ballot.systems.size(); ++b) {
        if (b == a) continue;
        const double difference = ballot.values[b] - ballot.values[a];
        better += difference > tie_tolerance ? 1 : 0;
        equal += difference <= tie_tolerance && difference >= -tie_tolerance ? 1 : 0;
      }
      const double place = better + 0.5 * equal;
      const double before = weight * (k - place) / (k + 1);
      const std::size_t i = ballot.systems[a];
      for (const std::size_t j : missing_) {
        table.wins[i * table.systems + j] += before;
        table.wins[j * table.systems + i] += weight - before;
      }
    }
    for (const std::size_t i : missing_) {
      for (const std::size_t j : missing_) {
        if (i != j) table.ties[i * table.systems + j] += weight;
      }
    }
  }

 private:
  const std::vector<char>& takes_part_;
  std::vector<char> measured_;
  std::vector<std::size_t> missing_;
};

void count_comparisons(PairTable& table, const Comparisons& comparisons, const Reweighting& factors,
                       std::size_t begin, std::size_t end) {
  for (std::size_t row = begin; row < end; ++row) {
    const double weight = comparisons.weight(row) * factors.comparison(row);
    const std::size_t i = comparisons.first[row];
    const std::size_t j = comparisons.second[row];
    if (comparisons.outcomes[row] > 0) {
      table.wins[i * table.systems + j] += weight;
    } else if (comparisons.outcomes[row] < 0) {
      table.wins[j * table.systems + i] += weight;
    } else {
      table.ties[i * table.systems + j] += weight;
      table.ties[j * table.systems + i] += weight;
    }
  }
}

// [systems]: of whom there is any value or comparison. Nothing can be completed of the others, nor
// may their names change what is said of these.
std::vector<char> measured_systems(const ScoreTable& table) {
  std::vector<char> measured(table.system_count());
  for (const System system : table.row_systems) measured[system] = 1;
  for (const System system : table.comparisons.first) measured[system] = 1;
  for (const System system : table.comparisons.second) measured[system] = 1;
  return measured;
}

struct Range {
  std::size_t begin;
  std::size_t end;
};

Range part(std::size_t count, std::size_t index, std::size_t parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

}  // namespace

std::string_view missing_name(Missing missing) {
  switch (missing) {
    case Missing::observed:
      return "observed";
    case Missing::complete:
      return "complete";
    case Missing::drop:
      return "drop";
  }
  return "";
}

Missing missing_of_name(std::string_view name) {
  for (const Missing missing : kMissing) {
    if (missing_name(missing) == name) return missing;
  }
  throw InputError("'{}' is no way to treat missing scores; expected observed, complete or drop",
                   name);
}

void check_pairs_fit(std::size_t systems) {
  if (systems > kMostPairedSystems) {
    throw InputError(
        "{} systems are {} pairs; what looks at all pairs takes at most {} systems "
        "(mean, z-mean, win-rate and median-rank have no such limit)",
        systems, systems * (systems - 1) / 2, kMostPairedSystems);
  }
}

int PairTable::majority(std::size_t i, std::size_t j) const {
  const double lead = win(i, j) - win(j, i);
  if (std::abs(lead) <= kRounding * votes(i, j)) return 0;
  return lead > 0 ? 1 : -1;
}

void PairTable::combine(PairTable&& other) {
  for (std::size_t at = 0; at < wins.size(); ++at) {
    wins[at] += other.wins[at];
    ties[at] += other.ties[at];
  }
}

PairTable count_pairs(const ScoreTable& table, Missing missing, const Reweighting& factors,
                      const Parallel& parallel, double tie_tolerance, PairNotes* notes) {
  const std::size_t systems = table.system_count();
  const std::size_t votes = table.rows() + table.comparisons.size();
  check_pairs_fit(systems);
  const std::size_t affordable = kLeavesMemory / (2 * sizeof(double) * systems * systems + 1);
  const std::size_t leaves =
      std::clamp<std::size_t>(std::min(votes / kLeastVotes, affordable), 1, kMostLeaves);
  const auto is_dropped = [&](std::size_t ballot) {
    return missing == Missing::drop && table.ballot(ballot).systems.size() < systems;
  };
  std::size_t dropped = 0;
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    dropped += is_dropped(ballot) ? 1 : 0;
  }
  if (notes != nullptr) notes->dropped_ballots = dropped;
  if (dropped > 0 && dropped == table.ballot_count() && table.comparisons.empty()) {
    throw InputError(
        "no task or instance has a value of every system, so none is left without the incomplete "
        "ones; choose another way to treat missing scores (observed or complete)");
  }

  const std::vector<char> takes_part =
      missing == Missing::complete ? measured_systems(table) : std::vector<char>();
  std::optional<PairTable> counted =
      fold(parallel, leaves, [&](std::size_t leaf, std::size_t /*worker*/) {
        PairTable counts(systems);
        Completion completion(takes_part);
        const Range ballots = part(table.ballot_count(), leaf, leaves);
        for (std::size_t ballot = ballots.begin; ballot < ballots.end; ++ballot) {
          const double weight = table.ballot_weight(ballot) * factors.ballot(ballot) *
                                factors.task(table.ballot_tasks[ballot]);
          if (weight == 0.0 || is_dropped(ballot)) continue;
          count_observed(counts, table.ballot(ballot), weight, tie_tolerance);
          if (missing == Missing::complete) {
            completion.count(counts, table.ballot(ballot), weight, tie_tolerance);
          }
        }
        const Range rows = part(table.comparisons.size(), leaf, leaves);
        count_comparisons(counts, table.comparisons, factors, rows.begin, rows.end);
        return counts;
      });
  return std::move(*counted);
}

}  // namespace amalgam::scores

#include "amalgam/scores/disagreement.hpp"

#include <limits>
#include <vector>

#include "amalgam/core/rank_correlation.hpp"

namespace amalgam::scores {
namespace {

class Sums {
 public:
  Sums(std::span<const std::uint32_t> ranks, std::span<const char> is_ranked)
      : ranks_(ranks), is_ranked_(is_ranked) {}

  void add(const ScoreTable::Ballot& ballot, double weight) {
    places_.clear();
    values_.clear();
    for (std::size_t row = 0; row < ballot.systems.size(); ++row) {
      const System system = ballot.systems[row];
      if (is_ranked_[system] == 0) continue;
      places_.push_back(-static_cast<double>(ranks_[system]));
      values_.push_back(ballot.values[row]);
    }
    const auto count = static_cast<double>(places_.size());
    if (count < 2 || weight <= 0) return;
    add(kendall_distance(places_, values_), count * (count - 1) / 2, weight);
  }

  void add(System first, System second, int outcome, double weight) {
    if (is_ranked_[first] == 0 || is_ranked_[second] == 0 || weight <= 0) return;
    const int placed = ranks_[first] < ranks_[second] ? 1 : ranks_[first] > ranks_[second] ? -1 : 0;
    const double distance = placed == outcome ? 0.0 : placed == 0 || outcome == 0 ? 0.5 : 1.0;
    add(distance, 1, weight);
  }

  Disagreement finish() const {
    if (weights_ <= 0) {
      return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
    }
    return {distances_ / weights_, distances_ / pairs_};
  }

 private:
  void add(double distance, double pairs, double weight) {
    distances_ += weight * distance;
    pairs_ += weight * pairs;
    weights_ += weight;
  }

  std::span<const std::uint32_t> ranks_;
  std::span<const char> is_ranked_;
  std::vector<double> places_;
  std::vector<double> values_;
  double distances_ = 0;
  double pairs_ = 0;
  double weights_ = 0;
};

}  // namespace

Disagreement disagreement(const ScoreTable& table, std::span<const std::uint32_t> ranks,
                          std::span<const char> is_ranked) {
  Sums sums(ranks, is_ranked);
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    sums.add(table.ballot(ballot), table.ballot_weight(ballot));
  }
  const Comparisons& comparisons = table.comparisons;
  for (std::size_t row = 0; row < comparisons.size(); ++row) {
    sums.add(comparisons.first[row], comparisons.second[row], comparisons.outcomes[row],
             comparisons.weight(row));
  }
  return sums.finish();
}

}  // namespace amalgam::scores

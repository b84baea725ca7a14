#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// Two systems met.
struct Contest {
  System first = 0;
  System second = 0;
  float weight = 1;         ///< > 0
  std::int8_t outcome = 0;  ///< 1: the first won, -1: the second won, 0: a tie
};

/// Calls visit(contest) for what a table says, one after another: all pairs of each ballot, in the
/// order of the ballots and of the systems in them, then the comparisons in the order in which they
/// came. What has no weight is left out.
template <class F>
void for_contests(const ScoreTable& table, const Reweighting& factors, F visit) {
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    const ScoreTable::Ballot ballot = table.ballot(index);
    const double weight = table.ballot_weight(index) * factors.ballot(index) *
                          factors.task(table.ballot_tasks[index]);
    if (!(weight > 0)) continue;
    for (std::size_t a = 0; a < ballot.systems.size(); ++a) {
      for (std::size_t b = a + 1; b < ballot.systems.size(); ++b) {
        const int outcome =
            (ballot.values[a] > ballot.values[b]) - (ballot.values[a] < ballot.values[b]);
        visit(Contest{ballot.systems[a], ballot.systems[b], static_cast<float>(weight),
                      static_cast<std::int8_t>(outcome)});
      }
    }
  }
  const Comparisons& comparisons = table.comparisons;
  for (std::size_t row = 0; row < comparisons.size(); ++row) {
    const double weight = comparisons.weight(row) * factors.comparison(row);
    if (!(weight > 0)) continue;
    visit(Contest{comparisons.first[row], comparisons.second[row], static_cast<float>(weight),
                  comparisons.outcomes[row]});
  }
}

/// All of them in a list, to be put into other orders. InputError beyond 2^28 (4 GiB).
std::vector<Contest> contests_of(const ScoreTable& table, const Reweighting& factors);

}  // namespace amalgam::scores

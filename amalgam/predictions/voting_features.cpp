#include "amalgam/predictions/voting_features.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

constexpr std::uint32_t kMostEnumerated = 64;
constexpr std::uint32_t kMostClasses = 10'000;

// The votes of the true class first, then those of the others in descending order: which of the
// others has how many does not matter.
using Votes = std::vector<std::uint64_t>;

void check(const std::vector<FeatureGroup>& groups, const VotingShift& shift) {
  if (shift.classes == 0 || shift.classes > kMostClasses) {
    throw InputError("{} classes; expected 1 to {}", shift.classes, kMostClasses);
  }
  if (!(shift.strength >= 0 && shift.strength <= 1)) {
    throw InputError("a shift of strength {}; expected a probability", shift.strength);
  }
  for (const FeatureGroup& group : groups) {
    if (group.weight == 0) throw InputError("features that vote with weight 0");
  }
}

// The probability of winning, ties broken at random.
double winning(const Votes& votes) {
  const auto rivals = std::ranges::count(votes.begin() + 1, votes.end(), votes.front());
  if (std::any_of(votes.begin() + 1, votes.end(),
                  [&](std::uint64_t other) { return other > votes.front(); })) {
    return 0;
  }
  return 1.0 / static_cast<double>(1 + rivals);
}

Votes after_vote(Votes votes, std::size_t place, std::uint64_t weight) {
  votes[place] += weight;
  // Only one place has grown: move it before those it has overtaken.
  while (place > 1 && votes[place] > votes[place - 1]) {
    std::swap(votes[place], votes[place - 1]);
    --place;
  }
  return votes;
}

}  // namespace

double voting_accuracy(const std::vector<FeatureGroup>& groups, const VotingShift& shift) {
  check(groups, shift);
  std::uint64_t spurious = 0;
  for (const FeatureGroup& group : groups) spurious += group.spurious;
  if (spurious > kMostEnumerated) {
    throw InputError("{} spurious features; expected at most {} to enumerate", spurious,
                     kMostEnumerated);
  }
  const double other = shift.strength / shift.classes;
  std::map<Votes, double> outcomes{{Votes(shift.classes), 1.0}};
  for (const FeatureGroup& group : groups) {
    for (std::uint32_t feature = 0; feature < group.spurious; ++feature) {
      std::map<Votes, double> next;
      for (const auto& [votes, probability] : outcomes) {
        next[after_vote(votes, 0, group.weight)] += probability * (1 - shift.strength + other);
        for (std::size_t place = 1; place < votes.size(); ++place) {
          next[after_vote(votes, place, group.weight)] += probability * other;
        }
      }
      outcomes = std::move(next);
    }
  }
  std::uint64_t sure = 0;
  for (const FeatureGroup& group : groups) {
    sure += std::uint64_t{group.invariant} * group.weight;
  }
  double accuracy = 0;
  for (const auto& [votes, probability] : outcomes) {
    accuracy += probability * winning(after_vote(votes, 0, sure));
  }
  return accuracy;
}

double sampled_voting_accuracy(const std::vector<FeatureGroup>& groups, const VotingShift& shift,
                               std::uint64_t draws, std::uint64_t seed) {
  check(groups, shift);
  if (draws == 0) throw InputError("0 draws; expected at least 1");
  RandomStream random(seed, "votes");
  double sum = 0;
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    Votes votes(shift.classes);
    for (const FeatureGroup& group : groups) {
      votes.front() += std::uint64_t{group.invariant} * group.weight;
      for (std::uint32_t feature = 0; feature < group.spurious; ++feature) {
        const bool kept = random.uniform() >= shift.strength;
        votes[kept ? 0 : random.below(shift.classes)] += group.weight;
      }
    }
    sum += winning(votes);
  }
  return sum / static_cast<double>(draws);
}

}  // namespace amalgam

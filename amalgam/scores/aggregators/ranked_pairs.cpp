#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

struct Majority {
  std::int64_t lead;
  System better;
  System worse;
};

std::vector<Majority> majorities_by_strength(const kemeny::Leads& leads) {
  std::vector<Majority> majorities;
  for (std::size_t i = 0; i < leads.systems; ++i) {
    for (std::size_t j = 0; j < leads.systems; ++j) {
      if (leads.lead(i, j) <= 0) continue;
      majorities.push_back({leads.lead(i, j), static_cast<System>(i), static_cast<System>(j)});
    }
  }
  std::ranges::stable_sort(majorities, std::ranges::greater{}, &Majority::lead);
  return majorities;
}

// What follows from the majorities that were kept.
class Reach {
 public:
  explicit Reach(std::size_t systems) : systems_(systems), reach_(systems * systems) {}
  bool operator()(std::size_t from, std::size_t to) const {
    return reach_[from * systems_ + to] != 0;
  }
  void keep(std::size_t better, std::size_t worse) {
    if ((*this)(better, worse)) return;
    for (std::size_t i = 0; i < systems_; ++i) {
      if (i != better && !(*this)(i, better)) continue;
      reach_[i * systems_ + worse] = 1;
      for (std::size_t j = 0; j < systems_; ++j) {
        if (reach_[worse * systems_ + j] != 0) reach_[i * systems_ + j] = 1;
      }
    }
  }

 private:
  std::size_t systems_;
  std::vector<char> reach_;
};

// Keeps those of equal majorities that close no cycle with stronger ones, nor with each other:
// which one of a cycle to leave out would be a matter of names. How many of each other were left
// out.
std::size_t keep_equal(std::span<const Majority> equal, Reach& kept) {
  const Reach stronger = kept;
  Reach all = kept;
  for (const Majority& majority : equal) {
    if (!stronger(majority.worse, majority.better)) all.keep(majority.better, majority.worse);
  }
  std::size_t left_out = 0;
  for (const Majority& majority : equal) {
    if (stronger(majority.worse, majority.better)) continue;
    if (all(majority.worse, majority.better)) {
      ++left_out;
    } else {
      kept.keep(majority.better, majority.worse);
    }
  }
  return left_out;
}

class RankedPairs final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "ranked-pairs",
        .summary =
            "Keeps majorities from the largest lead to the smallest, but for those that would "
            "close a cycle. Elects the Condorcet winner.",
        .source = "Tideman 1987, \"Independence of clones as a criterion for voting rules\"",
        .score = "systems that this one is better than, and half of those that equal it"};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    Reach kept(voted.pairs.systems);
    std::size_t left_out = 0;
    const std::vector<Majority> majorities = majorities_by_strength(kemeny::leads_of(voted.pairs));
    for (std::size_t begin = 0; begin < majorities.size();) {
      std::size_t end = begin;
      while (end < majorities.size() && majorities[end].lead == majorities[begin].lead) ++end;
      left_out += keep_equal(std::span(majorities).subspan(begin, end - begin), kept);
      begin = end;
    }
    Ranking ranking = ranking_of_relation(voted.pairs.systems,
                                          [&](std::size_t i, std::size_t j) { return kept(i, j); });
    warn_of_silent_pairs(voted.pairs, ranking);
    if (left_out > 0) {
      ranking.warnings.push_back(
          fmt::format("{} majorities of equal lead close cycles with each other and were all left "
                      "out",
                      left_out));
    }
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& ranked_pairs() {
  static const RankedPairs kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators

#include <algorithm>
#include <numeric>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/order_ranking.hpp"

namespace amalgam::scores::aggregators {
namespace {

// Systems on either side of a random pivot by the majority between them and it, a coin where there
// is none; then each side. Sides wait on a stack, so that no order of systems is too deep.
kemeny::Order quick_sort(const PairTable& pairs, RandomStream& random) {
  kemeny::Order order;
  kemeny::Order all(pairs.systems);
  std::iota(all.begin(), all.end(), 0U);
  std::vector<kemeny::Order> waiting{std::move(all)};
  while (!waiting.empty()) {
    kemeny::Order systems = std::move(waiting.back());
    waiting.pop_back();
    if (systems.size() < 2) {
      order.insert(order.end(), systems.begin(), systems.end());
      continue;
    }
    const System pivot = systems[random.below(systems.size())];
    kemeny::Order better;
    kemeny::Order worse;
    for (const System system : systems) {
      if (system == pivot) continue;
      const int majority = pairs.majority(system, pivot);
      const bool is_better = majority > 0 || (majority == 0 && random.below(2) == 0);
      (is_better ? better : worse).push_back(system);
    }
    waiting.push_back(std::move(worse));
    waiting.push_back({pivot});
    waiting.push_back(std::move(better));
  }
  return order;
}

class QuickKemeny final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "quick-kemeny",
        .summary =
            "Quick sort by majorities with random pivots, the nearest to the votes of several "
            "runs: the expected cost of a run is a constant times the least.",
        .source = "Ailon, Charikar and Newman 2008, \"Aggregating inconsistent information\"",
        .parameters = {{.name = "runs",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "of which the order of least cost is taken",
                        .default_value = 20.0,
                        .low = 1,
                        .high = 1e6}},
        .score = "systems placed behind",
        .raw = "votes that the system's place is against",
        .random = true};
    return kInfo;
  }

  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& context) const override {
    const VotedPairs voted = voted_pairs(pairs, info().name);
    const kemeny::Leads leads = kemeny::leads_of(voted.pairs);
    RandomStream random(context.seed, "quick-kemeny");
    kemeny::Order best;
    std::int64_t least = 0;
    const auto runs = static_cast<std::size_t>(context.parameters.number("runs"));
    for (std::size_t run = 0; run < runs; ++run) {
      kemeny::Order order = quick_sort(voted.pairs, random);
      const std::int64_t cost = leads.cost(order);
      if (run > 0 && cost >= least) continue;
      least = cost;
      best = std::move(order);
    }
    Ranking ranking = ranking_of_order(voted.pairs, best);
    warn_of_silent_pairs(voted.pairs, ranking);
    ranking.certificate = certificate_by_cycles(voted.pairs, best);
    return ranking_of_all(pairs.systems, voted, std::move(ranking));
  }
};

}  // namespace

const RankAggregator& quick_kemeny() {
  static const QuickKemeny kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators

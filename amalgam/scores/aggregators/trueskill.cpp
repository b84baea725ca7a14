#include <cmath>
#include <limits>

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/met_systems.hpp"
#include "amalgam/scores/strength/gaussian_ratings.hpp"

namespace amalgam::scores::aggregators {
namespace {

class TrueSkill final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "trueskill",
        .summary =
            "Skills as normal distributions, narrowed by every comparison in turn; for "
            "streams of comparisons of systems that may change.",
        .source = "Herbrich, Minka and Graepel 2006, for two players",
        .parameters = parameters(),
        .score = "mean skill",
        .raw = "skill that is exceeded with 99.9 %: mean - 3 standard deviations",
        .other_missing = false,
        .ordered = true};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    GaussianRatings ratings(table.system_count(),
                            {.mean = context.parameters.number("mean"),
                             .deviation = context.parameters.number("deviation"),
                             .performance = context.parameters.number("performance"),
                             .drift = context.parameters.number("drift"),
                             .draw = context.parameters.number("draw")});
    MetSystems met(table.system_count());
    for_contests(table, context.factors, [&](const Contest& contest) {
      met.note(contest);
      ratings.absorb(contest);
    });
    Ranking ranking{.scores = ratings.means(), .tie_tolerance = 1e-9};
    std::vector<double>& deviations = ranking.columns["standard deviation"];
    for (std::size_t system = 0; system < table.system_count(); ++system) {
      deviations.push_back(std::sqrt(ratings.variances()[system]));
      ranking.raw.push_back(ratings.means()[system] - 3 * deviations.back());
    }
    met.leave_out_others(table.systems, ranking);
    return ranking;
  }

 private:
  static ParameterInfo positive(const char* name, const char* doc, double value) {
    return {
        .name = name, .doc = doc, .default_value = value, .low = 0, .high = 1e9, .low_open = true};
  }

  static std::vector<ParameterInfo> parameters() {
    return {
        {.name = "mean",
         .doc = "of a skill before the first comparison",
         .default_value = 25.0,
         .low = -1e9,
         .high = 1e9},
        positive("deviation", "standard deviation of a skill before the first comparison",
                 25.0 / 3),
        positive("performance", "standard deviation of a performance around the skill", 25.0 / 6),
        {.name = "drift",
         .doc = "standard deviation by which a skill may change before each comparison",
         .default_value = 25.0 / 300,
         .low = 0,
         .high = 1e9},
        {.name = "draw",
         .doc = "probability that two equal systems tie",
         .default_value = 0.1,
         .low = 0,
         .high = 1,
         .high_open = true}};
  }
};

}  // namespace

const RankAggregator& trueskill() {
  static const TrueSkill kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators

#include "amalgam/scores/strength/elo.hpp"

#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/aggregators/met_systems.hpp"

namespace amalgam::scores::aggregators {
namespace {

class Elo final : public RankAggregator {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{
        .name = "elo",
        .summary =
            "Ratings that move after every comparison by how surprising it was; they depend "
            "on the order of comparisons, unless they are the mean over many orders.",
        .source = "Elo 1978, \"The Rating of Chessplayers\"",
        .parameters = parameters(),
        .score = "rating",
        .other_missing = false,
        .random = true,
        .ordered = true};
    return kInfo;
  }

  Ranking rank(const ScoreTable& table, const RankContext& context) const override {
    const EloOptions options{.k = context.parameters.number("k"),
                             .start = context.parameters.number("start"),
                             .scale = context.parameters.number("scale")};
    const auto shuffles = static_cast<std::size_t>(context.parameters.number("shuffles"));
    MetSystems met(table.system_count());
    Ranking ranking{.tie_tolerance = 1e-9};
    if (shuffles == 0) {
      EloRatings ratings(table.system_count(), options);
      for_contests(table, context.factors, [&](const Contest& contest) {
        met.note(contest);
        ratings.absorb(contest);
      });
      ranking.scores = ratings.ratings();
    } else {
      std::vector<Contest> contests = contests_of(table, context.factors);
      for (const Contest& contest : contests) met.note(contest);
      MeanRatings mean = elo_over_orders(std::move(contests), table.system_count(), options,
                                         shuffles, context.seed, context.parallel);
      ranking.scores = std::move(mean.ratings);
      ranking.columns["deviation over orders"] = std::move(mean.deviations);
    }
    met.leave_out_others(table.systems, ranking);
    return ranking;
  }

 private:
  static std::vector<ParameterInfo> parameters() {
    return {{.name = "k",
             .doc = "points that one comparison moves at most",
             .default_value = 4.0,
             .low = 0,
             .high = 1e6,
             .low_open = true},
            {.name = "start",
             .doc = "rating before the first comparison",
             .default_value = 1000.0,
             .low = -1e9,
             .high = 1e9},
            {.name = "scale",
             .doc = "this many points ahead is odds of 10 to 1",
             .default_value = 400.0,
             .low = 0,
             .high = 1e9,
             .low_open = true},
            {.name = "shuffles",
             .kind = ParameterInfo::Kind::integer,
             .doc = "the rating is the mean over so many random orders; 0: in the order of the "
                    "file",
             .default_value = 0.0,
             .low = 0,
             .high = 1e6}};
  }
};

}  // namespace

const RankAggregator& elo() {
  static const Elo kRule;
  return kRule;
}

}  // namespace amalgam::scores::aggregators

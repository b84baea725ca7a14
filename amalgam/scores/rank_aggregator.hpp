#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/parameters.hpp"
#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// What a method says of itself, for `amalgam rank methods`.
struct RankAggregatorInfo {
  std::string name;     ///< hyphenated words
  std::string summary;  ///< one sentence
  std::string source;   ///< paper, section or equation
  std::vector<ParameterInfo> parameters;
  std::string score;  ///< what the score of a system is ("points", "log-strength")
  std::string raw;    ///< what Ranking::raw is; empty: the score itself
  Missing missing = Missing::observed;  ///< how gaps are treated unless another way is asked for
  bool ordinal = true;                  ///< only the order of values within a ballot matters
  bool from_ballots = false;            ///< needs values, not only outcomes of comparisons
  bool from_comparisons = false;        ///< needs comparisons, not values
  bool other_missing = true;            ///< Missing may be chosen
  bool completes = true;                ///< Missing::complete is possible
  bool random = false;                  ///< the result depends on the seed
  bool ordered = false;                 ///< the result depends on the order of comparisons
};

/// What a ranking is made with.
struct RankContext {
  Parameters parameters;  ///< of the method, checked, defaults filled in
  Missing missing = Missing::observed;
  Reweighting factors = {};
  std::uint64_t seed = 0;
  Parallel parallel = {};
  /// A fit on nearly the same data to start from: log-strengths [systems]; may be empty.
  std::span<const double> start = {};
};

/// What is proven of a ranking that minimises a cost.
struct Certificate {
  bool optimal = false;  ///< the objective is the least possible
  double objective = 0;  ///< cost of the ranking
  double bound = 0;      ///< no ranking costs less than this
  bool unique = false;   ///< no other ranking costs as little (false also where not known)
};

/// A system without a score, because nothing is known of it, has NaN.
struct Ranking {
  std::vector<double> scores;  ///< [systems], higher is better
  std::vector<double> raw;     ///< [systems], the rule's own figure; empty: the scores
  double tie_tolerance = 0;    ///< scores that differ by no more are equal
  std::optional<Certificate> certificate = {};
  std::vector<std::string> warnings = {};
  /// Further figures by name: one per system ("standard error"), or one of the fit ("tie
  /// parameter").
  std::map<std::string, std::vector<double>> columns = {};
  std::map<std::string, double> figures = {};
};

/// One way to make one order of many. Stateless and shared.
class RankAggregator {
 public:
  virtual ~RankAggregator() = default;
  virtual const RankAggregatorInfo& info() const = 0;
  /// InputError where the table does not determine a ranking, saying why (the components of a
  /// disconnected comparison graph, a table of comparisons only for a rule that needs values).
  virtual Ranking rank(const ScoreTable& table, const RankContext& context) const = 0;
};

/// A rule that sees votes on pairs alone.
class PairwiseRule : public RankAggregator {
 public:
  Ranking rank(const ScoreTable& table, const RankContext& context) const final;
  /// `table` gives the names for errors and warnings; its measurements are not looked at.
  virtual Ranking rank_pairs(const PairTable& pairs, const StringPool& systems,
                             const RankContext& context) const = 0;

 protected:
  /// Adds to a ranking by rank() what needs the measurements, such as standard errors.
  virtual void add_details(const ScoreTable& /*table*/, const PairTable& /*pairs*/,
                           const RankContext& /*context*/, Ranking& /*ranking*/) const {}
};

/// All methods in one table, in the order of `amalgam rank methods`.
std::span<const RankAggregator* const> rank_aggregators();
/// The method called `name`; InputError with the nearest name otherwise.
const RankAggregator& find_rank_aggregator(std::string_view name);

/// Ranks by `method` with "name=value" parameters: what `amalgam rank` does. `missing`: the
/// method's own way if not given. InputError for parameters that do not fit, a way with gaps that
/// the method does not have, and as RankAggregator::rank.
Ranking rank_systems(std::string_view method, const ScoreTable& table,
                     std::span<const std::string> parameters = {},
                     std::optional<Missing> missing = std::nullopt, RankContext context = {});

/// A context for `method` with "name=value" parameters; `missing`: its own way if not given.
/// InputError as rank_systems for what does not depend on the table.
RankContext rank_context(const RankAggregator& method, std::span<const std::string> parameters = {},
                         std::optional<Missing> missing = std::nullopt);

/// Ranks by `method` after checking that the table fits it: `context` is of rank_context().
Ranking rank_checked(const RankAggregator& method, const ScoreTable& table,
                     const RankContext& context);

/// [systems]: 1 + the number of systems that are strictly better; systems without a score come
/// after all others, sharing a rank. Scores in a chain of neighbours that differ by no more than
/// `tie_tolerance` are equal.
std::vector<std::uint32_t> ranks_of(std::span<const double> scores, double tie_tolerance = 0);

/// Systems from best to worst by rank; those of one rank in the order of their numbers.
std::vector<System> order_of(std::span<const std::uint32_t> ranks);

}  // namespace amalgam::scores

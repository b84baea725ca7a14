#include "amalgam/scores/uncertainty/split_halves.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/scores/uncertainty/table_part.hpp"

namespace amalgam::scores {
namespace {

struct Draw {
  double agreed = 0;     // pairs
  double confirmed = 0;  // of those
  double pairs = 0;      // ranked by both halves and by all
  std::string failure;
};

// [ballots and comparisons]: 0 or 1, the half of each; the second is the larger one by one of an
// odd number.
std::vector<char> draw_halves(std::size_t parts, std::uint64_t seed, std::size_t index) {
  RandomStream random(seed, fmt::format("split halves/{}", index));
  std::vector<std::uint32_t> order(parts);
  std::iota(order.begin(), order.end(), 0U);
  std::vector<char> half(parts, 1);
  for (std::size_t k = 0; k < parts / 2; ++k) {
    std::swap(order[k], order[k + random.below(parts - k)]);
    half[order[k]] = 0;
  }
  return half;
}

// [systems of the table]: the ranks that one half gives; 0: not ranked.
std::vector<std::uint32_t> ranks_of_half(const RankAggregator& method, const ScoreTable& table,
                                         const RankContext& context, const std::vector<char>& half,
                                         char which) {
  std::vector<char> rows(table.rows());
  std::vector<char> comparisons(table.comparisons.size());
  for (std::size_t ballot = 0; ballot < table.ballot_count(); ++ballot) {
    for (std::uint64_t row = table.ballot_begins[ballot]; row < table.ballot_begins[ballot + 1];
         ++row) {
      rows[row] = half[ballot] == which ? 1 : 0;
    }
  }
  for (std::size_t row = 0; row < comparisons.size(); ++row) {
    comparisons[row] = half[table.ballot_count() + row] == which ? 1 : 0;
  }
  const TablePart part = part_of_table(table, rows, comparisons);
  if (part.systems.size() < 2) throw InputError("a half measured fewer than two systems");
  const Ranking ranking = method.rank(part.table, context);
  const std::vector<std::uint32_t> found = ranks_of(ranking.scores, ranking.tie_tolerance);
  std::vector<std::uint32_t> ranks(table.system_count());
  for (System i = 0; i < part.systems.size(); ++i) {
    if (!std::isnan(ranking.scores[i])) ranks[part.systems[i]] = found[i];
  }
  return ranks;
}

int order_in(const std::vector<std::uint32_t>& ranks, std::size_t i, std::size_t j) {
  return ranks[i] < ranks[j] ? 1 : ranks[i] > ranks[j] ? -1 : 0;
}

Draw compare(const std::array<std::vector<std::uint32_t>, 2>& halves,
             const std::vector<std::uint32_t>& all) {
  Draw draw;
  const auto is_ranked = [&](std::size_t i) {
    return all[i] != 0 && halves[0][i] != 0 && halves[1][i] != 0;
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = i + 1; is_ranked(i) && j < all.size(); ++j) {
      if (!is_ranked(j)) continue;
      draw.pairs += 1;
      const int order = order_in(halves[0], i, j);
      if (order == 0 || order != order_in(halves[1], i, j)) continue;
      draw.agreed += 1;
      draw.confirmed += order == order_in(all, i, j) ? 1 : 0;
    }
  }
  if (draw.pairs == 0) draw.failure = "no two systems are ranked by both halves";
  return draw;
}

}  // namespace

SplitHalves split_halves(const RankAggregator& method, const ScoreTable& table,
                         const RankContext& given, const Ranking& ranking,
                         const SplitHalvesOptions& options,
                         const std::function<void(std::size_t)>& progress) {
  const std::size_t parts = table.ballot_count() + table.comparisons.size();
  if (options.draws == 0) throw InputError("halves: 0 draws; expected at least 1");
  if (parts < 2) {
    throw InputError("halves: the table has {} ballots and comparisons; expected at least 2",
                     parts);
  }
  RankContext context = given;
  context.parallel = {1, Runner::sequential};
  std::vector<std::uint32_t> all = ranks_of(ranking.scores, ranking.tie_tolerance);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(ranking.scores[i])) all[i] = 0;
  }
  std::vector<Draw> draws(options.draws);
  parallel_for(options.parallel, draws.size(), [&](std::size_t at, std::size_t /*worker*/) {
    check_interrupt();
    const std::vector<char> half = draw_halves(parts, options.seed, at);
    try {
      draws[at] = compare({ranks_of_half(method, table, context, half, 0),
                           ranks_of_half(method, table, context, half, 1)},
                          all);
    } catch (const InputError& error) {
      draws[at].failure = error.what();
    }
    if (progress) progress(1);
  });
  SplitHalves result;
  double confirmed = 0;
  double agreed = 0;
  for (const Draw& draw : draws) {
    if (!draw.failure.empty()) {
      ++result.failed;
      if (result.first_failure.empty()) result.first_failure = draw.failure;
      continue;
    }
    ++result.draws;
    result.agreed += draw.agreed / draw.pairs;
    agreed += draw.agreed;
    confirmed += draw.confirmed;
  }
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  result.agreed = result.draws == 0 ? kNaN : result.agreed / static_cast<double>(result.draws);
  result.confirmed = agreed > 0 ? confirmed / agreed : kNaN;
  return result;
}

}  // namespace amalgam::scores

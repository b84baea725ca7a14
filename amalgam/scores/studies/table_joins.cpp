#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

struct ColumnPair {
  std::size_t table[2];
  std::size_t column[2];
};

// All pairs of columns of different tables, each unordered pair once.
std::vector<ColumnPair> all_pairs(std::span<const RelationalTable> tables) {
  std::vector<ColumnPair> pairs;
  for (std::size_t a = 0; a < tables.size(); ++a) {
    for (std::size_t b = a + 1; b < tables.size(); ++b) {
      for (std::size_t i = 0; i < tables[a].columns(); ++i) {
        for (std::size_t j = 0; j < tables[b].columns(); ++j) pairs.push_back({{a, b}, {i, j}});
      }
    }
  }
  return pairs;
}

std::uint64_t count_pairs_of_columns(std::span<const RelationalTable> tables) {
  std::uint64_t columns = 0;
  std::uint64_t pairs = 0;
  for (const RelationalTable& table : tables) {
    pairs += columns * table.columns();
    columns += table.columns();
  }
  return pairs;
}

// All pairs, or `most` different ones at random.
std::vector<ColumnPair> column_pairs(std::span<const RelationalTable> tables, std::size_t most,
                                     std::uint64_t seed) {
  const std::uint64_t count = count_pairs_of_columns(tables);
  RandomStream random(seed, "pairs of columns");
  if (count <= 4 * std::uint64_t{most}) {
    std::vector<ColumnPair> pairs = all_pairs(tables);
    for (std::size_t i = 0; i < std::min(most, pairs.size()); ++i) {
      if (pairs.size() > most) std::swap(pairs[i], pairs[i + random.below(pairs.size() - i)]);
    }
    pairs.resize(std::min(most, pairs.size()));
    return pairs;
  }
  // There are many more than are wanted: draws that repeat are rare.
  std::vector<std::pair<std::size_t, std::size_t>> columns;  // table and column
  for (std::size_t t = 0; t < tables.size(); ++t) {
    for (std::size_t c = 0; c < tables[t].columns(); ++c) columns.emplace_back(t, c);
  }
  std::set<std::pair<std::uint64_t, std::uint64_t>> drawn;
  while (drawn.size() < most) {
    const std::uint64_t a = random.below(columns.size());
    const std::uint64_t b = random.below(columns.size());
    if (columns[a].first < columns[b].first) drawn.emplace(a, b);
  }
  std::vector<ColumnPair> pairs;
  for (const auto& [a, b] : drawn) {
    pairs.push_back({{columns[a].first, columns[b].first}, {columns[a].second, columns[b].second}});
  }
  return pairs;
}

// Vectors of a table's columns: of pieces of rows that fit, the mean of those.
Embeddings whole_columns(const TableEmbedder& embedder, const RelationalTable& table) {
  std::vector<RelationalTable> pieces;
  for (std::size_t begin = 0; begin < table.rows();) {
    std::vector<std::size_t> rest(table.rows() - begin);
    std::iota(rest.begin(), rest.end(), begin);
    RelationalTable piece = truncated(embedder, with_rows(table, rest));
    if (piece.rows() == 0) break;
    begin += piece.rows();
    pieces.push_back(std::move(piece));
  }
  Embeddings mean(table.columns(), embedder.dimension());
  for (const TableEmbedding& piece : embed_tables(embedder, pieces, {.columns = true})) {
    for (std::size_t i = 0; i < mean.values.size(); ++i) {
      mean.values[i] += piece.columns.values[i] / static_cast<float>(pieces.size());
    }
  }
  return mean;
}

std::vector<Embeddings> all_columns(const TableEmbedder& embedder,
                                    std::span<const RelationalTable> tables,
                                    const Parallel& parallel) {
  std::vector<Embeddings> columns(tables.size());
  parallel_for(parallel, tables.size(), [&](std::size_t t, std::size_t) {
    check_interrupt();
    columns[t] = whole_columns(embedder, tables[t]);
  });
  return columns;
}

struct Overlaps {
  static constexpr const char* kNames[4]{"containment", "jaccard", "multiset jaccard",
                                         "weighted jaccard"};
  std::vector<double> of[4];  // [pairs] each
  std::vector<ColumnPair> pairs;
};

Overlaps measure_overlaps(std::span<const RelationalTable> tables,
                          const std::vector<ColumnPair>& pairs) {
  std::vector<std::vector<std::vector<std::string>>> columns;
  for (const RelationalTable& table : tables) {
    columns.emplace_back();
    for (std::size_t c = 0; c < table.columns(); ++c) columns.back().push_back(table.column(c));
  }
  Overlaps overlaps;
  for (const ColumnPair& pair : pairs) {
    const ColumnOverlap one = column_overlap(columns[pair.table[0]][pair.column[0]],
                                             columns[pair.table[1]][pair.column[1]]);
    if (std::isnan(one.jaccard)) continue;  // a column of nulls
    overlaps.of[0].push_back(one.containment);
    overlaps.of[1].push_back(one.jaccard);
    overlaps.of[2].push_back(one.multiset_jaccard);
    overlaps.of[3].push_back(one.weighted_jaccard);
    overlaps.pairs.push_back(pair);
  }
  return overlaps;
}

// Spearman over the pairs whose tables were drawn, as often as both were.
double resampled_spearman(const std::vector<double>& cosines, const std::vector<double>& overlaps,
                          const std::vector<ColumnPair>& pairs,
                          std::span<const std::uint32_t> drawn, std::size_t tables) {
  std::vector<std::size_t> times(tables, 0);
  for (const std::uint32_t table : drawn) ++times[table];
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    const std::size_t count = times[pairs[p].table[0]] * times[pairs[p].table[1]];
    x.insert(x.end(), count, cosines[p]);
    y.insert(y.end(), count, overlaps[p]);
  }
  return spearman(x, y);
}

// Correlations of all overlaps with the cosines that `columns` have. A pair in which a column has
// no direction is left out.
void correlate(TableProperty& property, const std::vector<Embeddings>& columns,
               const Overlaps& overlaps, const std::string& suffix, std::size_t resamples,
               std::uint64_t seed) {
  std::vector<double> cosines;
  std::vector<ColumnPair> pairs;
  std::vector<double> kept[4];
  for (std::size_t p = 0; p < overlaps.pairs.size(); ++p) {
    const ColumnPair& pair = overlaps.pairs[p];
    const double one = cosine(columns[pair.table[0]].row(pair.column[0]),
                              columns[pair.table[1]].row(pair.column[1]));
    if (std::isnan(one)) continue;
    cosines.push_back(one);
    pairs.push_back(pair);
    for (std::size_t k = 0; k < 4; ++k) kept[k].push_back(overlaps.of[k][p]);
  }
  property.figures["pairs" + suffix] = static_cast<double>(pairs.size());
  // Each resample ranks all pairs: of very many pairs, fewer resamples do.
  const std::size_t affordable =
      pairs.empty() ? 0 : std::max<std::size_t>(100, 4'000'000 / pairs.size());
  for (std::size_t k = 0; k < 4; ++k) {
    const std::string name = fmt::format("Spearman, {}{}", Overlaps::kNames[k], suffix);
    property.figures[name] = spearman(cosines, kept[k]);
    property.figures[fmt::format("Kendall tau-b, {}{}", Overlaps::kNames[k], suffix)] =
        kendall_tau_b(cosines, kept[k]);
    if (resamples == 0 || columns.size() < 3 || std::isnan(property.figures[name])) continue;
    const Interval interval = bootstrap_interval(
        columns.size(), std::min(resamples, affordable), seed,
        [&](std::span<const std::uint32_t> drawn) {
          const double value = resampled_spearman(cosines, kept[k], pairs, drawn, columns.size());
          return std::isnan(value) ? 0.0 : value;  // no pair was drawn, or all were alike
        });
    property.intervals[name] = interval;
  }
}

std::vector<Embeddings> columns_of_shuffled_rows(const TableEmbedder& embedder,
                                                 std::span<const RelationalTable> tables,
                                                 const TableStudyOptions& options) {
  std::vector<RelationalTable> shuffled;
  for (const RelationalTable& table : tables) {
    const std::uint64_t seed = options.seed ^ content_hash(table);
    shuffled.push_back(with_rows(table, shuffled_indices(table.rows(), seed, "shuffled rows")));
  }
  return all_columns(embedder, shuffled, options.parallel);
}

// Each column where it was, embedded in a table whose columns stand in another order.
std::vector<Embeddings> columns_among_shuffled(const TableEmbedder& embedder,
                                               std::span<const RelationalTable> tables,
                                               const TableStudyOptions& options) {
  std::vector<RelationalTable> shuffled;
  std::vector<std::vector<std::size_t>> orders;
  for (const RelationalTable& table : tables) {
    const std::uint64_t seed = options.seed ^ content_hash(table);
    orders.push_back(shuffled_indices(table.columns(), seed, "shuffled columns"));
    shuffled.push_back(with_columns(table, orders.back()));
  }
  const std::vector<Embeddings> moved = all_columns(embedder, shuffled, options.parallel);
  std::vector<Embeddings> columns;
  for (std::size_t t = 0; t < moved.size(); ++t) {
    columns.emplace_back(moved[t].rows, moved[t].dimension);
    for (std::size_t c = 0; c < moved[t].rows; ++c) {
      std::ranges::copy(moved[t].row(c), columns[t].row(orders[t][c]).begin());
    }
  }
  return columns;
}

}  // namespace

TableProperty join_property(const TableEmbedder& embedder, std::span<const RelationalTable> tables,
                            const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P3", .title = "join relationship"};
  const Overlaps overlaps =
      measure_overlaps(tables, column_pairs(tables, options.most_pairs, options.seed));
  if (overlaps.pairs.size() < 2) {
    property.notes.emplace_back("needs two pairs of columns of different tables or more");
    return property;
  }
  correlate(property, all_columns(embedder, tables, options.parallel), overlaps, "",
            options.resamples, options.seed);
  correlate(property, columns_of_shuffled_rows(embedder, tables, options), overlaps,
            ", rows shuffled", 0, options.seed);
  correlate(property, columns_among_shuffled(embedder, tables, options), overlaps,
            ", columns shuffled", 0, options.seed);
  if (std::isnan(property.figures["Spearman, jaccard"])) {
    property.notes.emplace_back("all overlaps or all cosines are equal: no correlation");
  }
  return property;
}

}  // namespace amalgam::scores

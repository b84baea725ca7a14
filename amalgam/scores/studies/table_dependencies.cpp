#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/string_pool.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// Leading rows beyond `most` are no better than others: draws as many, in their order.
RelationalTable some_rows(const RelationalTable& table, std::size_t most, std::uint64_t seed) {
  if (table.rows() <= most) return table;
  return with_rows(table, distinct_subsets(table.rows(), most, 1, seed).front());
}

bool is_key(const RelationalTable& table, std::size_t column) {
  StringPool seen;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::string& cell = table.cell(r, column);
    if (!cell.empty() && seen.find(cell) != StringPool::npos) return false;
    seen.add(cell);
  }
  return true;
}

struct Candidates {
  std::vector<Dependency> dependencies;  // with a determinant of text that is no key
  std::vector<Dependency> others;        // as many pairs that do not depend, if there are
  std::size_t keys = 0;                  // dependencies on keys, which are not measurable
};

Candidates find_candidates(const RelationalTable& table, std::uint64_t seed) {
  const std::vector<Dependency> all = unary_dependencies(table);
  Candidates found;
  std::vector<bool> usable(table.columns());
  for (std::size_t c = 0; c < table.columns(); ++c) {
    usable[c] = is_text_column(table, c) && !is_key(table, c);
  }
  for (const Dependency& one : all) {
    if (usable[one.determinant]) {
      found.dependencies.push_back(one);
    } else if (is_key(table, one.determinant)) {
      ++found.keys;
    }
  }
  for (std::size_t x = 0; x < table.columns(); ++x) {
    for (std::size_t y = 0; y < table.columns(); ++y) {
      const Dependency pair{x, y};
      if (x != y && !std::ranges::binary_search(all, pair)) found.others.push_back(pair);
    }
  }
  RandomStream random(seed, "pairs without dependency");
  for (std::size_t i = found.others.size(); i > 1; --i) {
    std::swap(found.others[i - 1], found.others[random.below(i)]);
  }
  found.others.resize(std::min(found.others.size(), found.dependencies.size()));
  return found;
}

// The cells of each row, embedded among the rows around it: [rows * columns], zero where not even
// the row alone fits.
Embeddings windowed_cells(const TableEmbedder& embedder, const RelationalTable& table,
                          std::size_t window) {
  constexpr std::size_t kBatch = 64;
  Embeddings cells(table.cells.size(), embedder.dimension());
  std::vector<RelationalTable> windows;
  std::vector<std::size_t> places;  // of the row in its window
  std::vector<std::size_t> rows;
  const auto flush = [&] {
    check_interrupt();
    const auto embedded = embed_tables(embedder, windows, {.cells = true});
    for (std::size_t i = 0; i < windows.size(); ++i) {
      for (std::size_t c = 0; c < table.columns(); ++c) {
        std::ranges::copy(embedded[i].cells.row(places[i] * table.columns() + c),
                          cells.row(rows[i] * table.columns() + c).begin());
      }
    }
    windows.clear();
    places.clear();
    rows.clear();
  };
  const std::size_t most = embedder.most_tokens();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (std::size_t reach = window + 1; reach-- > 0;) {
      const std::size_t begin = row - std::min(row, reach);
      std::vector<std::size_t> which(std::min(table.rows(), row + reach + 1) - begin);
      std::iota(which.begin(), which.end(), begin);
      RelationalTable around = with_rows(table, which);
      if (most != 0 && embedder.tokens(around) > most) continue;
      windows.push_back(std::move(around));
      places.push_back(row - begin);
      rows.push_back(row);
      break;
    }
    if (windows.size() == kBatch) flush();
  }
  flush();
  return cells;
}

GroupSpread spread_of(const RelationalTable& table, const Embeddings& cells,
                      const Dependency& pair) {
  StringPool values;
  StringPool both;
  std::vector<double> lengths;
  std::vector<std::uint32_t> groups;
  const auto is_zero = [](std::span<const float> v) {
    return std::ranges::all_of(v, [](float x) { return x == 0.0F; });
  };
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::string& x = table.cell(r, pair.determinant);
    const std::string& y = table.cell(r, pair.dependent);
    const auto of_x = cells.row(r * table.columns() + pair.determinant);
    const auto of_y = cells.row(r * table.columns() + pair.dependent);
    if (x.empty() || y.empty() || is_zero(of_x) || is_zero(of_y)) continue;
    double squares = 0;
    for (std::size_t i = 0; i < of_x.size(); ++i) {
      const double apart = static_cast<double>(of_x[i]) - of_y[i];
      squares += apart * apart;
    }
    lengths.push_back(std::sqrt(squares));
    groups.push_back(both.add(fmt::format("{},{}", values.add(x), values.add(y))));
  }
  return group_spread(lengths, groups);
}

double mean_of_defined(const std::vector<double>& values) {
  double sum = 0;
  double count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : kNothing;
}

// Mean over tables of dependencies, by that of other pairs, of the drawn tables.
double spread_ratio(const TableMeasure& dependencies, const TableMeasure& others,
                    std::span<const std::uint32_t> drawn) {
  std::vector<double> numerators;
  std::vector<double> denominators;
  for (const std::uint32_t t : drawn) {
    numerators.push_back(mean_of_defined(dependencies.values[t]));
    denominators.push_back(mean_of_defined(others.values[t]));
  }
  const double below = mean_of_defined(denominators);
  return below > 0 ? mean_of_defined(numerators) / below : kNothing;
}

}  // namespace

TableProperty dependency_property(const TableEmbedder& embedder,
                                  std::span<const RelationalTable> tables,
                                  const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P4", .title = "functional dependencies"};
  const std::vector<std::vector<double>> empty(tables.size());
  TableMeasure of_dependencies{"S2, dependencies", empty};
  TableMeasure of_others{"S2, other pairs", empty};
  TableMeasure with_singles{"S2, dependencies, groups of one row too", empty};
  TableMeasure others_with_singles{"S2, other pairs, groups of one row too", empty};
  std::vector<std::string> notes(tables.size());
  parallel_for(options.parallel, tables.size(), [&](std::size_t t, std::size_t) {
    if (tables[t].rows() < options.fewest_dependency_rows) {
      notes[t] = fmt::format("{}: {} rows; dependencies are looked for in {} or more",
                             tables[t].name, tables[t].rows(), options.fewest_dependency_rows);
      return;
    }
    const std::uint64_t seed = options.seed ^ content_hash(tables[t]);
    const RelationalTable table = some_rows(tables[t], options.most_dependency_rows, seed);
    const Candidates found = find_candidates(table, seed);
    if (found.dependencies.empty()) {
      notes[t] = fmt::format("{}: no dependency on a column of text that is no key ({} on keys)",
                             table.name, found.keys);
      return;
    }
    const Embeddings cells = windowed_cells(embedder, table, options.window);
    for (const Dependency& one : found.dependencies) {
      const GroupSpread spread = spread_of(table, cells, one);
      of_dependencies.values[t].push_back(spread.mean);
      with_singles.values[t].push_back(spread.mean_with_singles);
    }
    for (const Dependency& one : found.others) {
      const GroupSpread spread = spread_of(table, cells, one);
      of_others.values[t].push_back(spread.mean);
      others_with_singles.values[t].push_back(spread.mean_with_singles);
    }
  });
  std::vector<std::uint32_t> every(tables.size());
  std::iota(every.begin(), every.end(), 0);
  const double ratio = spread_ratio(of_dependencies, of_others, every);
  property.figures["ratio of S2"] = ratio;
  if (!std::isnan(ratio) && options.resamples > 0 && tables.size() > 1) {
    std::vector<std::uint32_t> with_both;  // a draw without either has no ratio
    for (const std::uint32_t t : every) {
      if (!std::isnan(mean_of_defined(of_dependencies.values[t])) &&
          mean_of_defined(of_others.values[t]) > 0) {
        with_both.push_back(t);
      }
    }
    if (with_both.size() > 1) {
      property.intervals["ratio of S2"] =
          bootstrap_interval(with_both.size(), options.resamples, options.seed,
                             [&](std::span<const std::uint32_t> drawn) {
                               std::vector<std::uint32_t> chosen;
                               for (const std::uint32_t i : drawn) chosen.push_back(with_both[i]);
                               return spread_ratio(of_dependencies, of_others, chosen);
                             });
    }
  }
  for (TableMeasure* measure :
       {&of_dependencies, &of_others, &with_singles, &others_with_singles}) {
    property.measures.push_back(std::move(*measure));
  }
  for (const std::string& note : notes) {
    if (!note.empty()) property.notes.push_back(note);
  }
  return property;
}

}  // namespace amalgam::scores

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/scores/studies/table_properties.hpp"

namespace amalgam::scores {
namespace {

using Numbers = std::vector<std::size_t>;

constexpr std::size_t kBatch = 64;  // variants that are embedded at once

// The vectors of one kind of parts of a table in all variants, the original first.
class Populations {
 public:
  Populations(std::size_t parts, std::size_t variants, std::size_t dimension) {
    constexpr std::size_t kMostNumbers = std::size_t{1} << 28U;  // 1 GB
    if (parts * variants > kMostNumbers / std::max<std::size_t>(1, dimension)) {
      throw InputError(
          "{} vectors of {} numbers in each of {} variants of a table do not fit into memory; take"
          " fewer rows or variants",
          parts, dimension, variants);
    }
    parts_.assign(parts, Embeddings(variants, dimension));
  }

  void set(std::size_t part, std::size_t variant, std::span<const float> vector) {
    std::ranges::copy(vector, parts_[part].row(variant).begin());
  }

  // Mean cosine to the original and coefficient of variation of each part.
  void measure(std::vector<double>& cosines, std::vector<double>& variations,
               CosineSummary& all) const {
    for (const Embeddings& part : parts_) {
      CosineSummary one;
      for (std::size_t v = 1; v < part.rows; ++v) one.add(cosine(part.row(0), part.row(v)));
      cosines.push_back(one.mean());
      all.combine(one);
      variations.push_back(coefficient_of_variation(part));
    }
  }

 private:
  std::vector<Embeddings> parts_;
};

// The measures of one kind of parts, filled table by table.
struct Measured {
  TableMeasure cosines;
  TableMeasure variations;
  std::vector<CosineSummary> all;  // by table

  Measured(const std::string& what, std::size_t tables)
      : cosines{"cosine, " + what, std::vector<std::vector<double>>(tables)},
        variations{"variation, " + what, std::vector<std::vector<double>>(tables)},
        all(tables) {}

  void add(const Populations& populations, std::size_t table) {
    populations.measure(cosines.values[table], variations.values[table], all[table]);
  }
  void finish(TableProperty& property, const std::string& what) {
    property.measures.push_back(std::move(cosines));
    property.measures.push_back(std::move(variations));
    for (const CosineSummary& one : all) property.cosines[what].combine(one);
  }
};

// Embeds variants in batches and hands each to `take`.
void embed_variants(const TableEmbedder& embedder, std::size_t count, const TableLevels& levels,
                    const std::function<RelationalTable(std::size_t)>& variant,
                    const std::function<void(std::size_t, const TableEmbedding&)>& take) {
  for (std::size_t begin = 0; begin < count; begin += kBatch) {
    check_interrupt();
    std::vector<RelationalTable> batch;
    for (std::size_t v = begin; v < std::min(count, begin + kBatch); ++v) {
      batch.push_back(variant(v));
    }
    const std::vector<TableEmbedding> embedded = embed_tables(embedder, batch, levels);
    for (std::size_t i = 0; i < embedded.size(); ++i) take(begin + i, embedded[i]);
  }
}

// Seeds of tables differ, and do not depend on which tables stand beside them.
std::uint64_t table_seed(const TableStudyOptions& options, const RelationalTable& table) {
  return options.seed ^ content_hash(table);
}

void add_notes(TableProperty& property, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) {
    if (!note.empty()) property.notes.push_back(note);
  }
}

TableProperty order_property(const TableEmbedder& embedder, std::span<const RelationalTable> tables,
                             const TableStudyOptions& options, bool of_rows) {
  check_study_options(options);
  TableProperty property{.id = of_rows ? "P1" : "P2",
                         .title = of_rows ? "row order" : "column order"};
  Measured columns("columns", tables.size());
  Measured rows("rows", tables.size());
  Measured whole("table", tables.size());
  TableLevels wanted = embedder.levels();
  wanted.cells = false;
  std::vector<std::string> notes(tables.size());
  parallel_for(options.parallel, tables.size(), [&](std::size_t t, std::size_t) {
    const RelationalTable table = truncated(embedder, tables[t]);
    const std::size_t permuted = of_rows ? table.rows() : table.columns();
    if (table.rows() == 0 || permuted < 2) {
      notes[t] = fmt::format("{}: {} {}: no other order", table.name,
                             table.rows() == 0 ? 0 : permuted, of_rows ? "row(s)" : "column(s)");
      return;
    }
    const std::vector<Numbers> orders =
        distinct_permutations(permuted, options.permutations, table_seed(options, tables[t]));
    const std::size_t d = embedder.dimension();
    Populations of_columns(wanted.columns ? table.columns() : 0, orders.size(), d);
    Populations of_row(wanted.rows ? table.rows() : 0, orders.size(), d);
    Populations of_table(wanted.table ? 1 : 0, orders.size(), d);
    embed_variants(
        embedder, orders.size(), wanted,
        [&](std::size_t v) {
          return of_rows ? with_rows(table, orders[v]) : with_columns(table, orders[v]);
        },
        [&](std::size_t v, const TableEmbedding& embedded) {
          for (std::size_t c = 0; wanted.columns && c < table.columns(); ++c) {
            of_columns.set(of_rows ? c : orders[v][c], v, embedded.columns.row(c));
          }
          for (std::size_t r = 0; wanted.rows && r < table.rows(); ++r) {
            of_row.set(of_rows ? orders[v][r] : r, v, embedded.rows.row(r));
          }
          if (wanted.table) of_table.set(0, v, embedded.table.row(0));
        });
    columns.add(of_columns, t);
    rows.add(of_row, t);
    whole.add(of_table, t);
  });
  if (wanted.columns) columns.finish(property, "columns");
  if (wanted.rows) rows.finish(property, "rows");
  if (wanted.table) whole.finish(property, "table");
  add_notes(property, notes);
  return property;
}

}  // namespace

TableProperty row_order_property(const TableEmbedder& embedder,
                                 std::span<const RelationalTable> tables,
                                 const TableStudyOptions& options) {
  return order_property(embedder, tables, options, true);
}

TableProperty column_order_property(const TableEmbedder& embedder,
                                    std::span<const RelationalTable> tables,
                                    const TableStudyOptions& options) {
  return order_property(embedder, tables, options, false);
}

TableProperty sample_property(const TableEmbedder& embedder,
                              std::span<const RelationalTable> tables,
                              const TableStudyOptions& options) {
  check_study_options(options);
  TableProperty property{.id = "P5", .title = "sample fidelity"};
  std::vector<Measured> measured;
  std::vector<std::string> names;
  for (const double share : options.shares) {
    names.push_back(fmt::format("columns, {} of rows", share));
    measured.emplace_back(names.back(), tables.size());
  }
  std::vector<std::string> notes(tables.size());
  parallel_for(options.parallel, tables.size(), [&](std::size_t t, std::size_t) {
    const RelationalTable table = truncated(embedder, tables[t]);
    for (std::size_t s = 0; s < options.shares.size(); ++s) {
      const auto size =
          static_cast<std::size_t>(options.shares[s] * static_cast<double>(table.rows()));
      if (size == 0) {
        notes[t] = fmt::format("{}: {} row(s): no sample of {} of them", table.name, table.rows(),
                               options.shares[s]);
        continue;
      }
      const std::vector<Numbers> samples =
          distinct_subsets(table.rows(), size, options.samples, table_seed(options, tables[t]));
      Populations columns(table.columns(), samples.size() + 1, embedder.dimension());
      embed_variants(
          embedder, samples.size() + 1, {.columns = true},
          [&](std::size_t v) { return v == 0 ? table : with_rows(table, samples[v - 1]); },
          [&](std::size_t v, const TableEmbedding& embedded) {
            for (std::size_t c = 0; c < table.columns(); ++c) {
              columns.set(c, v, embedded.columns.row(c));
            }
          });
      measured[s].add(columns, t);
    }
  });
  for (std::size_t s = 0; s < measured.size(); ++s) measured[s].finish(property, names[s]);
  add_notes(property, notes);
  return property;
}

}  // namespace amalgam::scores

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/studies/table_embedder.hpp"
#include "amalgam/scores/studies/table_measures.hpp"

/// The eight properties of an embedder of tables (Cong et al. 2023, "Observatory"), none of which
/// needs a task to be solved with the embeddings.
namespace amalgam::scores {

struct TableStudyOptions {
  std::size_t permutations = 1000;              ///< of rows and columns, besides the order as it is
  std::size_t samples = 1000;                   ///< of rows, for each share
  std::vector<double> shares{0.25, 0.5, 0.75};  ///< of rows in a sample, within (0, 1)
  std::size_t most_pairs = 20000;               ///< of columns; more are drawn from
  std::size_t fewest_dependency_rows = 10;      ///< of tables that are searched for dependencies
  std::size_t most_dependency_rows = 1000;      ///< of longer ones as many rows are drawn
  std::size_t window = 2;      ///< rows before and after one whose cells are embedded
  std::size_t queries = 1000;  ///< cells whose neighbours are compared; more are drawn from
  std::vector<std::size_t> neighbours{10, 20, 30, 40, 50};
  bool include_self = false;     ///< a cell is its own neighbour
  bool blank_names = true;       ///< columns have no names where context is studied
  std::size_t resamples = 1000;  ///< of tables, for intervals; 0: none
  std::uint64_t seed = 0;
  Parallel parallel = {};
};
/// InputError for a share outside (0, 1), or 0 permutations, samples, neighbours or queries.
void check_study_options(const TableStudyOptions& options);

/// One figure of every part (column, row, pair ...) of every table; NaN where it is not defined.
struct TableMeasure {
  std::string name;
  std::vector<std::vector<double>> values;  ///< [tables][parts]; empty: not applicable
};

/// The mean share of common neighbours of cells by two embedders.
struct EmbedderPair {
  std::string first;
  std::string second;
  std::size_t neighbours = 0;  ///< k
  double overlap = 0;
};

/// What was found of one property.
struct TableProperty {
  std::string id;     ///< "P1"
  std::string title;  ///< "row order"
  std::vector<TableMeasure> measures;
  /// All single cosines of variants to originals, by what they are of ("columns").
  std::map<std::string, CosineSummary> cosines;
  /// Figures that are not of tables ("Spearman, jaccard"); NaN where not defined.
  std::map<std::string, double> figures;
  std::map<std::string, Interval> intervals;  ///< 95 %, of figures, by a bootstrap over tables
  std::vector<std::string> notes;             ///< what was not applicable, and why
  /// Of P6 with several embedders: how alike every two of them are.
  std::vector<EmbedderPair> pairs = {};
};

/// A measure over tables, which are the independent units.
struct MeasureSummary {
  std::size_t tables = 0;     ///< with a defined value
  std::size_t values = 0;     ///< defined
  std::size_t undefined = 0;  ///< NaN
  double mean = 0;            ///< over tables of their means: what should be quoted
  double pooled_mean = 0;     ///< over all values: tables with many parts count more
  double least = 0;
  double quartiles[3]{};  ///< of all values, by linear interpolation
  double greatest = 0;
  std::optional<Interval> interval;  ///< of `mean`, 95 %, by a bootstrap over tables
};
/// Figures are NaN if no value is defined; there is no interval of fewer than two tables.
MeasureSummary summarise(const TableMeasure& measure, std::size_t resamples, std::uint64_t seed);

/// P1: do embeddings of columns, rows (followed to their new place) and tables stay when rows are
/// permuted? Means of cosines to the original, and coefficients of variation over all orders.
TableProperty row_order_property(const TableEmbedder& embedder,
                                 std::span<const RelationalTable> tables,
                                 const TableStudyOptions& options);
/// P2: the same for permuted columns.
TableProperty column_order_property(const TableEmbedder& embedder,
                                    std::span<const RelationalTable> tables,
                                    const TableStudyOptions& options);
/// P3: do columns of different tables lie the nearer the more they have in common? Rank
/// correlations over pairs of columns between cosine and each overlap, as the tables are, with
/// rows shuffled and with columns shuffled. Tables that do not fit are embedded in pieces, whose
/// vectors are averaged.
TableProperty join_property(const TableEmbedder& embedder, std::span<const RelationalTable> tables,
                            const TableStudyOptions& options);
/// P4: are functional dependencies constant offsets? The spread S^2 of the distance between the
/// cells of determinant and dependent, within rows of equal values, against as many random pairs of
/// columns that do not depend; their ratio below 1 says that dependencies are seen. Determinants
/// are columns of text; keys are not measurable.
TableProperty dependency_property(const TableEmbedder& embedder,
                                  std::span<const RelationalTable> tables,
                                  const TableStudyOptions& options);
/// P5: is a column's embedding that of a sample of its rows?
TableProperty sample_property(const TableEmbedder& embedder,
                              std::span<const RelationalTable> tables,
                              const TableStudyOptions& options);
/// Which entity each cell names; an empty text: none.
struct CellEntities {
  std::vector<std::vector<std::string>> ids;  ///< [tables][rows * columns], row by row
};
/// From a table with the columns table, row (the first is 1), column and entity. Rows beyond those
/// that were read are left out. InputError as TableRows, for tables or columns that are not there,
/// a row that is no whole number from 1 on, or an empty entity.
CellEntities read_cell_entities(const std::filesystem::path& path,
                                std::span<const RelationalTable> tables);

/// P6: do two embedders agree who is near to whom? Entities are the cells that have one in
/// `entities`; without these, the cells of text columns, equal texts being one entity.
TableProperty entity_property(const TableEmbedder& first, const TableEmbedder& second,
                              std::span<const RelationalTable> tables,
                              const TableStudyOptions& options, const CellEntities& entities = {});

/// P6 of every two of several embedders: the mean over tables of the share of common neighbours,
/// for each k of which there are enough cells.
std::vector<EmbedderPair> entity_pairs(std::span<const TableEmbedder* const> embedders,
                                       std::span<const RelationalTable> tables,
                                       const TableStudyOptions& options,
                                       const CellEntities& entities = {});

/// Another name of a column that means the same.
struct Renaming {
  std::string kind;  ///< "synonym", "abbreviation", ...
  std::string from;  ///< in lower case
  std::string to;
};
/// A short list of frequent ones.
std::vector<Renaming> common_renamings();
/// From a table with the columns kind, from and to. InputError as TableRows, for an empty text, or
/// none at all.
std::vector<Renaming> read_renamings(const std::filesystem::path& path);

/// P7: do columns move that are renamed without a change of meaning, and do the others? All
/// variants have the rows that fit of original and variant.
TableProperty renaming_property(const TableEmbedder& embedder,
                                std::span<const RelationalTable> tables,
                                std::span<const Renaming> renamings,
                                const TableStudyOptions& options);

/// The semantic types of columns; an empty text: not known.
struct ColumnTypes {
  std::vector<std::vector<std::string>> types;  ///< [tables][columns]
};
/// Columns of one name (letters in lower case) in two tables or more have that type.
ColumnTypes types_by_name(std::span<const RelationalTable> tables);
/// From a table with the columns table, column and type. InputError as TableRows and for tables or
/// columns that are not there.
ColumnTypes read_column_types(const std::filesystem::path& path,
                              std::span<const RelationalTable> tables);

/// P8: what does the context change? Each column alone, with the table's subject (its first column
/// of text), with its neighbours, and in the whole table: cosines to the column alone, and how
/// purely k-means clusters (the best of 100 starts) hold types.
TableProperty context_property(const TableEmbedder& embedder,
                               std::span<const RelationalTable> tables, const ColumnTypes& types,
                               const TableStudyOptions& options);

}  // namespace amalgam::scores

#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "amalgam/scores/studies/table_embedder.hpp"

/// Studies of models that run elsewhere: first the tables are written that a study would embed,
/// then their vectors are read.
namespace amalgam::scores {

/// A table, and of which of its parts vectors are wanted.
struct TableRequest {
  RelationalTable table;
  TableLevels levels;
};

/// Notes the tables that it is asked to embed, each once. Its vectors are all the same. Not for
/// several threads.
class TableRecorder final : public TableEmbedder {
 public:
  explicit TableRecorder(const TableLevels& levels) : levels_(levels) {}

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return 1; }
  TableLevels levels() const override { return levels_; }
  std::size_t tokens(const RelationalTable& /*table*/) const override { return 0; }
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override;

  /// In the order in which they were first asked for.
  const std::vector<TableRequest>& requests() const { return requests_; }

 private:
  TableLevels levels_;
  std::string name_ = "recorder";
  mutable std::vector<TableRequest> requests_;
  mutable std::unordered_map<std::uint64_t, std::size_t> places_;
};

/// Writes JSON lines: {"table", "levels": ["columns", ...], "header": [...], "rows": [[...]]}.
void write_table_requests(const std::filesystem::path& path,
                          const std::vector<TableRequest>& requests);

/// Vectors that another program made: of each level, those of all requests that want it, one after
/// the other (columns from left to right, rows from top to bottom, cells row by row). Levels
/// without vectors have no rows.
struct GivenVectors {
  Embeddings columns;
  Embeddings rows;
  Embeddings tables;
  Embeddings cells;
};

class GivenTableEmbedder final : public TableEmbedder {
 public:
  /// InputError if the vectors of a level are not as many as the requests want, or levels have
  /// vectors of different sizes.
  GivenTableEmbedder(std::vector<TableRequest> requests, GivenVectors vectors, std::string name);

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return dimension_; }
  TableLevels levels() const override;
  std::size_t tokens(const RelationalTable& /*table*/) const override { return 0; }
  /// InputError for a table that was not requested, or not with these levels.
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override;

 private:
  // Where the vectors of a request begin, by level.
  struct Place {
    std::size_t request = 0;
    std::size_t columns = 0;
    std::size_t rows = 0;
    std::size_t table = 0;
    std::size_t cells = 0;
  };

  std::vector<TableRequest> requests_;
  GivenVectors vectors_;
  std::string name_;
  std::size_t dimension_ = 0;
  std::unordered_map<std::uint64_t, Place> places_;
};

}  // namespace amalgam::scores

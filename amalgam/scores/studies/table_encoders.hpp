#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/scores/studies/table_embedder.hpp"

namespace amalgam::scores {

struct HashedTableOptions {
  std::size_t dimension = 64;
  /// Weigh each token by 1 / (1 + its position in the serialised table): an embedder that is
  /// sensitive to order by construction.
  bool positional = false;
  std::uint64_t seed = 0;
};

/// The mean of hashed random unit vectors of the tokens of a column (name and values), row, cell
/// (values) or whole table. Without positions it cannot see any order: what a study must find
/// insensitive.
class HashedTableEmbedder final : public TableEmbedder {
 public:
  explicit HashedTableEmbedder(const HashedTableOptions& options = {});

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return options_.dimension; }
  std::size_t tokens(const RelationalTable& table) const override;
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override;

 private:
  TableEmbedding embed_one(const RelationalTable& table, const TableLevels& levels) const;

  HashedTableOptions options_;
  std::string name_;
};

/// Tables by an embedder of texts, such as hashed n-grams: a column is the text of its name and
/// values, a row that of its values, the table that of its columns, a cell its own.
class TextTableEmbedder final : public TableEmbedder {
 public:
  explicit TextTableEmbedder(std::shared_ptr<const language::TextEmbedder> embedder,
                             std::string name = "ngrams")
      : embedder_(std::move(embedder)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return embedder_->dimension(); }
  std::size_t tokens(const RelationalTable& table) const override;
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override;

 private:
  std::shared_ptr<const language::TextEmbedder> embedder_;
  std::string name_;
};

}  // namespace amalgam::scores

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/scores/studies/table_embedder.hpp"

namespace amalgam::scores::learned {

/// How a small transformer learns tables: it fills in masked cells (as BERT fills in words).
struct TableTransformerOptions {
  std::int64_t width = 64;
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  std::int64_t vocabulary = 4096;  ///< hashed tokens; different ones may share a number
  std::int64_t most_tokens = 256;  ///< of a serialised table: as many positions are learned
  std::size_t steps = 600;
  std::size_t batch = 16;       ///< tables of a step
  double masked = 0.15;         ///< share of cells whose tokens are hidden
  double learning_rate = 1e-3;  ///< highest; it rises for a tenth of the steps and falls to zero
  std::uint64_t seed = 0;
};

/// An encoder of serialised tables with learned positions (2 layers of width 64): a column is the
/// state of its "[CLS]", a row or a cell the mean of its tokens' states, a table the mean of its
/// columns. Sees order and context, as language models do.
class TableTransformer final : public TableEmbedder {
 public:
  /// Learns from `tables`, whose rows that do not fit are left out; in every step they come with
  /// rows and columns as they are. Bit-identical for equal options, tables, threads and machine.
  /// `after_step` gets the number of steps done and the loss. InputError for options out of range
  /// or tables of which no row fits; Error if the training diverges; Interrupted on a signal.
  TableTransformer(std::span<const RelationalTable> tables, const TableTransformerOptions& options,
                   const std::function<void(std::size_t, double)>& after_step = {});
  ~TableTransformer() override;

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return static_cast<std::size_t>(options_.width); }
  std::size_t most_tokens() const override {
    return static_cast<std::size_t>(options_.most_tokens);
  }
  std::size_t tokens(const RelationalTable& table) const override;
  std::vector<TableEmbedding> embed(std::span<const RelationalTable> tables,
                                    const TableLevels& levels) const override;

  /// The mean cross-entropy of hidden tokens over the last tenth of the steps.
  double final_loss() const { return final_loss_; }

 private:
  struct Encoder;

  TableTransformerOptions options_;
  std::string name_ = "trained";
  std::shared_ptr<Encoder> encoder_;
  double final_loss_ = 0;
};

}  // namespace amalgam::scores::learned

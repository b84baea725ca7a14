#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/decorators.hpp"

namespace amalgam {

/// Where the rows of a matrix come from: row i is the mean of the origins
/// [starts[i], starts[i + 1]), and zero if there are none.
struct RowMap {
  struct Origin {
    std::uint32_t input = 0;  ///< which of the matrices
    std::uint32_t row = 0;
  };
  std::vector<std::size_t> starts{0};
  std::vector<Origin> origins;

  std::size_t rows() const { return starts.size() - 1; }
  std::span<const Origin> row(std::size_t i) const {
    return std::span(origins).subspan(starts[i], starts[i + 1] - starts[i]);
  }
  void push_row(std::span<const Origin> from) {
    origins.insert(origins.end(), from.begin(), from.end());
    starts.push_back(origins.size());
  }
};

/// One tensor whose first axis is made anew from that of others: token embeddings in another
/// vocabulary. Computed as it is read; the type is F32 (F64 if an input is F64), in which single
/// rows are exact and means are rounded once.
class RowMapSource final : public TensorSource {
 public:
  struct Input {
    SharedSource source;
    std::size_t tensor = 0;
  };
  /// The tensor is called `name`, and has max(map.rows(), total_rows) rows: those after the map's
  /// are the mean of the map's rows. InputError if inputs have different rows (all axes after the
  /// first), are not floating-point, or lack a row that the map names.
  RowMapSource(std::string name, std::string label, std::vector<Input> inputs,
               std::shared_ptr<const RowMap> map, std::uint64_t total_rows);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;

 private:
  template <class T>
  void read_values(std::uint64_t first, std::span<T> out) const;
  template <class T>
  void read_row(std::uint64_t row, std::uint64_t column, std::span<T> out) const;
  std::uint64_t run_length(std::uint64_t row, std::uint64_t elements) const;
  std::span<const double> mean_row() const;

  const std::vector<Input> inputs_;
  const std::shared_ptr<const RowMap> map_;
  std::uint64_t columns_ = 1;
  mutable std::once_flag mean_made_;
  mutable std::vector<double> mean_;
};

}  // namespace amalgam

#pragma once

#include <memory>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// One matrix of a model as large as the base's: values come from the model where it has them (the
/// top-left rows and columns that both have) and from the base elsewhere, so that the difference to
/// the base is zero there. For embeddings of another vocabulary size. The type is that of the model
/// if the base has the same, else F32 (F64 if either is F64), in which both are exact.
class PaddedSource final : public TensorSource {
 public:
  /// The only tensor is called as in the model. Both tensors are 2-d and floating-point (Error).
  PaddedSource(std::shared_ptr<const TensorSource> model, std::size_t model_tensor,
               std::shared_ptr<const TensorSource> base, std::size_t base_tensor);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;

 private:
  template <class T>
  void read_values(std::uint64_t first, std::span<T> out) const;
  void check_range(std::uint64_t first, std::uint64_t count, std::uint64_t size) const;

  const std::shared_ptr<const TensorSource> model_;
  const std::shared_ptr<const TensorSource> base_;
  const std::size_t model_tensor_;
  const std::size_t base_tensor_;
  std::uint64_t common_rows_ = 0;
  std::uint64_t common_columns_ = 0;
};

}  // namespace amalgam

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/sink.hpp"
#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// A tensor held in memory, row-major little-endian.
struct MemoryTensor {
  TensorInfo info;
  std::vector<std::byte> bytes;
};

/// Encodes `values` (as many as `shape` has elements) as `dtype`.
MemoryTensor make_tensor(std::string name, Shape shape, const std::vector<double>& values,
                         DType dtype = DType::f32);
/// All elements of a tensor of `source`.
std::vector<double> values_of(const TensorSource& source, std::string_view name);

/// A source over tensors in memory.
class MemorySource final : public TensorSource {
 public:
  MemorySource(std::string label, std::vector<MemoryTensor> tensors);
  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;

 private:
  std::vector<std::vector<std::byte>> contents_;  // in the order of tensors()
};

/// A sink into memory; take() hands over a source of what was written.
class MemorySink final : public TensorSink {
 public:
  explicit MemorySink(std::vector<TensorInfo> tensors);
  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override;
  void finish() override {}
  std::unique_ptr<MemorySource> take(std::string label);

 private:
  std::vector<std::vector<std::byte>> contents_;
};

}  // namespace amalgam

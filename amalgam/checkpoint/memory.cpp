#include "amalgam/checkpoint/memory.hpp"

#include <algorithm>
#include <cstring>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {

MemoryTensor make_tensor(std::string name, Shape shape, const std::vector<double>& values,
                         DType dtype) {
  MemoryTensor tensor{make_tensor_info(std::move(name), dtype, std::move(shape), "memory"), {}};
  if (tensor.info.elements != values.size()) {
    throw Error("make_tensor: '{}' of shape {} needs {} values, got {}", tensor.info.name,
                format_shape(tensor.info.shape), tensor.info.elements, values.size());
  }
  tensor.bytes.resize(tensor.info.bytes);
  encode(dtype, std::span<const double>(values), std::span<std::byte>(tensor.bytes));
  return tensor;
}

std::vector<double> values_of(const TensorSource& source, std::string_view name) {
  const auto index = source.find(name);
  if (!index) throw InputError("{}: no tensor '{}'", source.label(), name);
  std::vector<double> values(source.tensors()[*index].elements);
  source.read(*index, 0, std::span<double>(values));
  return values;
}

MemorySource::MemorySource(std::string label, std::vector<MemoryTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const MemoryTensor& a, const MemoryTensor& b) { return a.info.name < b.info.name; });
  std::vector<TensorInfo> infos;
  for (MemoryTensor& tensor : tensors) {
    infos.push_back(std::move(tensor.info));
    contents_.push_back(std::move(tensor.bytes));
  }
  set_tensors(std::move(label), std::move(infos));
}

void MemorySource::read_bytes(std::size_t tensor, std::uint64_t offset,
                              std::span<std::byte> out) const {
  const std::vector<std::byte>& bytes = contents_.at(tensor);
  if (offset > bytes.size() || out.size() > bytes.size() - offset) {
    throw Error("{}: read past the end of '{}'", label(), tensors()[tensor].name);
  }
  if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
}

MemorySink::MemorySink(std::vector<TensorInfo> tensors) : TensorSink(std::move(tensors)) {
  for (const TensorInfo& info : this->tensors()) contents_.emplace_back(info.bytes);
}

void MemorySink::write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
  std::vector<std::byte>& contents = contents_.at(tensor);
  if (offset > contents.size() || bytes.size() > contents.size() - offset) {
    throw Error("write past the end of '{}'", tensors()[tensor].name);
  }
  if (!bytes.empty()) std::memcpy(contents.data() + offset, bytes.data(), bytes.size());
}

std::unique_ptr<MemorySource> MemorySink::take(std::string label) {
  std::vector<MemoryTensor> taken;
  for (std::size_t i = 0; i < contents_.size(); ++i) {
    taken.push_back({tensors()[i], std::move(contents_[i])});
  }
  return std::make_unique<MemorySource>(std::move(label), std::move(taken));
}

}  // namespace amalgam

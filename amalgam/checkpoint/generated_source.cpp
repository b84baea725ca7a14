#include "amalgam/checkpoint/generated_source.hpp"

#include <algorithm>
#include <utility>

#include "amalgam/checkpoint/computed_source.hpp"

namespace amalgam {

GeneratedSource::GeneratedSource(std::string label, std::vector<GeneratedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (GeneratedTensor& tensor : tensors) {
    infos.push_back(std::move(tensor.info));
    fills_.push_back(std::move(tensor.fill));
  }
  set_tensors(std::move(label), std::move(infos));
}

void GeneratedSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  const TensorInfo& info = tensors().at(tensor);
  computed::check_range(*this, tensor, offset, out.size(), info.bytes);
  computed::encode_bytes<double>(info, offset, out, fills_[tensor]);
}

}  // namespace amalgam

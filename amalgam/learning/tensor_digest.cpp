#include "amalgam/learning/tensor_digest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

namespace amalgam::learning {

void TensorDigest::add(const void* bytes, std::size_t count) {
  const XXH128_hash_t part = XXH3_128bits_withSeed(bytes, count, low_ ^ high_);
  low_ = part.low64;
  high_ = part.high64;
}

void TensorDigest::add(const std::string& text) { add(text.data(), text.size()); }

void TensorDigest::add(const torch::Tensor& tensor) {
  const torch::Tensor whole = tensor.contiguous();
  add(whole.data_ptr(), whole.nbytes());
}

void TensorDigest::add(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    add(fmt::format("{} {}", name, fmt::join(tensor.sizes().vec(), ",")));
    add(tensor);
  }
}

std::string TensorDigest::text() const { return fmt::format("{:016x}{:016x}", high_, low_); }

}  // namespace amalgam::learning

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/checkpoint/stored_tensors.hpp"

namespace amalgam {

/// Several sources (the shards of a folder) as one: every tensor of the parts, whose names must
/// differ.
class JoinedSource final : public TensorSource, public StoredTensors {
 public:
  /// InputError naming both parts if two hold a tensor of the same name. Metadata is the first
  /// part's.
  JoinedSource(std::string label, std::vector<std::unique_ptr<TensorSource>> parts);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override;
  bool is_stored(std::size_t tensor) const override;

 private:
  struct Place {
    const TensorSource* part = nullptr;
    std::size_t tensor = 0;
  };
  std::vector<std::unique_ptr<TensorSource>> parts_;
  std::vector<Place> places_;  // in the order of tensors()
};

}  // namespace amalgam

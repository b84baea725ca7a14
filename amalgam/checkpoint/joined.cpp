#include "amalgam/checkpoint/joined.hpp"

#include <map>
#include <string_view>

#include "amalgam/core/error.hpp"

namespace amalgam {

JoinedSource::JoinedSource(std::string label, std::vector<std::unique_ptr<TensorSource>> parts)
    : parts_(std::move(parts)) {
  std::map<std::string_view, Place> by_name;
  std::vector<TensorInfo> infos;
  for (const auto& part : parts_) {
    for (std::size_t i = 0; i < part->tensors().size(); ++i) {
      const TensorInfo& info = part->tensors()[i];
      const auto [twin, is_new] = by_name.emplace(info.name, Place{part.get(), i});
      if (!is_new) {
        throw InputError("{}: tensor '{}' is in both '{}' and '{}'", label, info.name,
                         twin->second.part->label(), part->label());
      }
      infos.push_back(info);
    }
  }
  for (const auto& [name, place] : by_name) places_.push_back(place);
  set_tensors(std::move(label), std::move(infos));
  if (!parts_.empty()) set_metadata(parts_.front()->metadata());
}

void JoinedSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                              std::span<std::byte> out) const {
  const Place& place = places_.at(tensor);
  place.part->read_bytes(place.tensor, offset, out);
}

void JoinedSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  const Place& place = places_.at(tensor);
  place.part->read(place.tensor, first, out);
}

void JoinedSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  const Place& place = places_.at(tensor);
  place.part->read(place.tensor, first, out);
}

void JoinedSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  const Place& place = places_.at(tensor);
  place.part->will_need(place.tensor, offset, bytes);
}

bool JoinedSource::is_stored(std::size_t tensor) const {
  const Place& place = places_.at(tensor);
  return amalgam::is_stored(*place.part, place.tensor);
}

std::map<std::string, std::string> JoinedSource::aliases() const {
  std::map<std::string, std::string> all;
  for (const auto& part : parts_) all.merge(part->aliases());
  return all;
}

}  // namespace amalgam

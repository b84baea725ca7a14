#include "amalgam/checkpoint/decorators.hpp"

#include <algorithm>
#include <cstring>

#include "amalgam/checkpoint/computed_source.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

using computed::check_range;
using computed::encode_bytes;
using computed::kChunk;
using computed::round_up;
using computed::will_need_elements;

template <class T>
void read_any_elements(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                       std::span<T> out) {
  const TensorInfo& info = source.tensors().at(tensor);
  check_range(source, tensor, first, out.size(), info.elements);
  if (out.empty()) return;
  const std::uint64_t block = dtype_block_elements(info.dtype);
  const std::uint64_t begin = first / block * block;
  const std::uint64_t end = std::min(round_up(first + out.size(), block), info.elements);
  if (begin == first && end - begin == out.size()) {
    source.read(tensor, first, out);
    return;
  }
  std::vector<T> blocks(end - begin);
  source.read(tensor, begin, std::span<T>(blocks));
  std::copy_n(blocks.begin() + static_cast<std::ptrdiff_t>(first - begin), out.size(), out.begin());
}

}  // namespace

void read_elements(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                   std::span<float> out) {
  read_any_elements(source, tensor, first, out);
}

void read_elements(const TensorSource& source, std::size_t tensor, std::uint64_t first,
                   std::span<double> out) {
  read_any_elements(source, tensor, first, out);
}

RenamedSource::RenamedSource(SharedSource inner, std::vector<Pick> picks)
    : inner_(std::move(inner)) {
  std::sort(picks.begin(), picks.end(),
            [](const Pick& a, const Pick& b) { return a.name < b.name; });
  std::vector<TensorInfo> infos;
  for (Pick& pick : picks) {
    const auto found = inner_->find(pick.inner);
    if (!found) throw InputError("{}: no tensor '{}'", inner_->label(), pick.inner);
    infos.push_back(inner_->tensors()[*found]);
    infos.back().name = std::move(pick.name);
    places_.push_back(*found);
  }
  set_tensors(inner_->label(), std::move(infos));
  set_metadata(inner_->metadata());
}

void RenamedSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                               std::span<std::byte> out) const {
  inner_->read_bytes(places_.at(tensor), offset, out);
}

void RenamedSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  inner_->read(places_.at(tensor), first, out);
}

void RenamedSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  inner_->read(places_.at(tensor), first, out);
}

void RenamedSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  inner_->will_need(places_.at(tensor), offset, bytes);
}

std::map<std::string, std::string> RenamedSource::aliases() const {
  // Of each group of inner names with the same bytes, one new name stands for
  // the others: that of the name the others alias, if it was picked. (Picking
  // one tensor twice does not tie the two.)
  const std::map<std::string, std::string> inner = inner_->aliases();
  std::map<std::string, std::size_t> standing;  // by the inner name that the others alias
  std::map<std::string, std::string> renamed;
  for (const bool owners : {true, false}) {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const std::string& inner_name = inner_->tensors()[places_[i]].name;
      const auto alias = inner.find(inner_name);
      if ((alias == inner.end()) != owners) continue;
      const auto [other, is_first] = standing.emplace(owners ? inner_name : alias->second, i);
      if (!is_first && places_[other->second] != places_[i]) {
        renamed.emplace(tensors()[i].name, tensors()[other->second].name);
      }
    }
  }
  return renamed;
}

DifferenceSource::DifferenceSource(SharedSource model, SharedSource base)
    : model_(std::move(model)), base_(std::move(base)) {
  const std::string where = model_->label() + " - " + base_->label();
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < model_->tensors().size(); ++i) {
    const TensorInfo& mine = model_->tensors()[i];
    const auto found = base_->find(mine.name);
    if (!found) continue;
    const TensorInfo& theirs = base_->tensors()[*found];
    if (!dtype_is_floating(mine.dtype) || !dtype_is_floating(theirs.dtype)) continue;
    if (mine.shape != theirs.shape) {
      throw InputError("{}: tensor '{}' has shape {}, but '{}' has {}", model_->label(), mine.name,
                       format_shape(mine.shape), base_->label(), format_shape(theirs.shape));
    }
    const bool wide = mine.dtype == DType::f64 || theirs.dtype == DType::f64;
    infos.push_back(make_tensor_info(mine.name, wide ? DType::f64 : DType::f32, mine.shape, where));
    places_.emplace_back(i, *found);
  }
  set_tensors(where, std::move(infos));
}

void DifferenceSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  const auto [mine, theirs] = places_.at(tensor);
  check_range(*this, tensor, first, out.size(), tensors()[tensor].elements);
  if (tensors()[tensor].dtype == DType::f64) {
    std::vector<double> wide(std::min<std::uint64_t>(out.size(), kChunk));
    while (!out.empty()) {
      const std::span<double> part(wide.data(), std::min(wide.size(), out.size()));
      read(tensor, first, part);
      for (std::size_t i = 0; i < part.size(); ++i) out[i] = static_cast<float>(part[i]);
      first += part.size();
      out = out.subspan(part.size());
    }
    return;
  }
  read_elements(*model_, mine, first, out);
  std::vector<float> other(std::min<std::uint64_t>(out.size(), kChunk));
  while (!out.empty()) {
    const std::span<float> part(other.data(), std::min(other.size(), out.size()));
    read_elements(*base_, theirs, first, part);
    for (std::size_t i = 0; i < part.size(); ++i) out[i] -= part[i];
    first += part.size();
    out = out.subspan(part.size());
  }
}

void DifferenceSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  const auto [mine, theirs] = places_.at(tensor);
  check_range(*this, tensor, first, out.size(), tensors()[tensor].elements);
  const bool wide = tensors()[tensor].dtype == DType::f64;
  std::vector<double> other(wide ? std::min<std::uint64_t>(out.size(), kChunk) : 0);
  std::vector<float> narrow(wide ? 0 : std::min<std::uint64_t>(out.size(), kChunk));
  while (!out.empty()) {
    const std::size_t count = std::min<std::uint64_t>(out.size(), kChunk);
    if (wide) {
      const std::span<double> part(other.data(), count);
      read_elements(*model_, mine, first, out.first(count));
      read_elements(*base_, theirs, first, part);
      for (std::size_t i = 0; i < count; ++i) out[i] -= part[i];
    } else {
      const std::span<float> part(narrow.data(), count);
      read(tensor, first, part);
      std::copy(part.begin(), part.end(), out.begin());
    }
    first += count;
    out = out.subspan(count);
  }
}

void DifferenceSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                                  std::span<std::byte> out) const {
  const TensorInfo& info = tensors().at(tensor);
  check_range(*this, tensor, offset, out.size(), info.bytes);
  const auto encode_as = [&]<class T>(T) {
    encode_bytes<T>(info, offset, out,
                    [&](std::uint64_t first, std::span<T> values) { read(tensor, first, values); });
  };
  if (info.dtype == DType::f64) {
    encode_as(double{});
  } else {
    encode_as(float{});
  }
}

void DifferenceSource::will_need(std::size_t tensor, std::uint64_t offset,
                                 std::uint64_t bytes) const {
  const auto [mine, theirs] = places_.at(tensor);
  will_need_elements(*model_, mine, tensors()[tensor], offset, bytes);
  will_need_elements(*base_, theirs, tensors()[tensor], offset, bytes);
}

CastSource::CastSource(SharedSource inner, DType dtype)
    : CastSource(std::move(inner), [dtype](const TensorInfo& info) {
        return dtype_is_floating(info.dtype) ? dtype : info.dtype;
      }) {}

CastSource::CastSource(SharedSource inner, const Choice& choose) : inner_(std::move(inner)) {
  std::vector<TensorInfo> infos;
  for (const TensorInfo& info : inner_->tensors()) {
    infos.push_back(make_tensor_info(info.name, choose(info), info.shape, inner_->label()));
  }
  set_tensors(inner_->label(), std::move(infos));
  set_metadata(inner_->metadata());
}

bool CastSource::unchanged(std::size_t tensor) const {
  return tensors().at(tensor).dtype == inner_->tensors()[tensor].dtype;
}

void CastSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                            std::span<std::byte> out) const {
  if (unchanged(tensor)) {
    inner_->read_bytes(tensor, offset, out);
    return;
  }
  const TensorInfo& info = tensors()[tensor];
  check_range(*this, tensor, offset, out.size(), info.bytes);
  // From double: one rounding whatever the inner type is.
  encode_bytes<double>(info, offset, out, [&](std::uint64_t first, std::span<double> values) {
    read_elements(*inner_, tensor, first, values);
  });
}

void CastSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  if (unchanged(tensor)) {
    inner_->read(tensor, first, out);
  } else {
    TensorSource::read(tensor, first, out);
  }
}

void CastSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  if (unchanged(tensor)) {
    inner_->read(tensor, first, out);
  } else {
    TensorSource::read(tensor, first, out);
  }
}

void CastSource::will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const {
  will_need_elements(*inner_, tensor, tensors().at(tensor), offset, bytes);
}

SubmatrixSource::SubmatrixSource(SharedSource inner, const std::map<std::string, Shape>& shapes)
    : inner_(std::move(inner)) {
  std::vector<TensorInfo> infos = inner_->tensors();
  cut_.resize(infos.size());
  for (const auto& [name, shape] : shapes) {
    const auto found = inner_->find(name);
    if (!found) throw InputError("{}: no tensor '{}'", inner_->label(), name);
    const Shape& whole = infos[*found].shape;
    if (whole.size() != 2 || shape.size() != 2 || shape[0] > whole[0] || shape[1] > whole[1]) {
      throw InputError("{}: tensor '{}' of shape {} has no submatrix of shape {}", inner_->label(),
                       name, format_shape(whole), format_shape(shape));
    }
    cut_[*found] = whole != shape;
    infos[*found] = make_tensor_info(name, infos[*found].dtype, shape, inner_->label());
  }
  set_tensors(inner_->label(), std::move(infos));
  set_metadata(inner_->metadata());
}

namespace {

// Calls body(offset in the inner tensor, offset in the range, length) for every
// run of a range of a submatrix that is contiguous in the whole one; lengths of
// rows in any unit.
template <class Body>
void for_each_run(std::uint64_t row, std::uint64_t inner_row, std::uint64_t first,
                  std::uint64_t count, const Body& body) {
  if (row == inner_row) {
    body(first, std::uint64_t{0}, count);
    return;
  }
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t column = (first + done) % row;
    const std::uint64_t length = std::min(row - column, count - done);
    body((first + done) / row * inner_row + column, done, length);
    done += length;
  }
}

}  // namespace

template <class T>
void SubmatrixSource::read_values(std::size_t tensor, std::uint64_t first, std::span<T> out) const {
  const TensorInfo& info = tensors().at(tensor);
  check_range(*this, tensor, first, out.size(), info.elements);
  const std::uint64_t inner_row = row_length(inner_->tensors()[tensor].shape);
  for_each_run(row_length(info.shape), inner_row, first, out.size(),
               [&](std::uint64_t from, std::uint64_t to, std::uint64_t length) {
                 read_elements(*inner_, tensor, from, out.subspan(to, length));
               });
}

void SubmatrixSource::read(std::size_t tensor, std::uint64_t first, std::span<float> out) const {
  read_values(tensor, first, out);
}

void SubmatrixSource::read(std::size_t tensor, std::uint64_t first, std::span<double> out) const {
  read_values(tensor, first, out);
}

void SubmatrixSource::read_bytes(std::size_t tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  const TensorInfo& info = tensors().at(tensor);
  const TensorInfo& whole = inner_->tensors()[tensor];
  check_range(*this, tensor, offset, out.size(), info.bytes);
  for_each_run(dtype_bytes(info.dtype, row_length(info.shape)),
               dtype_bytes(whole.dtype, row_length(whole.shape)), offset, out.size(),
               [&](std::uint64_t from, std::uint64_t to, std::uint64_t length) {
                 inner_->read_bytes(tensor, from, out.subspan(to, length));
               });
}

void SubmatrixSource::will_need(std::size_t tensor, std::uint64_t offset,
                                std::uint64_t bytes) const {
  const TensorInfo& info = tensors().at(tensor);
  const TensorInfo& whole = inner_->tensors()[tensor];
  const std::uint64_t row = dtype_bytes(info.dtype, row_length(info.shape));
  const std::uint64_t inner_row = dtype_bytes(whole.dtype, row_length(whole.shape));
  if (bytes == 0 || row == 0) return;
  // One hint for the rows between, unless most of each row is left out.
  if (row >= inner_row / 2) {
    const std::uint64_t begin = offset / row * inner_row + offset % row;
    const std::uint64_t last = offset + bytes - 1;
    const std::uint64_t end = last / row * inner_row + last % row + 1;
    inner_->will_need(tensor, begin, end - begin);
  }
}

std::map<std::string, std::string> SubmatrixSource::aliases() const {
  // A cut tensor no longer has the same bytes as an uncut one.
  std::map<std::string, std::string> kept = inner_->aliases();
  std::erase_if(kept, [&](const auto& alias) {
    const auto name = find(alias.first);
    const auto owner = find(alias.second);
    return !name || !owner || tensors()[*name].shape != tensors()[*owner].shape;
  });
  return kept;
}

}  // namespace amalgam

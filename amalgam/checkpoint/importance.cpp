#include "amalgam/checkpoint/importance.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "amalgam/checkpoint/byte_cursor.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::uint64_t kLongestFile = std::uint64_t{1} << 32;
constexpr std::uint32_t kLongestName = 65535;

bool is_gguf(const std::filesystem::path& path) {
  const File file = File::open(path);
  std::array<char, 4> magic{};
  if (file.size() < magic.size()) return false;
  file.read_exactly(0, std::as_writable_bytes(std::span(magic)));
  return std::memcmp(magic.data(), "GGUF", magic.size()) == 0;
}

std::uint32_t positive(ByteCursor& cursor, std::string_view what, std::uint64_t most) {
  const auto number = cursor.number<std::int32_t>();
  if (number < 1 || static_cast<std::uint64_t>(number) > most) {
    throw InputError("{}: {} has the {} {}, expected 1 to {} (is this an importance matrix?)",
                     cursor.file_name(), cursor.place(), what, number, most);
  }
  return static_cast<std::uint32_t>(number);
}

std::vector<float> all_of(const TensorSource& source, std::size_t tensor) {
  const TensorInfo& info = source.tensors()[tensor];
  if (info.dtype != DType::f32) {
    throw InputError("{}: tensor '{}' is {}, expected F32 in an importance matrix", source.label(),
                     printable(info.name), dtype_name(info.dtype));
  }
  std::vector<float> values(info.elements);
  source.read(tensor, 0, std::span<float>(values));
  return values;
}

}  // namespace

ImportanceMatrix ImportanceMatrix::read(const std::filesystem::path& path) {
  ImportanceMatrix matrix(path.string());
  if (is_gguf(path)) {
    matrix.read_gguf(path);
  } else {
    matrix.read_legacy(path);
  }
  return matrix;
}

void ImportanceMatrix::add(const std::string& tensor, std::vector<float> weights) {
  for (const float weight : weights) {
    if (std::isfinite(weight) && weight >= 0) continue;
    throw InputError("{}: '{}' has the importance {}, expected finite numbers of at least 0",
                     label_, printable(tensor), weight);
  }
  if (!weights_.emplace(tensor, std::move(weights)).second) {
    throw InputError("{}: '{}' appears twice", label_, printable(tensor));
  }
}

// i32 entries, then of each: i32 length of the name, the name, i32 calls, i32 values, the values as
// floats, `calls` times too large. What may follow (chunks, data set) is not needed.
void ImportanceMatrix::read_legacy(const std::filesystem::path& path) {
  const File file = File::open(path);
  ByteCursor cursor(file, kLongestFile);
  cursor.set_place("the beginning");
  // An entry has at least 3 numbers, a letter and a value.
  const std::uint32_t entries = positive(cursor, "number of entries", cursor.remaining() / 17);
  for (std::uint32_t i = 0; i < entries; ++i) {
    cursor.set_place("entry " + std::to_string(i));
    const std::uint32_t length = positive(cursor, "length of a name", kLongestName);
    const auto bytes = cursor.take(length);
    const std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    cursor.set_place("'" + printable(name) + "'");
    const auto calls = cursor.number<std::int32_t>();
    const std::uint32_t count = positive(cursor, "number of values", cursor.remaining() / 4);
    std::vector<float> weights(count);
    for (float& weight : weights) {
      weight = cursor.number<float>();
      if (calls > 0) weight /= static_cast<float>(calls);
    }
    add(name, std::move(weights));
  }
}

// "NAME.in_sum2", a row of sums of squares per expert, and "NAME.counts", the terms of each row. An
// expert that was never met says nothing: all its columns count the same.
void ImportanceMatrix::read_gguf(const std::filesystem::path& path) {
  const std::unique_ptr<TensorSource> source = open_gguf(path);
  for (std::size_t t = 0; t < source->tensors().size(); ++t) {
    const TensorInfo& info = source->tensors()[t];
    if (!info.name.ends_with(kSums)) continue;
    const std::string name = info.name.substr(0, info.name.size() - kSums.size());
    const auto counts_at = source->find(name + std::string(kCounts));
    if (!counts_at) {
      throw InputError("{}: '{}' has sums but no '{}{}'", label_, printable(name), printable(name),
                       kCounts);
    }
    std::vector<float> weights = all_of(*source, t);
    const std::vector<float> counts = all_of(*source, *counts_at);
    if (counts.empty() || weights.empty() || weights.size() % counts.size() != 0) {
      throw InputError("{}: '{}' has {} sums and {} counts, expected a multiple", label_,
                       printable(name), weights.size(), counts.size());
    }
    const std::size_t columns = weights.size() / counts.size();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const float count = counts[i / columns];
      weights[i] = count > 0 ? weights[i] / count : 1.0F;
    }
    add(name, std::move(weights));
  }
  if (weights_.empty()) {
    throw InputError("{}: has no tensors 'NAME{}', so it is no importance matrix", label_, kSums);
  }
}

void ImportanceMatrix::check_suits(const std::vector<TensorInfo>& quantised) const {
  std::size_t known = 0;
  for (const TensorInfo& info : quantised) {
    if (!has(info.name)) continue;
    ++known;
    weights_of(info, 0, {});
  }
  if (known == 0 && !quantised.empty()) {
    throw InputError(
        "{}: has the importance of {} matrices, but of none that are quantised here (its names are "
        "those of a GGUF model)",
        label_, size());
  }
  if (known < quantised.size()) {
    log::warn(
        "{}: has no importance for {} of the {} matrices that are quantised: all their columns "
        "count the same",
        label_, quantised.size() - known, quantised.size());
  }
}

void ImportanceMatrix::weights_of(const TensorInfo& info, std::uint64_t first,
                                  std::span<float> out) const {
  const auto found = weights_.find(info.name);
  if (found == weights_.end()) throw Error("{}: no '{}'", label_, info.name);
  const std::vector<float>& weights = found->second;
  const std::uint64_t columns = row_length(info.shape);
  const std::uint64_t experts = info.shape.size() == 3 ? info.shape.front() : 1;
  if (weights.size() != columns && weights.size() != columns * experts) {
    throw InputError("{}: has {} values for '{}', whose shape is {}; expected {}", label_,
                     weights.size(), printable(info.name), format_shape(info.shape), columns);
  }
  const bool by_expert = weights.size() != columns;
  const std::uint64_t rows = experts > 1 ? info.shape[1] : 1;
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t row = (first + done) / columns;
    const std::uint64_t column = (first + done) % columns;
    const std::size_t count = std::min<std::uint64_t>(columns - column, out.size() - done);
    const std::uint64_t start = (by_expert ? row / rows * columns : 0) + column;
    std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(start), count,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
}

}  // namespace amalgam

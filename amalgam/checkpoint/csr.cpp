#include "amalgam/checkpoint/csr.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr const char* kMaskKey = "amalgam.mask";
constexpr std::uint64_t kMostColumns = std::numeric_limits<std::int32_t>::max();

std::string values_name(const std::string& tensor) { return tensor + ".csr_values"; }
std::string columns_name(const std::string& tensor) { return tensor + ".csr_columns"; }
std::string rows_name(const std::string& tensor) { return tensor + ".csr_rows"; }

std::uint64_t rows_of(const TensorInfo& info) { return info.shape.empty() ? 1 : info.shape[0]; }
std::uint64_t columns_of(const TensorInfo& info) {
  const std::uint64_t rows = rows_of(info);
  return rows == 0 ? 0 : info.elements / rows;
}

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

// Which elements of a tensor are stored.
using Pattern = std::vector<bool>;

Pattern pattern_of_bits(const std::vector<std::byte>& bytes, std::uint64_t element_bytes) {
  Pattern pattern(bytes.size() / element_bytes);
  for (std::uint64_t i = 0; i < pattern.size(); ++i) {
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(i * element_bytes);
    pattern[i] = std::any_of(first, first + static_cast<std::ptrdiff_t>(element_bytes),
                             [](std::byte byte) { return byte != std::byte{0}; });
  }
  return pattern;
}

// The masks of a file of masks, by the names of tensors.
class Masks {
 public:
  explicit Masks(const TensorSource* source) : source_(source) {
    if (source == nullptr) return;
    const auto found = source->metadata().find(kMaskKey);
    if (found == source->metadata().end()) {
      throw InputError("{}: not a pruning mask (no '{}' in its metadata)", source->label(),
                       kMaskKey);
    }
    const nlohmann::json json = parse_json(found->second, source->label());
    const auto parts = json.is_object() ? json.find("parts") : json.end();
    const bool is_list = json.is_object() && parts != json.end() && parts->is_array();
    if (!is_list) throw InputError("{}: '{}' has no list of parts", source->label(), kMaskKey);
    for (const nlohmann::json& part : *parts) {
      const bool is_part =
          part.is_array() && part.size() == 2 && part[0].is_string() && is_count_list(part[1]);
      if (!is_part) {
        throw InputError("{}: a part of '{}' is {}; expected a name and a shape", source->label(),
                         kMaskKey, part.dump());
      }
      shapes_[part[0].get<std::string>()] = part[1].get<Shape>();
    }
  }

  bool given() const { return source_ != nullptr; }
  bool names(const std::string& tensor) const { return shapes_.contains(tensor); }

  void check_names(const TensorSource& tensors) const {
    for (const auto& [name, shape] : shapes_) {
      const auto index = tensors.find(name);
      if (!index || tensors.tensors()[*index].shape != shape) {
        throw InputError("{}: '{}' has shape {}, but in {} it is {}", source_->label(), name,
                         format_shape(shape), tensors.label(),
                         index ? format_shape(tensors.tensors()[*index].shape) : "missing");
      }
    }
  }

  Pattern pattern(const TensorInfo& info) const {
    const auto index = source_->find(info.name);
    const std::uint64_t bytes = (info.elements + 7) / 8;
    if (!index || source_->tensors()[*index].dtype != DType::u8 ||
        source_->tensors()[*index].elements != bytes) {
      throw InputError("{}: '{}' is missing or not {} bits in U8", source_->label(), info.name,
                       info.elements);
    }
    std::vector<std::byte> packed(bytes);
    source_->read_bytes(*index, 0, packed);
    Pattern pattern(info.elements);
    for (std::uint64_t i = 0; i < info.elements; ++i) {
      pattern[i] = (std::to_integer<unsigned>(packed[i / 8]) >> (i % 8) & 1U) != 0;
    }
    return pattern;
  }

 private:
  const TensorSource* source_;
  std::map<std::string, Shape> shapes_;
};

// One tensor as sparse rows.
struct SparseRows {
  std::vector<std::byte> values;
  std::vector<std::int32_t> columns;
  std::vector<std::int64_t> starts;  // of the rows, and the end
};

bool may_be_sparse(const TensorInfo& info) {
  return info.shape.size() >= 2 && info.elements > 0 && dtype_is_floating(info.dtype) &&
         !dtype_is_quantised(info.dtype) && columns_of(info) <= kMostColumns;
}

std::vector<std::byte> contents_of(const TensorSource& source, std::size_t index) {
  std::vector<std::byte> bytes(source.tensors()[index].bytes);
  source.read_bytes(index, 0, bytes);
  return bytes;
}

// What of a tensor is stored, with its contents.
struct Stored {
  std::vector<std::byte> bytes;
  Pattern pattern;
  std::uint64_t count = 0;
};

Stored stored_of(const TensorSource& source, std::size_t index, const Masks& masks) {
  const TensorInfo& info = source.tensors()[index];
  Stored stored;
  stored.bytes = contents_of(source, index);
  stored.pattern = pattern_of_bits(stored.bytes, info.bytes / info.elements);
  if (masks.given()) {
    const Pattern kept = masks.pattern(info);
    for (std::uint64_t i = 0; i < info.elements; ++i) {
      if (!stored.pattern[i] || kept[i]) continue;
      throw InputError("{}: element {} of '{}' is not 0, but the mask does not keep it",
                       source.label(), i, info.name);
    }
    stored.pattern = kept;
  }
  stored.count =
      static_cast<std::uint64_t>(std::count(stored.pattern.begin(), stored.pattern.end(), true));
  return stored;
}

SparseRows sparse_rows(const Stored& stored, const TensorInfo& info) {
  const std::uint64_t width = info.bytes / info.elements;
  const std::uint64_t columns = columns_of(info);
  SparseRows rows;
  rows.values.reserve(stored.count * width);
  rows.starts.push_back(0);
  for (std::uint64_t i = 0; i < info.elements; ++i) {
    if (stored.pattern[i]) {
      const auto first = stored.bytes.begin() + static_cast<std::ptrdiff_t>(i * width);
      rows.values.insert(rows.values.end(), first, first + static_cast<std::ptrdiff_t>(width));
      rows.columns.push_back(static_cast<std::int32_t>(i % columns));
    }
    if ((i + 1) % columns == 0) {
      rows.starts.push_back(static_cast<std::int64_t>(rows.columns.size()));
    }
  }
  return rows;
}

std::uint64_t bytes_as_rows(const TensorInfo& info, std::uint64_t count) {
  return count * (info.bytes / info.elements + sizeof(std::int32_t)) +
         (rows_of(info) + 1) * sizeof(std::int64_t);
}

void write_tensor(TensorSink& sink, const std::string& name, std::span<const std::byte> bytes) {
  const auto found = std::ranges::find(sink.tensors(), name, &TensorInfo::name);
  if (found == sink.tensors().end()) throw Error("csr: no tensor '{}'", name);
  sink.write(static_cast<std::size_t>(found - sink.tensors().begin()), 0, bytes);
}

// A view in which sparse rows are whole tensors again.
class ExpandedSource final : public TensorSource {
 public:
  explicit ExpandedSource(std::unique_ptr<TensorSource> source) : source_(std::move(source)) {
    const std::string where = source_->label() + ": metadata '" + kCsrKey + "'";
    const nlohmann::json shapes = parse_json(source_->metadata().at(kCsrKey), where);
    if (!shapes.is_object())
      throw InputError("{} is {}; expected shapes by name", where, shapes.dump());
    std::vector<TensorInfo> infos;
    std::map<std::string, Part> parts;
    for (const auto& [name, shape] : shapes.items()) {
      if (!is_count_list(shape) || shape.size() < 2)
        throw InputError("{}: '{}' is {}; expected a shape", where, name, shape.dump());
      infos.push_back(add(name, shape.template get<Shape>(), parts));
    }
    for (std::size_t i = 0; i < source_->tensors().size(); ++i) {
      const TensorInfo& info = source_->tensors()[i];
      if (is_part(info.name, shapes)) continue;
      infos.push_back(info);
      parts[info.name].whole = i;
    }
    set_tensors(source_->label(), std::move(infos));
    for (const TensorInfo& info : tensors()) parts_.push_back(parts.at(info.name));
    std::map<std::string, std::string> metadata = source_->metadata();
    metadata.erase(kCsrKey);
    set_metadata(std::move(metadata));
  }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override {
    const Part& part = parts_.at(tensor);
    if (!part.is_sparse) return source_->read_bytes(part.whole, offset, out);
    const TensorInfo& info = tensors()[tensor];
    if (offset > info.bytes || out.size() > info.bytes - offset) {
      throw Error("{}: bytes beyond the end of '{}'", label(), info.name);
    }
    std::ranges::fill(out, std::byte{0});
    if (out.empty()) return;
    const std::uint64_t width = info.bytes / info.elements;
    const std::uint64_t columns = columns_of(info);
    const std::uint64_t first_row = offset / width / columns;
    const std::uint64_t last_row = (offset + out.size() - 1) / width / columns;
    constexpr std::uint64_t kRows = 4096;  // at a time
    for (std::uint64_t row = first_row; row <= last_row; row += kRows) {
      expand(part, info, row, std::min(kRows, last_row + 1 - row), offset, out);
    }
  }

 private:
  struct Part {
    bool is_sparse = false;
    std::size_t whole = 0;
    std::size_t values = 0;
    std::size_t columns = 0;
    std::size_t rows = 0;
    std::uint64_t stored = 0;
  };

  static bool is_part(const std::string& name, const nlohmann::json& shapes) {
    for (const auto& of : {values_name, columns_name, rows_name}) {
      const std::string suffix = of("");
      if (name.ends_with(suffix) && shapes.contains(name.substr(0, name.size() - suffix.size()))) {
        return true;
      }
    }
    return false;
  }

  std::size_t index_of(const std::string& name) const {
    const auto index = source_->find(name);
    if (!index) throw InputError("{}: tensor '{}' is missing", source_->label(), name);
    return *index;
  }

  TensorInfo add(const std::string& name, Shape shape, std::map<std::string, Part>& parts) const {
    Part part{.is_sparse = true,
              .values = index_of(values_name(name)),
              .columns = index_of(columns_name(name)),
              .rows = index_of(rows_name(name))};
    const TensorInfo& values = source_->tensors()[part.values];
    const TensorInfo& columns = source_->tensors()[part.columns];
    const TensorInfo& rows = source_->tensors()[part.rows];
    TensorInfo info = make_tensor_info(name, values.dtype, std::move(shape), source_->label());
    part.stored = values.elements;
    const bool fits = may_be_sparse(info) && columns.dtype == DType::i32 &&
                      rows.dtype == DType::i64 && columns.elements == values.elements &&
                      rows.elements == rows_of(info) + 1;
    if (!fits) {
      throw InputError(
          "{}: '{}' of shape {} has {} values, {} columns in {} and {} row starts in"
          " {}; expected as many columns as values in I32 and {} starts in I64",
          source_->label(), name, format_shape(info.shape), values.elements, columns.elements,
          dtype_name(columns.dtype), rows.elements, dtype_name(rows.dtype), rows_of(info) + 1);
    }
    parts[name] = part;
    return info;
  }

  // Writes what of rows [row, row + count) lies in `out`, which begins at byte `offset`.
  void expand(const Part& part, const TensorInfo& info, std::uint64_t row, std::uint64_t count,
              std::uint64_t offset, std::span<std::byte> out) const {
    std::vector<std::int64_t> starts(count + 1);
    source_->read_bytes(part.rows, row * sizeof(std::int64_t), bytes_of(starts));
    const bool rise =
        std::is_sorted(starts.begin(), starts.end()) && starts.front() >= 0 &&
        static_cast<std::uint64_t>(starts.back()) <= part.stored &&
        (row > 0 || starts.front() == 0) &&
        (row + count < rows_of(info) || static_cast<std::uint64_t>(starts.back()) == part.stored);
    if (!rise) {
      throw InputError("{}: the row starts of '{}' do not rise from 0 to {} (rows {} to {})",
                       label(), info.name, part.stored, row, row + count - 1);
    }
    const std::uint64_t width = info.bytes / info.elements;
    const auto begin = static_cast<std::uint64_t>(starts.front());
    const auto stored = static_cast<std::uint64_t>(starts.back()) - begin;
    std::vector<std::int32_t> columns(stored);
    std::vector<std::byte> values(stored * width);
    source_->read_bytes(part.columns, begin * sizeof(std::int32_t), bytes_of(columns));
    source_->read_bytes(part.values, begin * width, values);
    for (std::uint64_t r = 0; r < count; ++r) {
      std::int64_t before = -1;
      for (auto i = static_cast<std::uint64_t>(starts[r]) - begin;
           i < static_cast<std::uint64_t>(starts[r + 1]) - begin; ++i) {
        if (columns[i] <= before || static_cast<std::uint64_t>(columns[i]) >= columns_of(info)) {
          throw InputError("{}: the columns of row {} of '{}' do not rise within {}", label(),
                           row + r, info.name, columns_of(info));
        }
        before = columns[i];
        const std::uint64_t element =
            (row + r) * columns_of(info) + static_cast<std::uint64_t>(columns[i]);
        copy_element(std::span(values).subspan(i * width, width), element * width, offset, out);
      }
    }
  }

  // `from` lies at byte `place` of the tensor; `out` begins at byte `offset` and may cut it.
  static void copy_element(std::span<const std::byte> from, std::uint64_t place,
                           std::uint64_t offset, std::span<std::byte> out) {
    for (std::uint64_t i = 0; i < from.size(); ++i) {
      if (place + i >= offset && place + i < offset + out.size()) {
        out[place + i - offset] = from[i];
      }
    }
  }

  std::unique_ptr<TensorSource> source_;
  std::vector<Part> parts_;
};

}  // namespace

CsrStatistics write_csr(const TensorSource& source, const TensorSource* mask,
                        const std::filesystem::path& path) {
  const Masks masks(mask);
  masks.check_names(source);
  CsrStatistics statistics;
  std::vector<TensorInfo> infos;
  std::vector<bool> is_sparse;
  nlohmann::json shapes = nlohmann::json::object();
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    const bool candidate = masks.given() ? masks.names(info.name) : may_be_sparse(info);
    if (candidate && !may_be_sparse(info)) {
      throw InputError("{}: '{}' is {} {}; expected real numbers in rows and columns",
                       source.label(), info.name, dtype_name(info.dtype), format_shape(info.shape));
    }
    const std::uint64_t count = candidate ? stored_of(source, i, masks).count : 0;
    is_sparse.push_back(candidate && (masks.given() || bytes_as_rows(info, count) < info.bytes));
    if (!is_sparse.back()) {
      infos.push_back(info);
      statistics.bytes += info.bytes;
      continue;
    }
    const std::string where = source.label();
    infos.push_back(make_tensor_info(values_name(info.name), info.dtype, {count}, where));
    infos.push_back(make_tensor_info(columns_name(info.name), DType::i32, {count}, where));
    infos.push_back(make_tensor_info(rows_name(info.name), DType::i64, {rows_of(info) + 1}, where));
    shapes[info.name] = info.shape;
    ++statistics.tensors;
    statistics.stored += count;
    statistics.elements += info.elements;
    statistics.bytes += bytes_as_rows(info, count);
  }
  std::map<std::string, std::string> metadata = source.metadata();
  metadata[kCsrKey] = shapes.dump();
  const auto sink = create_safetensors_file(path, std::move(infos), metadata);
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    if (!is_sparse[i]) {
      write_tensor(*sink, info.name, contents_of(source, i));
      continue;
    }
    SparseRows rows = sparse_rows(stored_of(source, i, masks), info);
    write_tensor(*sink, values_name(info.name), rows.values);
    write_tensor(*sink, columns_name(info.name), bytes_of(rows.columns));
    write_tensor(*sink, rows_name(info.name), bytes_of(rows.starts));
  }
  sink->finish();
  return statistics;
}

std::unique_ptr<TensorSource> expand_csr(std::unique_ptr<TensorSource> source) {
  if (!source->metadata().contains(kCsrKey)) return source;
  return std::make_unique<ExpandedSource>(std::move(source));
}

}  // namespace amalgam

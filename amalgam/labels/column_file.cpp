#include "amalgam/labels/column_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {

void add_names(std::vector<Column>& columns, const std::string& what, const StringPool& pool) {
  std::vector<char> bytes;
  std::vector<std::uint64_t> begins{0};
  for (std::size_t id = 0; id < pool.size(); ++id) {
    const std::string_view name = pool[id];
    bytes.insert(bytes.end(), name.begin(), name.end());
    begins.push_back(bytes.size());
  }
  columns.push_back(make_column(what + ".names", DType::u8, bytes));
  columns.push_back(make_column(what + ".begins", DType::u64, begins));
}

void ColumnSet::add_part(const std::string& prefix, ColumnSet part) {
  for (Column& column : part.columns) {
    column.name.insert(0, prefix);
    columns.push_back(std::move(column));
  }
  for (auto& [key, value] : part.metadata) metadata[prefix + key] = std::move(value);
}

void write_column_file(const std::filesystem::path& path, const ColumnSet& set) {
  check_state_name(path);
  std::vector<TensorInfo> tensors;
  for (const Column& one : set.columns) {
    tensors.push_back(make_tensor_info(one.name, one.dtype, one.shape, path.string()));
  }
  OutputTransaction transaction(path, {.overwrite = true});
  const auto sink = create_safetensors_file(transaction.work_path(), tensors, set.metadata);
  std::unordered_map<std::string_view, std::size_t> places;
  for (const TensorInfo& tensor : sink->tensors()) places.emplace(tensor.name, places.size());
  for (const Column& one : set.columns) {
    check_interrupt();
    sink->write(places.at(one.name), 0, one.bytes);
  }
  sink->finish();
  transaction.commit();
}

void check_state_name(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") {
    throw InputError("{}: expected a name that ends in .safetensors for a state", path.string());
  }
}

ColumnReader::ColumnReader(const std::filesystem::path& path)
    : path_(path), source_(open_safetensors(path)) {}

ColumnReader ColumnReader::part(const std::string& prefix) const {
  ColumnReader inner = *this;
  inner.prefix_ += prefix;
  return inner;
}

void ColumnReader::fail(std::string_view what) const {
  throw InputError("{}: {}", path_.string(), what);
}

void ColumnReader::check(bool holds, std::string_view what) const {
  if (!holds) fail(fmt::format("its {} do not fit together", what));
}

std::string ColumnReader::text(const std::string& key) const {
  const auto found = source_->metadata().find(prefix_ + key);
  if (found == source_->metadata().end()) fail(fmt::format("it has no '{}'", prefix_ + key));
  return found->second;
}

bool ColumnReader::has_text(const std::string& key) const {
  return source_->metadata().contains(prefix_ + key);
}

std::uint64_t ColumnReader::number(const std::string& key) const {
  if (!has_text(key)) return 0;
  const std::string digits = text(key);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    fail(fmt::format("its '{}' is no whole number", prefix_ + key));
  }
  return value;
}

StringPool ColumnReader::names(const std::string& what) const {
  const auto bytes = column<char>(what + ".names", DType::u8);
  const auto begins = column<std::uint64_t>(what + ".begins", DType::u64);
  check(!begins.empty() && begins.front() == 0 && begins.back() == bytes.size(), what);
  StringPool pool;
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    check(begins[i] < begins[i + 1] && begins[i + 1] <= bytes.size(), what);
    const std::string_view name(bytes.data() + begins[i], begins[i + 1] - begins[i]);
    check(is_utf8(name) && pool.add(name) == i, what);
  }
  return pool;
}

std::vector<std::string> ColumnReader::columns_from(std::string_view prefix) const {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : source_->tensors()) {
    if (!tensor.name.starts_with(prefix_)) continue;
    const std::string name = tensor.name.substr(prefix_.size());
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

std::size_t ColumnReader::index_of(const std::string& name, DType dtype) const {
  const auto found = source_->find(prefix_ + name);
  if (!found) fail(fmt::format("it has no '{}'", prefix_ + name));
  if (source_->tensors()[*found].dtype != dtype) {
    fail(fmt::format("'{}' has another type than expected", prefix_ + name));
  }
  return *found;
}

}  // namespace amalgam::labels

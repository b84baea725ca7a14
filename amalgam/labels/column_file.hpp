#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/string_pool.hpp"

/// States of labels as safetensors files: columns of numbers and pools of names, which 'amalgam
/// inspect' reads.
namespace amalgam::labels {

/// A tensor in the making.
struct Column {
  std::string name;
  DType dtype;
  Shape shape;
  std::vector<std::byte> bytes;
};

/// `values` in the order of `shape`; without one, a tensor of one dimension.
template <class T>
Column make_column(std::string name, DType dtype, const std::vector<T>& values, Shape shape = {}) {
  Column result{
      std::move(name), dtype, shape.empty() ? Shape{values.size()} : std::move(shape), {}};
  result.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

/// A pool as two tensors: `what`.names, all names one after the other, and `what`.begins.
void add_names(std::vector<Column>& columns, const std::string& what, const StringPool& pool);

/// What a file of a state holds.
struct ColumnSet {
  std::vector<Column> columns;
  std::map<std::string, std::string> metadata;

  /// Adds all of `part`, names and keys beginning with `prefix`; ColumnReader::part reads it.
  void add_part(const std::string& prefix, ColumnSet part);
};

/// Writes the file, which is there whole or not at all; an old one is replaced.
void write_column_file(const std::filesystem::path& path, const ColumnSet& set);

/// InputError unless a state may have this name: it ends in .safetensors.
void check_state_name(const std::filesystem::path& path);

/// Reads the columns of a file, each checked for its type. Every error is an InputError naming the
/// file.
class ColumnReader {
 public:
  explicit ColumnReader(const std::filesystem::path& path);
  /// What ColumnSet::add_part added by this prefix.
  ColumnReader part(const std::string& prefix) const;

  [[noreturn]] void fail(std::string_view what) const;
  /// fail() unless `holds`.
  void check(bool holds, std::string_view what) const;

  /// What `read` returns; what it finds wrong (InputError) is said of the file.
  template <class Read>
  auto checked(const Read& read) const {
    try {
      return read();
    } catch (const InputError& error) {
      fail(error.what());
    }
  }

  /// A value of the metadata.
  std::string text(const std::string& key) const;
  bool has_text(const std::string& key) const;
  /// A whole number of the metadata; 0 if it is not there.
  std::uint64_t number(const std::string& key) const;
  StringPool names(const std::string& what) const;
  bool has_column(const std::string& name) const {
    return source_->find(prefix_ + name).has_value();
  }
  /// The names of columns that begin with `prefix`.
  std::vector<std::string> columns_from(std::string_view prefix) const;
  const std::filesystem::path& path() const { return path_; }

  template <class T>
  std::vector<T> column(const std::string& name, DType dtype) const {
    const std::size_t index = index_of(name, dtype);
    std::vector<T> values(source_->tensors()[index].elements);
    source_->read_bytes(index, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }

 private:
  std::size_t index_of(const std::string& name, DType dtype) const;

  std::filesystem::path path_;
  std::shared_ptr<const TensorSource> source_;
  std::string prefix_;  // of all names
};

}  // namespace amalgam::labels

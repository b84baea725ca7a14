#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/gguf_tensor_type.hpp"
#include "amalgam/checkpoint/output_tensors.hpp"
#include "amalgam/checkpoint/write_back.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::uint32_t kVersion = 3;
// The version of the block formats, which ggml counts up when one of them changes.
constexpr std::uint32_t kQuantizationVersion = 2;
// llama.cpp keeps names in 64 bytes, the last of them zero.
constexpr std::size_t kLongestNameLlamaReads = 63;

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_string(std::string& out, std::string_view text) {
  append_number(out, std::uint64_t{text.size()});
  out += text;
}

void warn_of_long_names(const std::vector<TensorInfo>& tensors, const std::string& file) {
  const auto count = std::count_if(tensors.begin(), tensors.end(), [](const TensorInfo& info) {
    return info.name.size() > kLongestNameLlamaReads;
  });
  if (count == 0) return;
  log::warn("{}: {} tensor names have more than {} bytes, which llama.cpp does not read", file,
            count, kLongestNameLlamaReads);
}

// The type that most elements have, those of matrices if there are any: what people call the type
// of the file.
std::optional<DType> prevailing_type(const std::vector<TensorInfo>& tensors) {
  const bool has_matrices = std::any_of(tensors.begin(), tensors.end(),
                                        [](const auto& info) { return info.shape.size() >= 2; });
  std::map<DType, std::uint64_t> elements;
  for (const TensorInfo& info : tensors) {
    if (!has_matrices || info.shape.size() >= 2) elements[info.dtype] += info.elements;
  }
  const auto most =
      std::max_element(elements.begin(), elements.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == elements.end() ? std::nullopt : std::optional(most->first);
}

void update(GgufMetadata& metadata, const std::vector<TensorInfo>& tensors) {
  for (const char* key : {"general.alignment", "split.no", "split.count", "split.tensors.count"}) {
    metadata.erase(key);
  }
  const std::optional<DType> dtype = prevailing_type(tensors);
  const auto file_type = dtype ? gguf_file_type(*dtype) : std::nullopt;
  if (file_type) {
    metadata.set("general.file_type", GgufValue::of(*file_type));
  } else {
    metadata.erase("general.file_type");
  }
  metadata.set("general.quantization_version", GgufValue::of(kQuantizationVersion));
}

class GgufSink final : public FileSink {
 public:
  GgufSink(const std::filesystem::path& path, std::vector<TensorInfo> infos,
           const GgufMetadata& metadata, SinkStart start)
      : FileSink(std::move(infos)),
        file_(start == SinkStart::create ? File::create(path) : File::update(path)) {
    try {
      std::string header = "GGUF";
      append_number(header, kVersion);
      append_number(header, std::uint64_t{tensors().size()});
      append_number(header, std::uint64_t{metadata.entries().size()});
      for (const auto& [key, value] : metadata.entries()) {
        append_string(header, key);
        append_number(header, static_cast<std::uint32_t>(value.type()));
        header += value.encoded();
      }
      std::uint64_t reached = 0;
      for (const TensorInfo& info : tensors()) {
        append_string(header, info.name);
        append_number(header, static_cast<std::uint32_t>(info.shape.size()));
        for (auto size = info.shape.rbegin(); size != info.shape.rend(); ++size) {
          append_number(header, *size);
        }
        append_number(header, gguf_type_number(info.dtype).value_or(0));
        append_number(header, reached);
        places_.push_back(reached);
        reached += aligned(info.bytes);
      }
      const std::uint64_t data_start = aligned(header.size());
      for (std::uint64_t& place : places_) place += data_start;
      if (start != SinkStart::join) {
        file_.reserve(data_start + reached);  // the padding reads as zeros
        file_.write_exactly(0, std::as_bytes(std::span(header)));
      } else if (file_.size() != data_start + reached) {
        throw Error("{}: has {} bytes, but the process that made it gave it {}", path.string(),
                    file_.size(), data_start + reached);
      }
    } catch (...) {
      std::error_code ignored;
      if (start == SinkStart::create) std::filesystem::remove(path, ignored);
      throw;
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    const TensorInfo& info = tensors().at(tensor);
    if (offset > info.bytes || bytes.size() > info.bytes - offset) {
      throw Error("{}: write past the end of '{}'", file_.path().string(), info.name);
    }
    if (finished_) {
      throw Error("{}: '{}' is written after the end", file_.path().string(), info.name);
    }
    file_.write_exactly(places_[tensor] + offset, bytes);
    write_back_.wrote(file_, bytes.size());
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> out) const override {
    file_.read_exactly(places_.at(tensor) + offset, out);
  }

  void finish() override {
    finished_ = true;
    file_.sync();
    sync_folder(file_.path().parent_path());
  }

 private:
  File file_;
  std::vector<std::uint64_t> places_;  // file offset per tensor
  EarlyWriteBack write_back_;
  std::atomic<bool> finished_ = false;
};

// Tensors in several files.
class GgufPartsSink final : public FileSink {
 public:
  GgufPartsSink(std::vector<TensorInfo> infos, std::vector<std::unique_ptr<FileSink>> parts)
      : FileSink(std::move(infos)), parts_(std::move(parts)) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      for (std::size_t i = 0; i < parts_[part]->tensors().size(); ++i)
        places_.emplace_back(part, i);
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    const auto& [part, index] = places_.at(tensor);
    parts_[part]->write(index, offset, bytes);
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> out) const override {
    const auto& [part, index] = places_.at(tensor);
    parts_[part]->read(index, offset, out);
  }

  void finish() override {
    for (const auto& part : parts_) part->finish();
  }

 private:
  std::vector<std::unique_ptr<FileSink>> parts_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // part, and number in it
};

}  // namespace

void check_gguf_tensors(const std::vector<TensorInfo>& tensors, const std::string& where) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& info : tensors) {
    const std::string shown = printable(info.name);
    if (!gguf_type_number(info.dtype)) {
      throw InputError("{}: tensor '{}' is {}, which GGUF does not have; expected one of {}", where,
                       shown, dtype_name(info.dtype), gguf_written_types());
    }
    if (info.shape.size() > kGgufMostDimensions) {
      throw InputError("{}: tensor '{}' has shape {}, but GGUF allows at most {} dimensions", where,
                       shown, format_shape(info.shape), kGgufMostDimensions);
    }
    if (info.name.empty() || info.name.size() > kGgufLongestKey || !is_utf8(info.name)) {
      throw InputError("{}: a tensor cannot be named '{}' in GGUF (1 to {} bytes of UTF-8)", where,
                       shown, kGgufLongestKey);
    }
    names.push_back(info.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end()) {
    throw InputError("{}: tensor '{}' would be written twice", where, printable(*twin));
  }
}

std::unique_ptr<FileSink> create_gguf_file(const std::filesystem::path& path,
                                           std::vector<TensorInfo> tensors, GgufMetadata metadata,
                                           SinkStart start) {
  check_gguf_tensors(tensors, path.string());
  warn_of_long_names(tensors, path.string());
  update(metadata, tensors);
  return std::make_unique<GgufSink>(path, std::move(tensors), metadata, start);
}

GgufParts create_gguf_parts(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                            const GgufMetadata& metadata, std::uint64_t part_bytes,
                            SinkStart start) {
  check_gguf_tensors(tensors, path.string());
  warn_of_long_names(tensors, path.string());
  const std::vector<std::size_t> sizes = gguf_part_sizes(tensors, part_bytes);
  GgufMetadata whole = metadata;
  update(whole, tensors);
  GgufParts made{.files = gguf_part_files(path, tensors, part_bytes), .sink = {}};
  std::vector<std::unique_ptr<FileSink>> parts;
  auto next = tensors.begin();
  for (std::size_t number = 0; number < sizes.size(); ++number) {
    GgufMetadata keys = number == 0 ? whole : GgufMetadata();
    set_part_keys(keys, number, sizes.size(), tensors.size());
    const auto end = next + static_cast<std::ptrdiff_t>(sizes[number]);
    parts.push_back(std::make_unique<GgufSink>(made.files[number],
                                               std::vector<TensorInfo>(next, end), keys, start));
    next = end;
  }
  made.sink = std::make_unique<GgufPartsSink>(std::move(tensors), std::move(parts));
  return made;
}

}  // namespace amalgam

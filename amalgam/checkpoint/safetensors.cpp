#include "amalgam/checkpoint/safetensors.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/stored_tensors.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using nlohmann::json;

std::map<std::string, std::string> read_metadata(const json& value, std::string_view where) {
  if (!value.is_object()) {
    throw InputError("{}: __metadata__ is a JSON {}, expected an object of strings", where,
                     value.type_name());
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      throw InputError("{}: __metadata__ '{}' is a JSON {}, expected a string", where, key,
                       text.type_name());
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

DType read_dtype(const json& entry, std::string_view name, std::string_view where) {
  const auto found = entry.find("dtype");
  if (found == entry.end() || !found->is_string()) {
    throw InputError("{}: tensor '{}' has no dtype", where, name);
  }
  const auto& text = found->get_ref<const std::string&>();
  if (text == "F8_E8M0") {
    throw InputError(
        "{}: tensor '{}' is F8_E8M0 (scales that are powers of two), which is not read; store the "
        "scales as F32, or take the model that was quantised",
        where, name);
  }
  const std::optional<DType> dtype = parse_dtype(text);
  if (!dtype || dtype_is_quantised(*dtype) || dtype_name(*dtype) != text) {
    throw InputError("{}: tensor '{}' has the unknown dtype '{}'", where, name, text);
  }
  return *dtype;
}

// A list of non-negative 64-bit integers; what has a sign, a fraction or too many digits is
// refused.
std::vector<std::uint64_t> read_integers(const json& entry, const char* key, std::string_view name,
                                         std::string_view where) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) {
    throw InputError("{}: tensor '{}' has no list '{}'", where, name, key);
  }
  std::vector<std::uint64_t> integers;
  integers.reserve(found->size());
  for (const json& value : *found) {
    if (!value.is_number_unsigned()) {
      throw InputError("{}: tensor '{}' has {} in '{}', expected non-negative 64-bit integers",
                       where, name, value.is_number() ? value.dump() : value.type_name(), key);
    }
    integers.push_back(value.get<std::uint64_t>());
  }
  return integers;
}

SafetensorsHeader::Entry read_entry(const std::string& name, const json& entry,
                                    std::uint64_t data_bytes, std::string_view where) {
  if (!entry.is_object()) {
    throw InputError("{}: tensor '{}' is described by a JSON {}, expected an object", where, name,
                     entry.type_name());
  }
  const DType dtype = read_dtype(entry, name, where);
  Shape shape = read_integers(entry, "shape", name, where);
  const std::vector<std::uint64_t> offsets = read_integers(entry, "data_offsets", name, where);
  if (offsets.size() != 2) {
    throw InputError("{}: tensor '{}' has {} data_offsets, expected [begin, end]", where, name,
                     offsets.size());
  }
  const std::uint64_t begin = offsets[0];
  const std::uint64_t end = offsets[1];
  if (begin > end) {
    throw InputError("{}: tensor '{}' has data_offsets [{}, {}] that run backwards", where, name,
                     begin, end);
  }
  if (end > data_bytes) {
    throw InputError(
        "{}: tensor '{}' has data_offsets [{}, {}], but the file has {} bytes of data (truncated?)",
        where, name, begin, end, data_bytes);
  }
  SafetensorsHeader::Entry made{make_tensor_info(name, dtype, std::move(shape), where), begin};
  if (made.info.bytes != end - begin) {
    throw InputError(
        "{}: tensor '{}' of {} {} takes {} bytes, but its data_offsets [{}, {}] hold {}", where,
        name, dtype_name(dtype), format_shape(made.info.shape), made.info.bytes, begin, end,
        end - begin);
  }
  return made;
}

// Tensors in the order of their bytes must follow each other without overlap or hole and reach the
// end: the format requires it, so that no file hides other contents.
void check_layout(const std::vector<SafetensorsHeader::Entry>& entries, std::uint64_t data_bytes,
                  std::string_view where) {
  std::vector<const SafetensorsHeader::Entry*> by_place;
  by_place.reserve(entries.size());
  for (const auto& entry : entries) by_place.push_back(&entry);
  std::stable_sort(by_place.begin(), by_place.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->info.bytes) < std::pair(b->begin, b->info.bytes);
  });
  std::uint64_t reached = 0;
  const SafetensorsHeader::Entry* previous = nullptr;
  for (const SafetensorsHeader::Entry* entry : by_place) {
    if (entry->begin < reached) {
      throw InputError("{}: tensor '{}' begins at byte {}, but '{}' ends at {}: they overlap",
                       where, entry->info.name, entry->begin, previous->info.name, reached);
    }
    if (entry->begin > reached) {
      throw InputError(
          "{}: tensor '{}' begins at byte {}, but the data before it ends at {}: a hole", where,
          entry->info.name, entry->begin, reached);
    }
    reached = entry->begin + entry->info.bytes;
    previous = entry;
  }
  if (reached != data_bytes) {
    throw InputError("{}: the tensors take {} bytes of data, but the file has {}", where, reached,
                     data_bytes);
  }
}

class SafetensorsSource final : public TensorSource, public StoredTensors {
 public:
  explicit SafetensorsSource(const std::filesystem::path& path) : file_(File::open(path)) {
    const std::string where = path.string();
    std::array<std::byte, kSafetensorsLengthBytes> start{};
    const std::size_t available = std::min<std::uint64_t>(start.size(), file_.size());
    file_.read_exactly(0, std::span(start).first(available));
    const std::uint64_t length =
        safetensors_header_length(std::span(start).first(available), file_.size(), where);
    std::string text(length, '\0');
    file_.read_exactly(kSafetensorsLengthBytes, std::as_writable_bytes(std::span(text)));

    data_start_ = kSafetensorsLengthBytes + length;
    SafetensorsHeader header = parse_safetensors_header(text, file_.size() - data_start_, where);
    std::vector<TensorInfo> infos;
    infos.reserve(header.tensors.size());
    begins_.reserve(header.tensors.size());
    for (SafetensorsHeader::Entry& entry : header.tensors) {
      infos.push_back(std::move(entry.info));
      begins_.push_back(entry.begin);
    }
    set_tensors(where, std::move(infos));
    set_metadata(std::move(header.metadata));
  }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override {
    const TensorInfo& info = tensors().at(tensor);
    if (offset > info.bytes || out.size() > info.bytes - offset) {
      throw Error("{}: read past the end of '{}'", label(), info.name);
    }
    file_.read_exactly(data_start_ + begins_[tensor] + offset, out);
  }

  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override {
    file_.will_need(data_start_ + begins_.at(tensor) + offset, bytes);
  }
  bool is_stored(std::size_t /*tensor*/) const override { return true; }

 private:
  File file_;
  std::uint64_t data_start_ = 0;
  std::vector<std::uint64_t> begins_;  // in the order of tensors()
};

}  // namespace

std::uint64_t safetensors_header_length(std::span<const std::byte> start, std::uint64_t file_bytes,
                                        std::string_view where) {
  if (start.size() < kSafetensorsLengthBytes || file_bytes < kSafetensorsLengthBytes) {
    throw InputError("{}: has {} bytes, too short for a safetensors file", where, file_bytes);
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kSafetensorsLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(start[i]) << (8 * i);
  }
  if (length == 0) throw InputError("{}: the safetensors header is empty", where);
  if (length > kSafetensorsLongestHeader) {
    throw InputError(
        "{}: the safetensors header would have {} bytes (at most {} are allowed); "
        "is it another kind of file?",
        where, length, kSafetensorsLongestHeader);
  }
  if (length > file_bytes - kSafetensorsLengthBytes) {
    throw InputError("{}: truncated in the header: expected at least {} bytes, found {}", where,
                     kSafetensorsLengthBytes + length, file_bytes);
  }
  return length;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           std::string_view where) {
  const std::string place = std::string(where) + ": header";
  if (!text.starts_with('{')) throw InputError("{} does not begin with '{{'", place);
  const json parsed = parse_json(text, place);

  SafetensorsHeader header;
  header.tensors.reserve(parsed.size());
  for (const auto& [name, value] : parsed.items()) {  // in the order of names
    if (name == "__metadata__") {
      header.metadata = read_metadata(value, where);
    } else {
      header.tensors.push_back(read_entry(name, value, data_bytes, where));
    }
  }
  check_layout(header.tensors, data_bytes, where);
  return header;
}

std::unique_ptr<TensorSource> open_safetensors(const std::filesystem::path& path) {
  return std::make_unique<SafetensorsSource>(path);
}

}  // namespace amalgam

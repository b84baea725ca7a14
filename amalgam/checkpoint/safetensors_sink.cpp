#include "amalgam/checkpoint/safetensors_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output_tensors.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/write_back.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

// The order of the official library's types, which puts larger elements first so that all data are
// aligned: descending in this list.
int official_rank(DType dtype) {
  constexpr std::array kAscending = {DType::boolean, DType::u8,  DType::i8,  DType::f8_e5m2,
                                     DType::f8_e4m3, DType::i16, DType::u16, DType::f16,
                                     DType::bf16,    DType::i32, DType::u32, DType::f32,
                                     DType::f64,     DType::i64, DType::u64};
  const auto* found = std::find(kAscending.begin(), kAscending.end(), dtype);
  return static_cast<int>(found - kAscending.begin());
}

// A file to be: where its tensors go and the bytes before them.
struct Layout {
  std::string start;                  // length and header
  std::vector<std::uint64_t> places;  // file offset per element of `members`
  std::uint64_t file_bytes = 0;
};

Layout lay_out(const std::vector<TensorInfo>& tensors, const std::vector<std::size_t>& members,
               const std::map<std::string, std::string>& metadata, const std::string& where) {
  std::vector<std::size_t> order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const TensorInfo& left = tensors[members[a]];
    const TensorInfo& right = tensors[members[b]];
    return std::pair(-official_rank(left.dtype), std::string_view(left.name)) <
           std::pair(-official_rank(right.dtype), std::string_view(right.name));
  });

  std::string header = "{\"__metadata__\":{";
  std::map<std::string, std::string> all = metadata;
  all.emplace("format", "pt");
  for (const auto& [key, value] : all) {
    if (header.back() != '{') header += ',';
    header += json_string(key, where) + ':' + json_string(value, where);
  }
  header += '}';
  Layout layout;
  layout.places.resize(members.size());
  std::uint64_t reached = 0;
  for (const std::size_t i : order) {
    const TensorInfo& info = tensors[members[i]];
    layout.places[i] = reached;
    header += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          json_string(info.name, where), dtype_name(info.dtype),
                          fmt::join(info.shape, ","), reached, reached + info.bytes);
    reached += info.bytes;
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > kSafetensorsLongestHeader) {
    throw InputError("{}: its safetensors header would have {} bytes (at most {}): use more shards",
                     where, header.size(), kSafetensorsLongestHeader);
  }

  for (std::size_t i = 0; i < kSafetensorsLengthBytes; ++i) {
    layout.start += static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  layout.start += header;
  for (std::uint64_t& place : layout.places) place += layout.start.size();
  layout.file_bytes = layout.start.size() + reached;
  return layout;
}

// A shard to write: its name and the tensors in it.
struct ShardPlan {
  fs::path path;
  std::vector<std::size_t> members;  // indices of tensors
};

class SafetensorsSink final : public FileSink {
 public:
  // `index`: the path and contents of the file that finish() adds.
  SafetensorsSink(std::vector<TensorInfo> infos, const std::vector<ShardPlan>& plans,
                  const std::map<std::string, std::string>& metadata,
                  std::optional<std::pair<fs::path, std::string>> index, SinkStart start)
      : FileSink(std::move(infos)), places_(tensors().size()) {
    if (start != SinkStart::join) index_ = std::move(index);
    std::vector<Layout> layouts;
    std::uint64_t needed = 0;
    for (const ShardPlan& plan : plans) {
      layouts.push_back(lay_out(tensors(), plan.members, metadata, plan.path.string()));
      needed += layouts.back().file_bytes;
    }
    const fs::path folder = plans.front().path.parent_path();
    const std::uint64_t available = free_bytes(folder);
    // What is left of an earlier run has its space already.
    if (start == SinkStart::create && needed > available) {
      throw Error("{}: not enough free space: {} needed, {} free",
                  plans.size() == 1 ? plans.front().path.string() : folder.string(),
                  format_bytes(needed), format_bytes(available));
    }
    try {
      for (std::size_t shard = 0; shard < plans.size(); ++shard) {
        const Layout& layout = layouts[shard];
        const fs::path& path = plans[shard].path;
        File& file =
            shards_
                .emplace_back(start == SinkStart::create ? File::create(path) : File::update(path))
                .file;
        if (start != SinkStart::join) {
          file.reserve(layout.file_bytes);
          file.write_exactly(0, std::as_bytes(std::span(layout.start)));
        } else if (file.size() != layout.file_bytes) {
          throw Error("{}: has {} bytes, but the process that made it gave it {}", path.string(),
                      file.size(), layout.file_bytes);
        }
        for (std::size_t i = 0; i < plans[shard].members.size(); ++i) {
          places_[plans[shard].members[i]] = {shard, layout.places[i]};
        }
      }
    } catch (...) {
      if (start != SinkStart::create) throw;
      for (const Shard& shard : shards_) {
        std::error_code ignored;
        fs::remove(shard.file.path(), ignored);
      }
      throw;
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    const TensorInfo& info = tensors().at(tensor);
    const Place& place = places_[tensor];
    Shard& shard = shards_[place.shard];
    if (offset > info.bytes || bytes.size() > info.bytes - offset) {
      throw Error("{}: write past the end of '{}'", shard.file.path().string(), info.name);
    }
    if (finished_) {
      throw Error("{}: '{}' is written after the end", shard.file.path().string(), info.name);
    }
    shard.file.write_exactly(place.offset + offset, bytes);
    shard.write_back.wrote(shard.file, bytes.size());
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> out) const override {
    const Place& place = places_.at(tensor);
    shards_[place.shard].file.read_exactly(place.offset + offset, out);
  }

  void finish() override {
    finished_ = true;
    for (Shard& shard : shards_) shard.file.sync();
    if (index_) write_text_file(index_->first, index_->second);
    sync_folder(shards_.front().file.path().parent_path());
  }

 private:
  struct Shard {
    explicit Shard(File opened) : file(std::move(opened)) {}
    File file;
    EarlyWriteBack write_back;
  };
  struct Place {
    std::size_t shard = 0;
    std::uint64_t offset = 0;
  };

  std::optional<std::pair<fs::path, std::string>> index_;
  std::deque<Shard> shards_;   // never moved: atomics
  std::vector<Place> places_;  // per tensor
  std::atomic<bool> finished_ = false;
};

// Greedy in the order of names, as Hugging Face's writers do it.
std::vector<std::vector<std::size_t>> split_into_shards(const std::vector<TensorInfo>& tensors,
                                                        std::uint64_t shard_bytes) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  std::vector<std::vector<std::size_t>> shards(1);
  std::uint64_t filled = 0;
  for (const std::size_t i : order) {
    const std::uint64_t bytes = tensors[i].bytes;
    if (!shards.back().empty() && (filled > shard_bytes || bytes > shard_bytes - filled)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(i);
    filled += bytes;
  }
  return shards;
}

std::string index_json(const std::vector<TensorInfo>& tensors, const std::vector<ShardPlan>& plans,
                       const std::string& where) {
  std::map<std::string_view, std::string> file_of;
  std::uint64_t total = 0;
  for (const ShardPlan& plan : plans) {
    for (const std::size_t i : plan.members) {
      file_of.emplace(tensors[i].name, plan.path.filename().string());
      total += tensors[i].bytes;
    }
  }
  std::string text = fmt::format(
      "{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total);
  const char* separator = "\n";
  for (const auto& [name, file] : file_of) {
    text +=
        fmt::format("{}    {}: {}", separator, json_string(name, where), json_string(file, where));
    separator = ",\n";
  }
  return text + "\n  }\n}\n";
}

}  // namespace

void check_safetensors_tensors(const std::vector<TensorInfo>& tensors, const std::string& where) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& info : tensors) {
    if (dtype_is_quantised(info.dtype)) {
      throw InputError("{}: tensor '{}' is {}, which safetensors cannot hold; choose another dtype",
                       where, info.name, dtype_name(info.dtype));
    }
    if (info.name == "__metadata__") {
      throw InputError("{}: a tensor cannot be named '__metadata__' in safetensors", where);
    }
    names.push_back(info.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end()) {
    throw InputError("{}: tensor '{}' would be written twice", where, *twin);
  }
}

std::unique_ptr<FileSink> create_safetensors_file(
    const fs::path& path, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata, SinkStart start) {
  check_safetensors_tensors(tensors, path.string());
  std::vector<ShardPlan> plans(1);
  plans[0].path = path;
  plans[0].members.resize(tensors.size());
  std::iota(plans[0].members.begin(), plans[0].members.end(), std::size_t{0});
  return std::make_unique<SafetensorsSink>(std::move(tensors), plans, metadata, std::nullopt,
                                           start);
}

std::unique_ptr<FileSink> create_safetensors_folder(
    const fs::path& folder, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata, std::uint64_t shard_bytes,
    SinkStart start) {
  check_safetensors_tensors(tensors, folder.string());
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error("{}: cannot create folder: {}", folder.string(), error.message());

  std::vector<std::vector<std::size_t>> shards = split_into_shards(tensors, shard_bytes);
  std::vector<ShardPlan> plans;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    plans.push_back({folder / name, std::move(shards[i])});
  }
  std::optional<std::pair<fs::path, std::string>> index;
  if (plans.size() > 1) {
    index.emplace(folder / "model.safetensors.index.json",
                  index_json(tensors, plans, folder.string()));
  }
  return std::make_unique<SafetensorsSink>(std::move(tensors), plans, metadata, std::move(index),
                                           start);
}

}  // namespace amalgam

#include "amalgam/weights/merge_identity.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checksum.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf_parts.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/folder_entries.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::uint64_t kHeaderBytes = 1 << 20;

// The first part of a split GGUF file is read with all others.
void add_other_parts(const fs::path& first, std::set<fs::path>& files) {
  const std::optional<GgufPartName> name = parse_gguf_part_name(first);
  if (!name || name->number != 0) return;
  for (std::uint64_t part = 1; part < name->count; ++part) {
    const fs::path path = gguf_part_beside(first, part);
    if (names_file(path)) files.insert(path);
  }
}

void add_files(const fs::path& path, std::set<fs::path>& files) {
  std::error_code unknown;
  if (names_file(path)) {
    files.insert(path);
    add_other_parts(path, files);
  } else if (names_folder(path)) {
    for (const fs::directory_entry& entry : folder_entries(path)) {
      if (entry.is_regular_file(unknown)) files.insert(entry.path());
    }
  } else if (const auto adapted = split_adapted_path(path)) {  // with another adapter on it
    add_files(adapted->base, files);
    add_files(adapted->adapter, files);
  }
}

ordered_json describe_input(const fs::path& path) {
  const File file = File::open(path);
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) throw Error("{}: cannot stat", path.string());
  std::vector<std::byte> header(std::min(kHeaderBytes, file.size()));
  file.read_exactly(0, header);
  return {
      {"path", path.string()},
      {"bytes", file.size()},
      {"modified", std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec},
      {"header", checksum_of(header)}};
}

std::uint64_t checksum_of_plan(const MergePlan& plan) {
  const std::string text =
      plan_as_json(plan).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return checksum_of(std::as_bytes(std::span(text)));
}

// What is different about the inputs: the first file that is, or that only one side has.
std::string changed_input(const ordered_json& found, const ordered_json& expected) {
  for (const ordered_json& now : expected) {
    const auto then = std::find_if(found.begin(), found.end(), [&](const ordered_json& one) {
      return one.is_object() && one.value("path", ordered_json()) == now["path"];
    });
    if (then == found.end()) return fmt::format("'{}' is new", now["path"].get<std::string>());
    if (*then != now) return fmt::format("'{}' has changed", now["path"].get<std::string>());
  }
  return "a file is gone";
}

}  // namespace

std::string wanted_type_name(const MergeOptions& options) {
  return options.type ? output_type_name(*options.type) : std::string();
}

const char* amalgam_version() { return AMALGAM_VERSION; }

std::vector<fs::path> input_files(const std::vector<fs::path>& models,
                                  const std::vector<const MergePlan*>& plans) {
  std::set<fs::path> files;
  for (const fs::path& model : models) add_files(model, files);
  // Files that parameters name, such as Fisher information.
  for (const MergePlan* plan : plans) {
    for (const auto& source : plan->sources) add_files(source->label(), files);
  }
  return {files.begin(), files.end()};
}

ordered_json merge_identity(const std::string& recipe, const std::vector<fs::path>& models,
                            const MergeOptions& options,
                            const std::vector<const MergePlan*>& plans) {
  const std::uint64_t by_default = output_is_file(options.output) ? 0 : kDefaultShardBytes;
  ordered_json stages = ordered_json::array();
  for (const MergePlan* plan : plans) stages.push_back(checksum_of_plan(*plan));
  ordered_json inputs = ordered_json::array();
  for (const fs::path& file : input_files(models, plans)) inputs.push_back(describe_input(file));
  return {{"version", amalgam_version()},
          {"recipe", recipe},
          {"options",
           {{"seed", options.engine.seed},
            {"nan", options.engine.non_finite == NonFinite::propagate ? "propagate" : "error"},
            {"dtype", wanted_type_name(options)},
            {"importance", options.importance.string()},
            {"shard_bytes", options.shard_bytes.value_or(by_default)}}},
          {"plans", stages},
          {"inputs", inputs}};
}

void check_same_merge(const ordered_json& found, const ordered_json& expected,
                      const fs::path& place) {
  if (found == expected) return;
  std::string difference = "what is to be merged has changed";
  for (const char* key : {"version", "recipe", "options"}) {
    if (found.value(key, ordered_json()) != expected[key]) {
      difference = fmt::format("the {} {} changed", key,
                               std::string_view(key) == "options" ? "have" : "has");
      break;
    }
  }
  if (difference.starts_with("what") && found.contains("inputs") && found["inputs"].is_array()) {
    if (found["inputs"] != expected["inputs"]) {
      difference = "input " + changed_input(found["inputs"], expected["inputs"]);
    }
  }
  throw InputError(
      "{}: cannot go on with this unfinished merge: {} since it began; go on as it was, or begin "
      "again without --resume",
      place.string(), difference);
}

}  // namespace amalgam

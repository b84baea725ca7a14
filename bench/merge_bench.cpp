// Merging against the floor of its data movement. For every method: median time of `--runs`
// interleaved runs of the merge and of the floor (bench/merge_floor.hpp), and their ratio.
//
//   merge_bench [--folder DIR] [--bytes 1GB] [--members 4] [--dtype bf16|q8_0|fp8_block|...]
//   [--threads 2] [--runs 5]
//               [--methods linear,ties,...] [--memory 512MB] [--cold] [--json FILE]
//
// "cpu" is the ratio of the time of processors (of threads, and of the system for them), which
// other work on the machine disturbs less. With --cold the inputs are taken out of the page cache
// before every run, floor and merge alike.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/weights/fp8_conversion.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/planner.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "bench/merge_floor.hpp"
#include "bench/timing.hpp"

namespace amalgam::bench {
namespace {

struct Options {
  std::filesystem::path folder = "build/bench-data";
  std::string bytes = "1GB";
  std::size_t members = 4;
  std::string dtype = "bf16";
  std::size_t threads = available_threads();
  std::size_t runs = 5;
  std::string methods = "linear,task_arithmetic,slerp,ties,dare_ties";
  std::string memory = "512MB";
  bool cold = false;
  std::string json;
};

// Layers of a Llama-like shape: a few large matrices and some vectors each. Values are normal with
// the spread of trained weights; a member is the base plus a difference of a hundredth of it.
void write_checkpoint(const std::filesystem::path& path, std::uint64_t bytes, DType dtype,
                      std::size_t member) {
  constexpr std::uint64_t kWidth = 4096;
  std::vector<TensorInfo> tensors;
  std::uint64_t total = 0;
  for (std::size_t layer = 0; total < bytes; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer);
    tensors.push_back(make_tensor_info(prefix + ".mlp.weight", dtype, {kWidth, kWidth}, "bench"));
    total += tensors.back().bytes;
    tensors.push_back(make_tensor_info(prefix + ".norm.weight",
                                       dtype_is_quantised(dtype) ? DType::f32 : dtype, {kWidth},
                                       "bench"));
  }
  const std::unique_ptr<FileSink> sink =
      dtype_is_quantised(dtype)
          ? create_gguf_file(path, tensors, minimal_gguf_metadata("llama", "bench"))
          : create_safetensors_file(path, tensors, {});
  constexpr std::size_t kChunk = 1 << 16;
  // One table of normal numbers, read at offsets that depend on tensor and chunk: cheap to make,
  // and without the regularity that would favour any method.
  std::vector<double> normal(kChunk * 4);
  RandomStream stream(1, "bench");
  for (double& value : normal) value = 0.02 * stream.normal();
  const Parallel parallel{available_threads(), Runner::std_thread};
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const std::uint64_t chunks = (tensors[t].elements + kChunk - 1) / kChunk;
    const DType type = tensors[t].dtype;
    parallel_for(parallel, chunks, [&](std::size_t chunk, std::size_t) {
      const std::uint64_t first = chunk * kChunk;
      const std::uint64_t count = std::min<std::uint64_t>(kChunk, tensors[t].elements - first);
      const auto base_at = philox4x32(
          {0, 0}, {static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(chunk), 0, 0})[0];
      const auto own_at =
          philox4x32({1, 0}, {static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(chunk),
                              static_cast<std::uint32_t>(member), 0})[0];
      std::vector<double> values(count);
      for (std::size_t i = 0; i < count; ++i) {
        values[i] = normal[(base_at + i) % normal.size()];
        if (member > 0) values[i] += 0.05 * normal[(own_at + 7 * i) % normal.size()];
      }
      std::vector<std::byte> encoded(dtype_bytes(type, count));
      encode(type, std::span<const double>(values), encoded);
      sink->write(t, dtype_bytes(type, first), encoded);
    });
  }
  sink->finish();
}

// A checkpoint of as many bytes whose matrices are FP8 with scales.
void write_fp8_checkpoint(const std::filesystem::path& path, std::uint64_t bytes,
                          Fp8Scaling scaling, std::size_t member) {
  const std::filesystem::path plain = path.string() + ".bf16";
  std::filesystem::remove(plain);
  write_checkpoint(plain, 2 * bytes, DType::bf16, member);
  {
    const std::shared_ptr<const TensorSource> source = open_safetensors(plain);
    const MergePlan plan = plan_fp8_conversion(source, Fp8Choice::with(scaling, *source));
    run_merge(plan, *create_safetensors_file(path, outputs_of(plan), {}), {});
  }
  std::filesystem::remove(plain);
}

std::string ending(const Options& options) {
  const std::optional<DType> dtype = parse_dtype(options.dtype);
  return dtype && dtype_is_quantised(*dtype) ? ".gguf" : ".safetensors";
}

struct Case {
  std::string method;
  bool base = true;
  std::size_t members = 0;
  std::vector<std::string> parameters;
};

Case case_of(const std::string& method, std::size_t members) {
  static const std::map<std::string, std::pair<bool, std::vector<std::string>>> kKnown = {
      {"linear", {false, {"weight=1"}}},
      {"task_arithmetic", {true, {"weight=0.5"}}},
      {"slerp", {true, {"t=0.5"}}},
      {"ties", {true, {"weight=1", "density=0.5"}}},
      {"dare_ties", {true, {"weight=1", "density=0.5"}}},
      {"dare_linear", {true, {"weight=1", "density=0.5"}}},
      {"breadcrumbs", {true, {"weight=1", "density=0.9"}}},
      {"della", {true, {"weight=1", "density=0.5"}}},
      {"sce", {true, {"select_topk=0.5"}}},
      {"model_stock", {true, {}}},
      {"karcher", {false, {}}},
      {"arcee_fusion", {true, {}}},
      {"median", {false, {}}},
      {"geometric_median", {false, {}}},
      {"krum", {false, {"f=0"}}},
      {"flag", {true, {}}},
      {"wise_ft", {true, {"alpha=0.5"}}},
      {"variance_corrected", {false, {}}},
  };
  const auto found = kKnown.find(method);
  if (found == kKnown.end()) throw InputError("merge_bench: no case for method '{}'", method);
  const bool single = method == "slerp" || method == "arcee_fusion" || method == "wise_ft";
  return {method, found->second.first, single ? 1 : members, found->second.second};
}

double seconds_of_merge(const Case& item, const Options& options) {
  std::vector<std::string> members;
  for (std::size_t m = 1; m <= item.members; ++m) {
    members.push_back((options.folder / fmt::format("member{}{}", m, ending(options))).string());
  }
  std::string base;
  if (item.base) base = (options.folder / ("member0" + ending(options))).string();
  MergeOptions merge;
  merge.output = options.folder / ("merged" + ending(options));
  merge.engine.parallel = {options.threads, Runner::tbb};
  merge.engine.memory = parse_bytes(options.memory, "--memory");
  merge.progress = Progress::Mode::never;
  merge.overwrite = true;
  std::filesystem::remove(merge.output);
  const auto start = std::chrono::steady_clock::now();
  merge_checkpoints(
      {recipe_from_arguments(find_merge_rule(item.method).info(),
                             {.base = base, .members = members, .parameters = item.parameters})},
      merge);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Takes files out of the page cache, so that they are read from the disk.
void forget(const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& path : files) {
    const File file = File::open(path);
    if (::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED) != 0) {
      throw Error("{}: cannot be taken out of the page cache", path.string());
    }
  }
}

void run(const Options& options) {
  const std::optional<DType> dtype = parse_dtype(options.dtype);
  const std::optional<Fp8Scaling> fp8 = parse_fp8_scaling(options.dtype);
  if (!dtype && !fp8) throw InputError("merge_bench: no type '{}'", options.dtype);
  const std::uint64_t bytes = parse_bytes(options.bytes, "--bytes");
  std::filesystem::create_directories(options.folder);
  for (std::size_t m = 0; m <= options.members; ++m) {
    const auto path = options.folder / fmt::format("member{}{}", m, ending(options));
    fmt::print(stderr, "writing {}\n", path.string());
    std::filesystem::remove(path);
    if (fp8) {
      write_fp8_checkpoint(path, bytes, *fp8, m);
    } else {
      write_checkpoint(path, bytes, *dtype, m);
    }
  }
  const double copy = seconds_of_memcpy(1 << 29, 4, options.threads);
  fmt::print("memcpy, {} threads: {:.1f} GB/s\n", options.threads, 4 * 0.536870912 / copy);
  fmt::print("{:<20} {:>8} {:>9} {:>9} {:>7} {:>13} {:>6} {:>9}\n", "method", "inputs", "floor s",
             "merge s", "ratio", "of the runs", "cpu", "GB/s in");
  nlohmann::json results = nlohmann::json::array();
  for (const std::string& method : split(options.methods, ',')) {
    const Case item = case_of(method, options.members);
    std::vector<std::filesystem::path> inputs;
    for (std::size_t m = item.base ? 0 : 1; m <= item.members; ++m) {
      inputs.push_back(options.folder / fmt::format("member{}{}", m, ending(options)));
    }
    std::uint64_t read = 0;
    for (const auto& path : inputs) read += std::filesystem::file_size(path);
    const std::uint64_t written = std::filesystem::file_size(inputs.front());
    std::vector<double> floors;
    std::vector<double> merges;
    std::vector<double> processors;  // ratios
    for (std::size_t r = 0; r < options.runs; ++r) {
      if (options.cold) forget(inputs);
      const double start = processor_seconds();
      floors.push_back(
          seconds_of_floor(inputs, options.folder / "floor.tmp", written, options.threads));
      const double between = processor_seconds();
      if (options.cold) forget(inputs);
      merges.push_back(seconds_of_merge(item, options));
      processors.push_back((processor_seconds() - between) / (between - start));
    }
    const double floor = median(floors);
    const double merge = median(merges);
    std::vector<double> ratios;
    for (std::size_t r = 0; r < options.runs; ++r) ratios.push_back(merges[r] / floors[r]);
    const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
    fmt::print("{:<20} {:>8} {:>9.3f} {:>9.3f} {:>7.2f} {:>13} {:>6.2f} {:>9.2f}\n", method,
               inputs.size(), floor, merge, merge / floor,
               fmt::format("{:.2f} to {:.2f}", *least, *most), median(processors),
               static_cast<double>(read) / merge / 1e9);
    std::fflush(stdout);
    results.push_back({{"method", method},
                       {"inputs", inputs.size()},
                       {"bytes_read", read},
                       {"bytes_written", written},
                       {"floor_seconds", floors},
                       {"merge_seconds", merges},
                       {"ratio", merge / floor}});
  }
  if (!options.json.empty()) std::ofstream(options.json) << results.dump(2) << '\n';
}

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  amalgam::bench::Options options;
  CLI::App app("Merging against the floor of its data movement.");
  app.add_option("--folder", options.folder,
                 "Where the checkpoints go (needs members + 2 times the size)")
      ->capture_default_str();
  app.add_option("--bytes", options.bytes, "Size of a checkpoint")->capture_default_str();
  app.add_option("--members", options.members, "Members besides the base")->capture_default_str();
  app.add_option("--dtype", options.dtype, "Element type")->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str();
  app.add_option("--runs", options.runs, "Interleaved runs; the median counts")
      ->capture_default_str();
  app.add_option("--methods", options.methods, "Comma-separated")->capture_default_str();
  app.add_option("--memory", options.memory, "Memory budget of the merge")->capture_default_str();
  app.add_flag("--cold", options.cold, "Read from the disk, not from the page cache");
  app.add_option("--json", options.json, "Also write the figures here");
  CLI11_PARSE(app, argc, argv);
  try {
    amalgam::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "merge_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

// Merging with adapters applied on the fly against the same merge of plain models: median ratios of
// interleaved pairs of runs, by the clock and by the time of processors (which other work on the
// machine disturbs less).
//
//   adapter_bench [--folder DIR] [--bytes 500MB] [--members 2] [--rank 16] [--dtype bf16]
//                 [--method linear] [--threads 2] [--runs 5]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>

#include "amalgam/checkpoint/adapter_output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "bench/timing.hpp"

namespace amalgam::bench {
namespace {

constexpr std::uint64_t kWidth = 4096;

struct Options {
  std::filesystem::path folder = "build/bench-data/adapters";
  std::string bytes = "500MB";
  std::size_t members = 2;
  std::size_t rank = 16;
  std::string dtype = "bf16";
  std::string method = "linear";
  std::size_t threads = available_threads();
  std::size_t runs = 5;
};

std::vector<double> normal(std::size_t count, std::uint64_t seed) {
  RandomStream random(seed, "bench");
  std::vector<double> values(count);
  for (double& value : values) value = 0.02 * random.normal();
  return values;
}

std::string model_path(const Options& options, std::size_t member) {
  return (options.folder / fmt::format("model{}.safetensors", member)).string();
}
std::string adapter_path(const Options& options, std::size_t member) {
  return (options.folder / fmt::format("adapter{}", member)).string();
}

// Square matrices, and an adapter on every one of them.
void write_member(const Options& options, std::size_t member) {
  const auto dtype = parse_dtype(options.dtype);
  if (!dtype) throw InputError("adapter_bench: no type '{}'", options.dtype);
  const std::uint64_t each = dtype_bytes(*dtype, kWidth * kWidth);
  const std::uint64_t count =
      std::max<std::uint64_t>(1, parse_bytes(options.bytes, "--bytes") / each);
  std::vector<TensorInfo> tensors;
  NewAdapter adapter;
  for (std::uint64_t layer = 0; layer < count; ++layer) {
    const std::string name = fmt::format("model.layers.{}.mlp", layer);
    tensors.push_back(make_tensor_info(name + ".weight", *dtype, {kWidth, kWidth}, "bench"));
    adapter.modules.push_back({.name = name,
                               .weight = {kWidth, kWidth},
                               .rank = options.rank,
                               .left = normal(kWidth * options.rank, 2 * layer + 1),
                               .right = normal(kWidth * options.rank, 2 * layer + 2)});
  }
  const MemoryTensor values =
      make_tensor("x", {kWidth, kWidth}, normal(kWidth * kWidth, 100 + member), *dtype);
  const auto sink = create_safetensors_file(model_path(options, member), tensors, {});
  for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, values.bytes);
  sink->finish();
  std::filesystem::create_directories(adapter_path(options, member));
  write_adapter(adapter_path(options, member), adapter, DType::bf16);
}

struct Cost {
  double seconds = 0;
  double processor = 0;
};

Cost cost_of_merge(const Options& options, bool with_adapters) {
  std::vector<std::string> members;
  for (std::size_t m = 0; m < options.members; ++m) {
    members.push_back(model_path(options, m));
    if (with_adapters) members.back() += "+" + adapter_path(options, m);
  }
  MergeOptions merge;
  merge.output = options.folder / "merged.safetensors";
  merge.engine.parallel = {options.threads, Runner::tbb};
  merge.progress = Progress::Mode::never;
  merge.overwrite = true;
  std::filesystem::remove(merge.output);
  const auto start = std::chrono::steady_clock::now();
  const double before = processor_seconds();
  merge_checkpoints(
      {recipe_from_arguments(find_merge_rule(options.method).info(),
                             {.base = {}, .members = members, .parameters = {"weight=1"}})},
      merge);
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          processor_seconds() - before};
}

void run(const Options& options) {
  std::filesystem::remove_all(options.folder);
  std::filesystem::create_directories(options.folder);
  for (std::size_t m = 0; m < options.members; ++m) write_member(options, m);
  std::vector<double> seconds;  // ratios of pairs of runs
  std::vector<double> processor;
  Cost plain;
  Cost adapted;
  for (std::size_t i = 0; i <= options.runs; ++i) {
    const Cost without = cost_of_merge(options, false);
    const Cost with = cost_of_merge(options, true);
    if (i == 0) continue;  // the page cache is filled
    seconds.push_back(with.seconds / without.seconds);
    processor.push_back(with.processor / without.processor);
    plain = without;
    adapted = with;
  }
  fmt::print(
      "{} of {} members, rank {}: last plain {:.3f} s ({:.3f} of processors), with adapters {:.3f} "
      "s ({:.3f})\nmedian ratios: {:.2f} in time, {:.2f} in time of processors\n",
      options.method, options.members, options.rank, plain.seconds, plain.processor,
      adapted.seconds, adapted.processor, median(seconds), median(processor));
  std::filesystem::remove_all(options.folder);
}

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  amalgam::bench::Options options;
  CLI::App app("Merging with adapters on the fly against the plain merge");
  app.add_option("--folder", options.folder, "For models and results; emptied");
  app.add_option("--bytes", options.bytes, "Of each model");
  app.add_option("--members", options.members, "Models, each with an adapter");
  app.add_option("--rank", options.rank, "Of the adapters");
  app.add_option("--dtype", options.dtype, "Of the models");
  app.add_option("--method", options.method, "A rule without a base");
  app.add_option("--threads", options.threads, "Threads");
  app.add_option("--runs", options.runs, "Runs of each");
  CLI11_PARSE(app, argc, argv);
  try {
    amalgam::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "adapter_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

// Converting F16 to every quantised type, and to FP8 with scales: GB/s of input per core, of the
// whole conversion in memory (decoding, quantising, measuring the error), the best of the runs,
// which other work on the machine disturbs least. Beside it how much of the
// speed of memory that is (memcpy of as many bytes, in the same run), and how many times the speed
// of a plain quantiser, written down without thought of speed.
//
//   quantise_bench [--elements 4000000] [--threads 1] [--runs 5] [--types q4_0,q8_0]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "amalgam/checkpoint/conversion.hpp"
#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/fp8_conversion.hpp"
#include "amalgam/weights/planner.hpp"
#include "bench/timing.hpp"

namespace amalgam::bench {
namespace {

constexpr std::uint64_t kColumns = 4096;
constexpr std::uint64_t kBlock = 32;

struct Options {
  std::uint64_t elements = 1 << 24;
  std::size_t threads = 1;
  std::size_t runs = 5;
  std::string types =
      "q8_0,q6_k,q5_k,q5_1,q5_0,q4_k,q4_1,q4_0,iq4_nl,iq4_xs,q3_k,q2_k,fp8_block,fp8_channel,"
      "fp8_tensor";
};

std::shared_ptr<const TensorSource> make_source(const Options& options) {
  RandomStream random(1, "quantise_bench");
  std::vector<double> values(std::max<std::uint64_t>(1, options.elements / kColumns) * kColumns);
  std::vector<double> table(1 << 16);
  for (double& value : table) value = 0.02 * random.normal();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = table[(i * 7 + i / 65536) & 0xFFFF];
  const std::uint64_t rows = values.size() / kColumns;
  std::vector<MemoryTensor> tensors;
  // A stack of layers, as FP8 wants it.
  for (const char* name : {"layers.0.a.weight", "layers.1.a.weight"}) {
    tensors.push_back(make_tensor(name, {rows, kColumns}, values, DType::f16));
  }
  for (const char* name : {"layers.0.norm.weight", "layers.1.norm.weight"}) {
    tensors.push_back(make_tensor(name, {kColumns}, std::vector<double>(kColumns, 1.0)));
  }
  return std::make_shared<MemorySource>("bench", std::move(tensors));
}

// The types' definitions, block by block, an element at a time.
void plain_q8_0(std::span<const float> x, std::byte* out) {
  float most = 0;
  for (const float value : x) most = std::max(most, std::abs(value));
  const double scale = most / 127;
  encode(DType::f16, std::span<const double>(&scale, 1), std::span(out, 2));
  for (std::size_t i = 0; i < x.size(); ++i) {
    out[2 + i] = static_cast<std::byte>(std::lround(scale == 0 ? 0 : x[i] / scale));
  }
}
void plain_q4_0(std::span<const float> x, std::byte* out) {
  float most = 0;
  for (const float value : x) {
    if (std::abs(value) > std::abs(most)) most = value;
  }
  const double scale = most / -8;
  encode(DType::f16, std::span<const double>(&scale, 1), std::span(out, 2));
  const auto level = [&](float value) {
    const long rounded = std::lround(scale == 0 ? 0 : value / scale) + 8;
    return static_cast<std::byte>(std::clamp(rounded, 0L, 15L));
  };
  for (std::size_t i = 0; i < x.size() / 2; ++i) {
    out[2 + i] = level(x[i]) | (level(x[i + x.size() / 2]) << 4);
  }
}

std::optional<double> plain_seconds(const TensorSource& source, const std::string& type) {
  const bool is_q8 = type == "q8_0";
  if (!is_q8 && type != "q4_0") return std::nullopt;
  const TensorInfo& info = source.tensors()[0];
  std::vector<std::byte> raw(info.bytes);
  source.read_bytes(0, 0, raw);
  std::vector<std::byte> out(dtype_bytes(is_q8 ? DType::q8_0 : DType::q4_0, info.elements));
  const std::size_t block = out.size() / (info.elements / kBlock);
  const double seconds = processor_seconds([&] {
    std::array<float, kBlock> values{};
    for (std::uint64_t b = 0; b < info.elements / kBlock; ++b) {
      decode(DType::f16, std::span(raw).subspan(2 * b * kBlock, 2 * kBlock), std::span(values));
      (is_q8 ? plain_q8_0 : plain_q4_0)(values, out.data() + b * block);
    }
  });
  return 2 * seconds;  // of two such tensors
}

double seconds_of(const std::shared_ptr<const TensorSource>& source, const std::string& type,
                  const Parallel& parallel) {
  if (const auto scaling = parse_fp8_scaling(type)) {
    const MergePlan plan = plan_fp8_conversion(source, Fp8Choice::with(*scaling, *source));
    MemorySink sink(outputs_of(plan));
    return processor_seconds([&] { run_merge(plan, sink, {.parallel = parallel}); });
  }
  MemorySink sink(quantised_tensors(*source, *parse_quantisation(type)));
  return processor_seconds([&] { convert_tensors(*source, sink, parallel); });
}

void run(const Options& options) {
  const std::shared_ptr<const TensorSource> source = make_source(options);
  const Parallel parallel{options.threads, options.threads == 1 ? Runner::sequential : Runner::tbb};
  std::uint64_t bytes = 0;
  for (const TensorInfo& info : source->tensors()) bytes += info.bytes;
  std::vector<std::byte> from(bytes, std::byte{1});
  std::vector<std::byte> to(bytes);
  fmt::print("{:<12} {:>12} {:>10} {:>16}\n", "type", "GB/s of F16", "of memcpy", "of plain code");
  for (const std::string& type : split(options.types, ',')) {
    std::vector<double> seconds;
    std::vector<double> copies;
    std::vector<double> plain;
    for (std::size_t i = 0; i <= options.runs; ++i) {
      copies.push_back(processor_seconds([&] { std::memcpy(to.data(), from.data(), bytes); }));
      seconds.push_back(seconds_of(source, type, parallel));
      if (const auto slow = plain_seconds(*source, type)) plain.push_back(*slow);
    }
    const double time = *std::min_element(seconds.begin(), seconds.end());
    fmt::print("{:<12} {:>12.2f} {:>10.2f} {:>16}\n", type, static_cast<double>(bytes) / time / 1e9,
               *std::min_element(copies.begin(), copies.end()) / time,
               plain.empty()
                   ? std::string()
                   : fmt::format("{:.1f}", *std::min_element(plain.begin(), plain.end()) / time));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  amalgam::bench::Options options;
  CLI::App app("Quantising F16, per core");
  app.add_option("--elements", options.elements, "Of each of two matrices");
  app.add_option("--threads", options.threads, "Threads");
  app.add_option("--runs", options.runs, "Runs of each");
  app.add_option("--types", options.types, "Between commas");
  CLI11_PARSE(app, argc, argv);
  try {
    amalgam::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "quantise_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

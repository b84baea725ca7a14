// Every conversion and kernel on one block of a merge (it stays in the second-level cache), beside
// memcpy of as many bytes measured right before and after: of_memcpy = 1 is the speed of memory.
//
//   build/release/bin/kernels_bench [--benchmark_filter=decode]

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/dtype.hpp"
#include "amalgam/tensor/kernels.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kElements = 8192;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Bytes read plus bytes written per second by memcpy when both together are `bytes`.
double memcpy_rate(std::size_t bytes) {
  constexpr double kSeconds = 0.05;
  // Both halves are aligned, and half a page apart modulo pages: memcpy is several times slower
  // when the low address bits of its arguments collide.
  constexpr std::size_t kPage = 4096;
  const std::size_t half = (bytes / 2 + kPage - 1) / kPage * kPage;
  const auto release = [](void* memory) { std::free(memory); };
  const std::unique_ptr<void, decltype(release)> memory(std::aligned_alloc(kPage, 2 * half + kPage),
                                                        release);
  std::memset(memory.get(), 1, 2 * half + kPage);
  const auto* from = static_cast<const std::byte*>(memory.get());
  std::byte* to = static_cast<std::byte*>(memory.get()) + half + kPage / 2;
  std::size_t copied = 0;
  const double start = cpu_seconds();
  double elapsed = 0;
  while (elapsed < kSeconds) {
    for (int i = 0; i < 64; ++i) {
      std::memcpy(to, from, bytes / 2);
      benchmark::ClobberMemory();
      copied += bytes / 2 * 2;
    }
    elapsed = cpu_seconds() - start;
  }
  return static_cast<double>(copied) / elapsed;
}

/// Runs `work`, which reads and writes `bytes` bytes in all.
void measure(benchmark::State& state, std::size_t bytes, const std::function<void()>& work) {
  const double before = memcpy_rate(bytes);
  const double start = cpu_seconds();
  for (auto _ : state) {
    work();
    benchmark::ClobberMemory();
  }
  const double elapsed = cpu_seconds() - start;
  const double reference = std::max(before, memcpy_rate(bytes));
  const double rate =
      static_cast<double>(bytes) * static_cast<double>(state.iterations()) / elapsed;
  state.counters["GB/s"] = rate * 1e-9;
  state.counters["Gelem/s"] =
      static_cast<double>(kElements) * static_cast<double>(state.iterations()) / elapsed * 1e-9;
  state.counters["of_memcpy"] = rate / reference;
}

template <class T>
std::vector<T> random_values() {
  RandomStream stream(1, "kernels_bench");
  std::vector<T> values(kElements);
  for (T& value : values) value = static_cast<T>(stream.normal() * 0.02);
  return values;
}

template <class T>
const char* type_name() {
  return sizeof(T) == sizeof(float) ? "float" : "double";
}

void add(const std::string& name, std::size_t bytes, std::function<void()> work) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [bytes, work = std::move(work)](benchmark::State& state) { measure(state, bytes, work); });
}

template <class T>
void add_conversions(DType dtype) {
  const auto values = std::make_shared<std::vector<T>>(random_values<T>());
  const auto bytes = std::make_shared<std::vector<std::byte>>(dtype_bytes(dtype, kElements));
  encode(dtype, std::span<const T>(*values), *bytes);
  const std::size_t moved = bytes->size() + kElements * sizeof(T);
  const std::string name = std::string(dtype_name(dtype)) + "/" + type_name<T>();
  add("decode/" + name, moved, [=] { decode(dtype, *bytes, std::span<T>(*values)); });
  add("encode/" + name, moved, [=] { encode(dtype, std::span<const T>(*values), *bytes); });
  if constexpr (sizeof(T) == sizeof(float)) {
    add("find_non_finite/" + std::string(dtype_name(dtype)), bytes->size(),
        [=] { benchmark::DoNotOptimize(find_non_finite(dtype, *bytes)); });
  }
}

template <class T>
void add_kernels() {
  const auto x = std::make_shared<std::vector<T>>(random_values<T>());
  const auto y = std::make_shared<std::vector<T>>(random_values<T>());
  const auto difference = std::make_shared<std::vector<T>>(kElements);
  const auto out = std::make_shared<std::vector<double>>(kElements);
  const std::size_t one = kElements * sizeof(T);
  const std::size_t wide = kElements * sizeof(double);
  const std::string name = std::string("/") + type_name<T>();
  const auto in = [](const std::shared_ptr<std::vector<T>>& values) {
    return std::span<const T>(*values);
  };
  add("scale" + name, one + wide, [=] { kernels::scale(0.3, in(x), *out); });
  add("accumulate" + name, one + 2 * wide, [=] { kernels::accumulate(0.3, in(x), *out); });
  add("subtract" + name, 3 * one,
      [=] { kernels::subtract(in(x), in(y), std::span<T>(*difference)); });
  add("dot" + name, 2 * one, [=] { benchmark::DoNotOptimize(kernels::dot(in(x), in(y))); });
  add("sum" + name, one, [=] { benchmark::DoNotOptimize(kernels::sum(in(x))); });
  add("sum_abs" + name, one, [=] { benchmark::DoNotOptimize(kernels::sum_abs(in(x))); });
}

}  // namespace
}  // namespace amalgam

int main(int argc, char** argv) {
  using amalgam::DType;
  for (const DType dtype :
       {DType::bf16, DType::f16, DType::f32, DType::f64, DType::f8_e4m3, DType::f8_e5m2,
        DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::iq4_nl, DType::q2_k,
        DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_xs}) {
    amalgam::add_conversions<float>(dtype);
    amalgam::add_conversions<double>(dtype);
  }
  amalgam::add_kernels<float>();
  amalgam::add_kernels<double>();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

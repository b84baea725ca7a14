// Kernels that read one block of every member at once: gigabytes of float input per second, on
// blocks that stay in the second-level cache and, for two members, on arrays in memory.
//
//   build/release/bin/member_kernels_bench [--benchmark_filter=products]

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "amalgam/tensor/kernels.hpp"
#include "amalgam/weights/rule.hpp"
#include "amalgam/weights/rules/coordinate_kernels.hpp"
#include "amalgam/weights/rules/fisher_kernels.hpp"
#include "amalgam/weights/rules/member_kernels.hpp"

namespace amalgam {
namespace {

// Members lie a little more than a power of two apart: where low address bits collide, all of them
// compete for the same places of the cache.
struct Members {
  Members(std::size_t count, std::size_t elements)
      : storage(count * (elements + kPadding)), out(kBlockElements) {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (std::size_t k = 0; k < storage.size(); ++k) {
      storage[k] = k < 65521 ? std::abs(normal(generator)) : storage[k - 65521];
    }
    for (std::size_t i = 0; i < count; ++i) {
      pointers.push_back(storage.data() + i * (elements + kPadding));
    }
  }
  static constexpr std::size_t kPadding = 80;
  std::vector<float> storage;
  std::vector<const float*> pointers;
  std::vector<double> out;
};

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
}

void products(benchmark::State& state) {
  const Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const std::size_t n = members.pointers.size();
  kernels::PairScratch scratch;
  std::vector<double> sums(kernels::pair_count(n));
  for (auto _ : state) {
    kernels::add_products(members.pointers, nullptr, kBlockElements, scratch, sums);
    benchmark::DoNotOptimize(sums.data());
  }
  count_bytes(state, n * kBlockElements * sizeof(float));
}
BENCHMARK(products)->Arg(2)->Arg(3)->Arg(4)->Arg(8)->Arg(16)->Arg(32);

void difference_products(benchmark::State& state) {
  const Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const std::size_t n = members.pointers.size();
  kernels::PairScratch scratch;
  std::vector<double> sums(kernels::pair_count(n));
  for (auto _ : state) {
    kernels::add_products(members.pointers, members.pointers[0], kBlockElements, scratch, sums);
    benchmark::DoNotOptimize(sums.data());
  }
  count_bytes(state, n * kBlockElements * sizeof(float));
}
BENCHMARK(difference_products)->Arg(2)->Arg(4)->Arg(8);

// Three calls of dot read two members four times.
void products_by_dot(benchmark::State& state) {
  const Members members(2, kBlockElements);
  const std::span<const float> a(members.pointers[0], kBlockElements);
  const std::span<const float> b(members.pointers[1], kBlockElements);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::dot(a, a));
    benchmark::DoNotOptimize(kernels::dot(a, b));
    benchmark::DoNotOptimize(kernels::dot(b, b));
  }
  count_bytes(state, 2 * kBlockElements * sizeof(float));
}
BENCHMARK(products_by_dot);

void products_from_memory(benchmark::State& state) {
  constexpr std::size_t kElements = 64 << 20;
  const Members members(2, kElements);
  kernels::PairScratch scratch;
  std::vector<double> sums(3);
  for (auto _ : state) {
    for (std::size_t first = 0; first < kElements; first += kBlockElements) {
      const float* block[] = {members.pointers[0] + first, members.pointers[1] + first};
      kernels::add_products(block, nullptr, kBlockElements, scratch, sums);
    }
    benchmark::DoNotOptimize(sums.data());
  }
  count_bytes(state, 2 * kElements * sizeof(float));
}
BENCHMARK(products_from_memory)->Unit(benchmark::kMillisecond);

// The floor of the above: one addition per element in eight independent chains.
void read_from_memory(benchmark::State& state) {
  constexpr std::size_t kElements = 64 << 20;
  const Members members(2, kElements);
  for (auto _ : state) {
    for (const float* const values : members.pointers) {
      float sums[64] = {};
      for (std::size_t k = 0; k < kElements; k += 64) {
        for (std::size_t j = 0; j < 64; ++j) sums[j] += values[k + j];
      }
      benchmark::DoNotOptimize(sums);
    }
  }
  count_bytes(state, 2 * kElements * sizeof(float));
}
BENCHMARK(read_from_memory)->Unit(benchmark::kMillisecond);

void squared_distances(benchmark::State& state) {
  const Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const std::size_t n = members.pointers.size();
  kernels::PairScratch scratch;
  std::vector<double> sums(kernels::pair_count(n));
  for (auto _ : state) {
    kernels::add_squared_distances(members.pointers, kBlockElements, scratch, sums);
    benchmark::DoNotOptimize(sums.data());
  }
  count_bytes(state, n * kBlockElements * sizeof(float));
}
BENCHMARK(squared_distances)->Arg(2)->Arg(4)->Arg(8)->Arg(16);

void weighted_sum(benchmark::State& state) {
  Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const std::vector<double> weights(members.pointers.size(), 0.3);
  for (auto _ : state) {
    kernels::weighted_sum(members.pointers, weights, members.out);
    benchmark::DoNotOptimize(members.out.data());
  }
  count_bytes(state, members.pointers.size() * kBlockElements * sizeof(float));
}
BENCHMARK(weighted_sum)->Arg(2)->Arg(4)->Arg(8)->Arg(16);

void coordinate(benchmark::State& state, kernels::CoordinateMean (*make)(std::size_t)) {
  Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const kernels::CoordinateMean mean = make(members.pointers.size());
  for (auto _ : state) {
    kernels::coordinate_mean(mean, members.pointers, nullptr, members.out);
    benchmark::DoNotOptimize(members.out.data());
  }
  count_bytes(state, members.pointers.size() * kBlockElements * sizeof(float));
}
BENCHMARK_CAPTURE(coordinate, median,
                  [](std::size_t n) { return kernels::CoordinateMean::median(n); })
    ->Arg(3)
    ->Arg(5)
    ->Arg(8)
    ->Arg(16)
    ->Arg(32);
BENCHMARK_CAPTURE(coordinate, trimmed_mean,
                  [](std::size_t n) { return kernels::CoordinateMean(n, 1, n - 2); })
    ->Arg(5)
    ->Arg(8)
    ->Arg(16);
BENCHMARK_CAPTURE(coordinate, meamed,
                  [](std::size_t n) { return kernels::CoordinateMean::median(n, n - 1); })
    ->Arg(5)
    ->Arg(8)
    ->Arg(16);

void fisher_average(benchmark::State& state) {
  Members members(static_cast<std::size_t>(state.range(0)), kBlockElements);
  const std::vector<kernels::FisherFactors> factors(members.pointers.size(),
                                                    {.coefficient = 1, .weight = 1});
  for (auto _ : state) {
    kernels::fisher_average(members.pointers, members.pointers, factors, members.out);
    benchmark::DoNotOptimize(members.out.data());
  }
  count_bytes(state, 2 * members.pointers.size() * kBlockElements * sizeof(float));
}
BENCHMARK(fisher_average)->Arg(2)->Arg(4)->Arg(8);

}  // namespace
}  // namespace amalgam

BENCHMARK_MAIN();

// What merging methods do beside reading and adding, one thread: thresholds (ties, breadcrumbs,
// sce, arcee_fusion), ranks within rows (della), divergences of rows (arcee_fusion). Nanoseconds of
// the processor per element, beside memcpy of the element's two floats (the floor: each kernel
// reads a member and the base once) and plain code: std::nth_element of all keys, std::sort of
// every row, std::exp and std::log. Runs alternate; medians count.
//
//   rules_bench [--elements 4194304] [--row 4096] [--runs 5]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/weights/rules/magprune.hpp"
#include "amalgam/weights/rules/random_mask.hpp"
#include "amalgam/weights/rules/selection.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"
#include "amalgam/weights/rules/softmax_divergence.hpp"
#include "bench/timing.hpp"

namespace amalgam::bench {
namespace {

using namespace rules;

struct Options {
  std::size_t elements = 1 << 22;
  std::size_t row = 4096;
  std::size_t runs = 5;
};

// A member and its base; `rounded` to bfloat16, of which differences have many equal magnitudes.
struct Inputs {
  std::vector<float> member;
  std::vector<float> base;
  std::size_t row = 0;
};

float to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000U);
}

Inputs make_inputs(const Options& options, bool rounded) {
  RandomStream random(1, "rules_bench");
  std::vector<float> normal(1 << 16);
  for (float& value : normal) value = static_cast<float>(0.02 * random.normal());
  Inputs inputs;
  inputs.row = options.row;
  for (std::size_t i = 0; i < options.elements / options.row * options.row; ++i) {
    const float base = normal[(i * 7 + i / 65536) % normal.size()];
    const float member = base + 0.1F * normal[(i * 13 + i / 3000) % normal.size()];
    inputs.base.push_back(rounded ? to_bfloat16(base) : base);
    inputs.member.push_back(rounded ? to_bfloat16(member) : member);
  }
  return inputs;
}

// The key of the magnitude of which half are at least as large, as the engine finds it.
std::uint64_t selected_threshold(const Inputs& inputs) {
  MergeUnit unit;
  unit.tensors.push_back({.name = "w",
                          .shape = {inputs.base.size()},
                          .elements = inputs.base.size(),
                          .members = {},
                          .rule = {}});
  Selection selection(unit, 1, {{.source = 0, .rank = inputs.base.size() / 2}},
                      selection_limits(unit.statistics_memory, 1));
  constexpr std::size_t kLeaf = kBlockElements * kLeafBlocks;
  std::vector<std::uint32_t> keys(kKeyTile);
  while (!selection.done()) {
    const auto leaf_of = [&](std::size_t leaf, std::size_t /*worker*/) {
      SelectionTally tally = selection.make_tally();
      const std::size_t end = std::min(inputs.base.size(), (leaf + 1) * kLeaf);
      for (std::size_t first = leaf * kLeaf; first < end; first += kBlockElements) {
        if (!selection.wants_block(0, first) || !tally.begin_block(0, first)) continue;
        const std::size_t block_end = std::min(end, first + kBlockElements);
        for (std::size_t i = first; i < block_end; i += kKeyTile) {
          const std::size_t count = std::min(kKeyTile, block_end - i);
          magnitude_keys(std::span(inputs.member).subspan(i, count), inputs.base.data() + i,
                         keys.data());
          tally.absorb(0, std::span<const std::uint32_t>(keys).first(count));
        }
      }
      return tally;
    };
    auto total = fold({1, Runner::sequential}, (inputs.base.size() + kLeaf - 1) / kLeaf, leaf_of);
    selection.solve(total ? &*total : nullptr);
  }
  return selection.cut(0).key;
}

// Memory is kept between runs, since touching it for the first time takes as long as some of this.
std::vector<std::uint32_t>& all_keys(const Inputs& inputs) {
  static std::vector<std::uint32_t> keys;
  keys.resize(inputs.base.size());
  magnitude_keys(inputs.member, inputs.base.data(), keys.data());
  return keys;
}

std::uint64_t plain_threshold(const Inputs& inputs) {
  std::vector<std::uint32_t>& keys = all_keys(inputs);
  const auto nth = keys.begin() + static_cast<std::ptrdiff_t>(keys.size() / 2 - 1);
  std::nth_element(keys.begin(), nth, keys.end(), std::greater<>());
  return widen_key(*nth);
}

constexpr double kDensity = 0.5;
constexpr double kEpsilon = 0.15;

std::uint64_t count_of(std::span<const std::uint32_t> words) {
  return static_cast<std::uint64_t>(std::ranges::count(words, 0U));
}

std::uint64_t ranked_rows(const Inputs& inputs, std::span<const std::uint32_t> random) {
  static RankScratch scratch;
  static std::vector<std::uint32_t> words;
  words.assign(random.begin(), random.end());
  const std::vector<std::uint32_t>& keys = all_keys(inputs);
  magprune(std::span<const std::uint32_t>(keys), inputs.row, kDensity, kEpsilon, words, scratch);
  return count_of(words);
}

std::uint64_t sorted_rows(const Inputs& inputs, std::span<const std::uint32_t> random) {
  static std::vector<std::uint32_t> words;
  words.assign(random.begin(), random.end());
  const std::vector<std::uint32_t>& keys = all_keys(inputs);
  std::vector<std::uint32_t> order(inputs.row);
  for (std::size_t first = 0; first < keys.size(); first += inputs.row) {
    std::iota(order.begin(), order.end(), static_cast<std::uint32_t>(first));
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
      return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
    });
    for (std::size_t r = 0; r < inputs.row; ++r) {
      const double p = (kDensity - kEpsilon) +
                       2 * kEpsilon * static_cast<double>(r) / static_cast<double>(inputs.row - 1);
      words[order[r]] = words[order[r]] * 0x1p-32 < p ? 0 : ~std::uint32_t{0};
    }
  }
  return count_of(words);
}

std::uint64_t divergences(const Inputs& inputs) {
  static std::vector<double> scratch;
  double total = 0;
  for (std::size_t first = 0; first < inputs.base.size(); first += inputs.row) {
    total += softmax_divergence(std::span(inputs.member).subspan(first, inputs.row),
                                inputs.base.data() + first, scratch);
  }
  return static_cast<std::uint64_t>(1e6 * total);
}

std::uint64_t plain_divergences(const Inputs& inputs) {
  double total = 0;
  std::vector<double> p(inputs.row);
  std::vector<double> q(inputs.row);
  const auto softmax = [&](const float* x, std::vector<double>& out) {
    const double largest = *std::max_element(x, x + inputs.row);
    double sum = 0;
    for (std::size_t i = 0; i < inputs.row; ++i) sum += out[i] = std::exp(x[i] - largest);
    for (double& value : out) value /= sum;
  };
  for (std::size_t first = 0; first < inputs.base.size(); first += inputs.row) {
    softmax(inputs.member.data() + first, p);
    softmax(inputs.base.data() + first, q);
    double sum = 0;
    for (std::size_t i = 0; i < inputs.row; ++i) {
      sum += (p[i] + 1e-8) * std::log((p[i] + 1e-8) / (q[i] + 1e-8));
    }
    total += std::max(0.0, sum);
  }
  return static_cast<std::uint64_t>(1e6 * total);
}

// Both must come to the same number.
void compare(const std::string& name, const Inputs& inputs, std::size_t runs,
             const std::function<std::uint64_t()>& ours,
             const std::function<std::uint64_t()>& plain) {
  std::vector<float> copy(2 * inputs.base.size());
  std::vector<double> times;
  std::vector<double> floors;
  std::vector<double> plain_times;
  for (std::size_t r = 0; r < runs; ++r) {
    floors.push_back(processor_seconds([&] {
      std::memcpy(copy.data(), inputs.base.data(), 4 * inputs.base.size());
      std::memcpy(copy.data() + inputs.base.size(), inputs.member.data(), 4 * inputs.base.size());
    }));
    std::uint64_t found = 0;
    std::uint64_t expected = 0;
    times.push_back(processor_seconds([&] { found = ours(); }));
    plain_times.push_back(processor_seconds([&] { expected = plain(); }));
    if (found != expected) throw Error("{}: {}, but plain code {}", name, found, expected);
  }
  const double time = median(times);
  fmt::print("{:<34} {:>8.2f} {:>10.1f} {:>14.1f}\n", name,
             1e9 * time / static_cast<double>(inputs.base.size()), time / median(floors),
             median(plain_times) / time);
  std::fflush(stdout);
}

void run(const Options& options) {
  if (options.row < 2 || options.elements < options.row || options.runs == 0) {
    throw InputError("rules_bench: at least one run, one row, and two elements in it, are needed");
  }
  fmt::print("{:<34} {:>8} {:>10} {:>14}\n", "rows of " + std::to_string(options.row), "ns",
             "of memcpy", "times plain");
  for (const bool rounded : {true, false}) {
    const Inputs inputs = make_inputs(options, rounded);
    const std::string type = rounded ? ", BF16" : ", F32";
    std::vector<std::uint32_t> words(inputs.base.size());
    random_words(mask_stream("w", 0, 0), 0, words);
    compare(
        "threshold of the difference" + type, inputs, options.runs,
        [&] { return selected_threshold(inputs); }, [&] { return plain_threshold(inputs); });
    compare(
        "ranks within rows" + type, inputs, options.runs,
        [&] { return ranked_rows(inputs, words); }, [&] { return sorted_rows(inputs, words); });
    compare(
        "divergence of rows" + type, inputs, options.runs, [&] { return divergences(inputs); },
        [&] { return plain_divergences(inputs); });
  }
}

}  // namespace
}  // namespace amalgam::bench

int main(int argc, char** argv) {
  amalgam::bench::Options options;
  CLI::App app("What merging methods do beside reading and adding, one thread");
  app.add_option("--elements", options.elements, "Of a member")->capture_default_str();
  app.add_option("--row", options.row, "Elements of a row")->capture_default_str();
  app.add_option("--runs", options.runs, "Runs of each; the median counts")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    amalgam::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "rules_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

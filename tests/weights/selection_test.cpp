#include "amalgam/weights/rules/selection.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/weights/rules/selection_kernels.hpp"

namespace amalgam::rules {
namespace {

// A tensor of keys, all 32 or all 64 bits wide; keys of both are kept as those of doubles.
struct Keys {
  std::vector<std::vector<std::uint64_t>> sources;
  bool wide = false;
  bool tied = false;
};

std::uint64_t key_of(double value) { return std::bit_cast<std::uint64_t>(value); }
std::uint32_t float_key_of(float value) { return std::bit_cast<std::uint32_t>(value); }

MergeUnit unit_of(const std::vector<Keys>& tensors) {
  MergeUnit unit;
  for (const Keys& keys : tensors) {
    TensorView view;
    view.name = "t" + std::to_string(unit.tensors.size());
    view.elements = keys.sources.front().size();
    view.shape = {view.elements};
    view.tied = keys.tied;
    unit.tensors.push_back(std::move(view));
  }
  return unit;
}

// Runs the passes with blocks of `block` keys and a balanced tree over leaves of `leaf` blocks.
int run(Selection& selection, const std::vector<Keys>& tensors, std::size_t block,
        std::size_t leaf) {
  int passes = 0;
  while (!selection.done()) {
    ++passes;
    EXPECT_LE(passes, 40);
    std::vector<SelectionTally> states;
    std::size_t blocks = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const std::size_t count = tensors[t].sources.front().size();
      for (std::size_t first = 0; first < count; first += block, ++blocks) {
        if (blocks % leaf == 0) states.push_back(selection.make_tally());
        if (!selection.wants_block(t, first)) continue;
        if (!states.back().begin_block(t, first)) continue;
        const std::size_t size = std::min(block, count - first);
        for (std::size_t s = 0; s < tensors[t].sources.size(); ++s) {
          for (std::size_t i = 0; i < size; i += kKeyTile) {
            const std::size_t tile = std::min(kKeyTile, size - i);
            const std::uint64_t* keys = tensors[t].sources[s].data() + first + i;
            if (tensors[t].wide) {
              states.back().absorb(s, std::span(keys, tile));
            } else {
              std::vector<std::uint32_t> narrow(tile);
              std::transform(keys, keys + tile, narrow.begin(),
                             [](std::uint64_t key) { return float_key_at_least(key); });
              states.back().absorb(s, std::span<const std::uint32_t>(narrow));
            }
          }
        }
      }
    }
    while (states.size() > 1) {
      std::vector<SelectionTally> parents;
      for (std::size_t i = 0; i < states.size(); i += 2) {
        parents.push_back(std::move(states[i]));
        if (i + 1 < states.size()) parents.back().combine(std::move(states[i + 1]));
      }
      states = std::move(parents);
    }
    selection.solve(states.empty() ? nullptr : &states.front());
    if (passes > 40) break;
  }
  return passes;
}

// Which positions (over all untied tensors) the cut selects, by its definition.
std::vector<std::size_t> selected(const Selection& selection, const Cut& cut,
                                  const std::vector<Keys>& tensors, std::size_t source,
                                  std::size_t block) {
  std::vector<std::size_t> positions;
  std::size_t offset = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    if (tensors[t].tied) continue;
    const auto& keys = tensors[t].sources[source];
    for (std::size_t first = 0; first < keys.size(); first += block) {
      std::uint64_t ties = cut.ties_of(selection.place_of(t, first));
      for (std::size_t i = first; i < std::min(keys.size(), first + block); ++i) {
        if (keys[i] > cut.key) {
          positions.push_back(offset + i);
        } else if (keys[i] == cut.key && ties > 0) {
          positions.push_back(offset + i);
          if (ties != ~std::uint64_t{0}) --ties;
        }
      }
    }
    offset += keys.size();
  }
  return positions;
}

// The reference: a stable sort by descending key; positions of zero keys are left out, which need
// no exact cut.
std::vector<std::size_t> reference(const std::vector<Keys>& tensors, std::size_t source,
                                   std::size_t rank) {
  std::vector<std::uint64_t> keys;
  for (const Keys& tensor : tensors) {
    if (tensor.tied) continue;
    keys.insert(keys.end(), tensor.sources[source].begin(), tensor.sources[source].end());
  }
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return keys[a] > keys[b]; });
  order.resize(rank);
  std::erase_if(order, [&](std::size_t i) { return keys[i] == 0; });
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<std::size_t> without_zeros(std::vector<std::size_t> positions,
                                       const std::vector<Keys>& tensors, std::size_t source) {
  std::vector<std::uint64_t> keys;
  for (const Keys& tensor : tensors) {
    if (tensor.tied) continue;
    keys.insert(keys.end(), tensor.sources[source].begin(), tensor.sources[source].end());
  }
  std::erase_if(positions, [&](std::size_t i) { return keys[i] == 0; });
  return positions;
}

void expect_exact(const std::vector<Keys>& tensors, const std::vector<RankTarget>& targets,
                  const SelectionLimits& limits, std::size_t block, std::size_t leaf = 4) {
  const MergeUnit unit = unit_of(tensors);
  Selection selection(unit, tensors.front().sources.size(), targets, limits);
  run(selection, tensors, block, leaf);
  ASSERT_TRUE(selection.done());
  for (std::size_t t = 0; t < targets.size(); ++t) {
    EXPECT_EQ(
        without_zeros(selected(selection, selection.cut(t), tensors, targets[t].source, block),
                      tensors, targets[t].source),
        reference(tensors, targets[t].source, targets[t].rank))
        << "rank " << targets[t].rank << " of source " << targets[t].source;
  }
}

// Values such as differences of bfloat16 numbers: few distinct magnitudes.
std::vector<std::uint64_t> random_keys(RandomStream& random, std::size_t count, int kind) {
  std::vector<std::uint64_t> keys(count);
  for (std::size_t i = 0; i < count; ++i) {
    double value = 0;
    if (kind == 0) value = random.normal();                                 // all different
    if (kind == 1) value = static_cast<double>(random.below(5)) / 4;        // many ties
    if (kind == 2) value = 1.5;                                             // all equal
    if (kind == 3) value = random.uniform() < 0.9 ? 0.0 : random.normal();  // mostly zero
    if (kind == 4) value = i < count / 2 ? 1e-3 * random.uniform() : random.normal();  // two halves
    if (kind == 5) value = static_cast<double>(i);                                     // sorted
    keys[i] = key_of(static_cast<double>(static_cast<float>(std::abs(value))));
  }
  return keys;
}

TEST(Selection, EqualsAStableSortForAnyKeysRanksAndLimits) {
  RandomStream random(1, "selection");
  for (int round = 0; round < 400; ++round) {
    std::vector<Keys> tensors(1 + random.below(3));
    std::size_t total = 0;
    for (Keys& keys : tensors) {
      keys.wide = random.below(3) == 0;
      const std::size_t count = 1 + random.below(900);
      for (int source = 0; source < 2; ++source) {
        keys.sources.push_back(random_keys(random, count, static_cast<int>(random.below(6))));
      }
      total += count;
    }
    std::vector<RankTarget> targets(3);
    for (RankTarget& target : targets) {
      target.source = random.below(2);
      target.rank = 1 + random.below(total);
    }
    SelectionLimits limits;
    limits.candidates = std::array<std::size_t, 3>{3, 100, 100000}[random.below(3)];
    limits.least_candidates = 1 + random.below(20);
    limits.unsampled = random.below(2) * 1000;
    limits.least_sample_blocks = random.below(3);
    limits.sample_blocks = random.below(2) * 50;
    limits.sample_fraction = 1 + random.below(4);
    limits.sample_stride = 1 + random.below(3);
    limits.bracket_errors = std::array<double, 3>{0.0, 1.0, 4.0}[random.below(3)];
    limits.bins = 2 + random.below(30);
    expect_exact(tensors, targets, limits, 1 + random.below(100), 1 + random.below(5));
  }
}

TEST(Selection, ABracketThatMissesIsFoundOut) {
  // The sample sees one block in 64; with no margin around its quantile the bracket often misses.
  RandomStream random(2, "miss");
  std::vector<Keys> tensors(1);
  tensors[0].sources.push_back(random_keys(random, 100000, 4));
  SelectionLimits limits;
  limits.candidates = limits.least_candidates = 2000;
  limits.sample_blocks = 20;
  limits.sample_fraction = 1;
  limits.sample_stride = 1;
  limits.bracket_errors = 0;
  for (const std::uint64_t rank : {1U, 2U, 5000U, 50000U, 50001U, 99999U, 100000U}) {
    expect_exact(tensors, {{0, rank}}, limits, 100);
  }
}

TEST(Selection, TooManyCandidatesAreSettledByFurtherPasses) {
  RandomStream random(3, "radix");
  for (const int kind : {0, 1, 2, 3, 5}) {
    std::vector<Keys> tensors(1);
    tensors[0].sources.push_back(random_keys(random, 20000, kind));
    SelectionLimits limits;
    limits.candidates = limits.least_candidates = 1;
    limits.sample_blocks = 0;
    limits.bins = 16;
    for (const std::uint64_t rank : {1U, 777U, 10000U, 20000U}) {
      expect_exact(tensors, {{0, rank}}, limits, 64);
    }
  }
}

TEST(Selection, ASampleAndOneCountingPassSettleOrdinaryKeys) {
  RandomStream random(4, "ordinary");
  std::vector<Keys> tensors(1);
  tensors[0].sources.push_back(random_keys(random, 2000000, 0));
  const MergeUnit unit = unit_of(tensors);
  SelectionLimits limits;
  limits.candidates = 100000;
  Selection selection(unit, 1, {{0, 1000000}}, limits);
  EXPECT_EQ(run(selection, tensors, kBlockElements, kLeafBlocks), 2);
  std::vector<std::uint64_t> keys = tensors[0].sources[0];
  std::sort(keys.begin(), keys.end(), std::greater<>());
  EXPECT_EQ(selection.cut(0).key, keys[999999]);
}

TEST(Selection, ShareOfNonzeroCountsThem) {
  std::vector<Keys> tensors(1);
  // Five positive keys of eight; half of them, rounded down, is two.
  tensors[0].sources.push_back(
      {key_of(0), key_of(3), key_of(1), key_of(0), key_of(2), key_of(5), key_of(0), key_of(4)});
  tensors[0].wide = true;
  const MergeUnit unit = unit_of(tensors);
  Selection half(unit, 1, {{.source = 0, .share_of_nonzero = 0.5}});
  run(half, tensors, 3, 1);
  EXPECT_EQ(half.cut(0).key, key_of(4));
  Selection nothing(unit, 1, {{.source = 0, .share_of_nonzero = 0.19}});
  run(nothing, tensors, 3, 1);
  EXPECT_EQ(nothing.cut(0).key, Cut::kNone);
}

TEST(Selection, TiedTensorsCountOnceAndShareTheirTies) {
  std::vector<Keys> tensors(3);
  const std::vector<std::uint64_t> keys = {key_of(2), key_of(1), key_of(1), key_of(1)};
  tensors[0].sources.push_back({key_of(7)});
  tensors[1].sources.push_back(keys);
  tensors[2].sources.push_back(keys);
  tensors[2].tied = true;
  const MergeUnit unit = unit_of(tensors);
  Selection selection(unit, 1, {{0, 4}});  // 7, 2, 1, 1
  run(selection, tensors, 2, 1);
  EXPECT_EQ(selection.cut(0).key, key_of(1));
  for (const std::size_t tensor : {1U, 2U}) {
    EXPECT_EQ(selection.cut(0).ties_of(selection.place_of(tensor, 0)), ~std::uint64_t{0});
    EXPECT_EQ(selection.cut(0).ties_of(selection.place_of(tensor, 2)), 1U);
  }
}

TEST(Selection, OfNothingIsDone) {
  std::vector<Keys> tensors(1);
  tensors[0].sources.push_back({});
  const MergeUnit unit = unit_of(tensors);
  Selection selection(unit, 1, {{0, 1}});
  EXPECT_EQ(run(selection, tensors, 4, 1), 1);
  EXPECT_TRUE(selection.done());
}

TEST(SelectionKeys, FloatAndDoubleKeysOrderAlike) {
  const float values[] = {0.0F, 1e-45F, 1e-40F, 1.1754944e-38F,
                          0.3F, 1.0F,   3e38F,  std::numeric_limits<float>::infinity()};
  for (const float value : values) {
    EXPECT_EQ(widen_key(float_key_of(value)), key_of(static_cast<double>(value)));
    EXPECT_EQ(float_key_at_least(key_of(static_cast<double>(value))), float_key_of(value));
  }
  // Between two floats the next one up; above all NaN, none.
  EXPECT_EQ(float_key_at_least(key_of(1.0 + 1e-12)), float_key_of(1.0F) + 1);
  EXPECT_EQ(float_key_at_least(~std::uint64_t{0} >> 1), 1U << 31);
  EXPECT_GT(widen_key(0x7F800001), key_of(std::numeric_limits<double>::infinity()));
}

RC_GTEST_PROP(SelectionKeys, TallyEqualsCounting, (std::vector<std::uint16_t> raw)) {
  if (raw.size() > kKeyTile) raw.resize(kKeyTile);
  const std::vector<std::uint32_t> keys(raw.begin(), raw.end());
  const auto a = *rc::gen::arbitrary<std::uint16_t>();
  const auto b = *rc::gen::arbitrary<std::uint16_t>();
  const std::uint32_t low = std::min(a, b);
  const std::uint32_t high = std::max(a, b);
  std::vector<std::uint32_t> kept(keys.size() + kKeySlack);
  const KeyTally tally = tally_keys(keys, low, high, kept.data());
  std::vector<std::uint32_t> inside;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(inside),
               [&](std::uint32_t key) { return key >= low && key <= high; });
  kept.resize(tally.inside);
  RC_ASSERT(kept == inside);
  RC_ASSERT(tally.above == static_cast<std::size_t>(std::count_if(
                               keys.begin(), keys.end(), [&](auto key) { return key > high; })));
}

// Rows of floats, each with a scale of its own, absorbed as their products and as floats with the
// scale beside them: by default limits, without a sample, and where candidates are too many to
// keep.
TEST(Selection, ScaledFloatsAreTheirProducts) {
  constexpr std::size_t kRow = 300;
  constexpr std::size_t kRows = 40;
  RandomStream random(9, "scaled");
  std::vector<std::uint32_t> keys(kRow * kRows);
  std::vector<double> scales(kRows);
  for (std::uint32_t& key : keys) {
    // Many equal ones, and zeros.
    key = float_key_of(static_cast<float>(std::abs(std::round(40 * random.normal()))) / 64);
  }
  keys[5] = float_key_of(std::numeric_limits<float>::infinity());
  for (double& scale : scales) scale = std::exp(random.normal());
  scales[3] = 0;
  scales[4] = scales[5] = 1;
  scales[6] = 1e-310;
  std::vector<std::uint64_t> products(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    products[i] = scaled_key(keys[i], scales[i / kRow]);
  }
  MergeUnit unit = unit_of({Keys{.sources = {products}, .wide = true}});
  const auto run_rows = [&](const SelectionLimits& limits, bool scaled) {
    Selection selection(
        unit, 1,
        {{.source = 0, .rank = 3000}, {.source = 0, .rank = 9000}, {.source = 0, .rank = 1}},
        limits);
    while (!selection.done()) {
      SelectionTally tally = selection.make_tally();
      for (std::size_t first = 0; first < keys.size(); first += kRow) {
        if (!selection.wants_block(0, first) || !tally.begin_block(0, first)) continue;
        if (scaled) {
          tally.absorb_scaled(0, std::span<const std::uint32_t>(keys).subspan(first, kRow),
                              scales[first / kRow]);
        } else {
          tally.absorb(0, std::span<const std::uint64_t>(products).subspan(first, kRow));
        }
      }
      selection.solve(&tally);
    }
    std::vector<Cut> cuts;
    for (std::size_t target = 0; target < 3; ++target) cuts.push_back(selection.cut(target));
    return cuts;
  };
  for (const SelectionLimits& limits :
       {SelectionLimits{}, SelectionLimits{.unsampled = 100, .sample_blocks = 10},
        SelectionLimits{.candidates = 90,
        .least_candidates = 30,
        .unsampled = 0,
        .sample_blocks = 0,
        .bins = 16}}) {
    const std::vector<Cut> expected = run_rows(limits, false);
    const std::vector<Cut> found = run_rows(limits, true);
    for (std::size_t target = 0; target < expected.size(); ++target) {
      EXPECT_EQ(found[target].key, expected[target].key);
      EXPECT_EQ(found[target].all_ties, expected[target].all_ties);
      EXPECT_EQ(found[target].tie_block, expected[target].tie_block);
      EXPECT_EQ(found[target].ties_in_block, expected[target].ties_in_block);
    }
  }
}

}  // namespace
}  // namespace amalgam::rules

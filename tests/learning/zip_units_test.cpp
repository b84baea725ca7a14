// Which units ZipIt! merges.
#include "amalgam/weights/learned/zip_units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "tests/error_of.hpp"

namespace amalgam::learned {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// All similarities are `rest` but for these.
std::vector<double> similarities(std::size_t count, double rest,
                                 const std::map<std::pair<int, int>, double>& others) {
  std::vector<double> all(count * count, rest);
  for (const auto& [pair, value] : others) {
    const auto [a, b] = pair;
    all[static_cast<std::size_t>(a) * count + static_cast<std::size_t>(b)] = value;
    all[static_cast<std::size_t>(b) * count + static_cast<std::size_t>(a)] = value;
  }
  return all;
}

// Units 0 to 2 of the first network, 3 to 5 of the second.
const std::vector<double>& worked() {
  static const std::vector<double> kSimilarities = similarities(6, .1,
                                                                {{{0, 1}, .95},
                                                                 {{1, 3}, .7},
                                                                 {{2, 4}, .6},
                                                                 {{0, 3}, .5},
                                                                 {{2, 5}, .4},
                                                                 {{0, 2}, .3},
                                                                 {{3, 4}, .2}});
  return kSimilarities;
}

// floor(1 * 3 / 2) = 1 merge within each network. First 0 and 1 (.95), which uses it up. That pair
// and 3: .5 min(.5, .7) = .25. Then 2 and 4 (.6), which with 3 has .5 min(.1, .2) = .05 and with 5
// .5 min(.4, .1) = .05. Then the pair and 3. Three are left.
TEST(ZipUnits, MergesWithinANetworkAsFarAsItMay) {
  const UnitZip zip = zip_units(worked(), 2, 3, {.alpha = .5, .beta = 1});
  EXPECT_THAT(zip.into, ElementsAre(0, 0, 1, 0, 1, 2));
  EXPECT_EQ(zip.width, 3);
  EXPECT_THAT(zip.within, ElementsAre(1, 0));
  EXPECT_THAT(zip.sizes(), ElementsAre(3, 2, 1));
}

// Without: 1 and 3 (.7), 2 and 4 (.6), and at last 0 and 5 (.1), since with the merged ones 5 has
// .5 * .1.
TEST(ZipUnits, MergesAcrossNetworksAlone) {
  const UnitZip zip = zip_units(worked(), 2, 3, {.alpha = .5, .beta = 0});
  EXPECT_THAT(zip.into, ElementsAre(0, 1, 2, 1, 2, 0));
  EXPECT_THAT(zip.within, ElementsAre(0, 0));
}

// With alpha 1 unit 5 goes to {2, 4} as soon as their similarity, min(.4, .3), is above that of 0
// and 5; 0 is then by itself.
TEST(ZipUnits, AlphaSaysHowReadilyMergedUnitsAreMergedAgain) {
  const std::vector<double> similarity =
      similarities(6, .1, {{{1, 3}, .7}, {{2, 4}, .6}, {{2, 5}, .4}, {{4, 5}, .3}, {{0, 5}, .2}});
  EXPECT_THAT(zip_units(similarity, 2, 3, {.alpha = 1, .beta = 0}).into,
              ElementsAre(0, 1, 2, 1, 2, 2));
  EXPECT_THAT(zip_units(similarity, 2, 3, {.alpha = .5, .beta = 0}).into,
              ElementsAre(0, 1, 2, 1, 2, 0));
}

TEST(ZipUnits, TiesGoToTheLowestUnitAndItsLowestPartner) {
  const std::vector<double> six(36, .5);
  EXPECT_THAT(zip_units(six, 2, 3, {.beta = 0}).into, ElementsAre(0, 1, 2, 0, 1, 2));
  // One merge within each: 0 and 1, then, as merged ones count for less, 2 and 3.
  const std::vector<double> four(16, .5);
  EXPECT_THAT(zip_units(four, 2, 2, {.beta = 1}).into, ElementsAre(0, 0, 1, 1));
}

TEST(ZipUnits, NeverMergesMoreWithinANetworkThanItMay) {
  constexpr std::size_t kUnits = 20;
  std::vector<double> similarity(4 * kUnits * kUnits);
  for (std::size_t i = 0; i < 2 * kUnits; ++i) {
    for (std::size_t j = 0; j < 2 * kUnits; ++j) {
      const bool within = i / kUnits == j / kUnits;
      similarity[i * 2 * kUnits + j] = (within ? .9 : .2) - .001 * static_cast<double>(i + j);
    }
  }
  for (const auto& [beta, merges] : {std::pair{0.0, 0}, {.09, 0}, {.1, 1}, {.3, 3}, {.39, 3}}) {
    const UnitZip zip = zip_units(similarity, 2, kUnits, {.beta = beta});
    EXPECT_THAT(zip.within, ElementsAre(merges, merges)) << beta;
  }
  // Of three networks, two thirds of 60 units have to be merged: floor(.1 * 2 * 20 / 3) = 1.
  const std::vector<double> alike(60 * 60, .5);
  for (const std::int64_t merges : zip_units(alike, 3, 20, {.beta = .1}).within) {
    EXPECT_LE(merges, 1);
  }
}

// As the definition says it, with everything looked at again in every step.
std::vector<std::int64_t> zipped_slowly(std::vector<double> similarity, std::size_t networks,
                                        std::size_t units, const ZipOptions& options) {
  const std::size_t count = networks * units;
  std::vector<std::vector<std::size_t>> parts;  // ascending in their first
  for (std::size_t i = 0; i < count; ++i) parts.push_back({i});
  const auto budget = static_cast<int>(options.beta * static_cast<double>((networks - 1) * units) /
                                           static_cast<double>(networks) +
                                       1e-9);
  std::vector<int> left(networks, budget);
  const auto alike = [&](std::size_t a, std::size_t b) -> double& {
    return similarity[parts[a][0] * count + parts[b][0]];
  };
  while (parts.size() > units) {
    std::tuple<double, std::size_t, std::size_t> best{-1e9, 0, 0};
    for (std::size_t a = 0; a < parts.size(); ++a) {
      for (std::size_t b = a + 1; b < parts.size(); ++b) {
        const std::size_t network = parts[a][0] / units;
        const bool may = network != parts[b][0] / units || left[network] > 0;
        if (may && alike(a, b) > std::get<0>(best)) best = {alike(a, b), a, b};
      }
    }
    const auto [value, a, b] = best;
    if (parts[a][0] / units == parts[b][0] / units) --left[parts[a][0] / units];
    for (std::size_t c = 0; c < parts.size(); ++c) {
      if (c == a || c == b) continue;
      const double merged = options.alpha * std::min(alike(a, c), alike(b, c));
      alike(a, c) = merged;
      alike(c, a) = merged;
    }
    parts[a].insert(parts[a].end(), parts[b].begin(), parts[b].end());
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(b));
  }
  std::vector<std::int64_t> into(count);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    for (const std::size_t unit : parts[p]) into[unit] = static_cast<std::int64_t>(p);
  }
  return into;
}

// Similarities of many equal values, negative ones among them.
TEST(ZipUnits, EqualsTheDefinitionOnRandomSimilarities) {
  RandomStream random(7, "similarities");
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t networks = 2 + random.below(2);
    const std::size_t units = 1 + random.below(9);
    const std::size_t count = networks * units;
    std::vector<double> similarity(count * count);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = i; j < count; ++j) {
        const double value = (static_cast<double>(random.below(21)) - 10) / 10;
        similarity[i * count + j] = similarity[j * count + i] = value;
      }
    }
    const ZipOptions options{.alpha = .1 + .9 * random.uniform(), .beta = random.uniform()};
    EXPECT_EQ(zip_units(similarity, networks, units, options).into,
              zipped_slowly(similarity, networks, units, options))
        << trial;
  }
}

TEST(ZipUnits, KeepsUnitsApart) {
  const UnitZip zip = keep_apart(2, 2);
  EXPECT_THAT(zip.into, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(zip.width, 4);
}

TEST(ZipUnits, RefusesWhatIsNone) {
  const std::vector<double> good(16, .5);
  const auto with = [&](const ZipOptions& options) {
    return error_of([&] { (void)zip_units(good, 2, 2, options); });
  };
  EXPECT_THAT(with({.alpha = 0}), HasSubstr("alpha is 0"));
  EXPECT_THAT(with({.alpha = 1.5}), HasSubstr("alpha is 1.5"));
  EXPECT_THAT(with({.beta = -.1}), HasSubstr("beta is -0.1"));
  EXPECT_THAT(with({.beta = std::nan("")}), HasSubstr("beta is nan"));
  EXPECT_THAT(error_of([&] { (void)zip_units(good, 2, 3); }), HasSubstr("2 networks with 3"));
  EXPECT_THAT(error_of([&] { (void)zip_units(good, 1, 4); }), HasSubstr("1 networks"));
  std::vector<double> bad = good;
  bad[1 * 4 + 3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error_of([&] { (void)zip_units(bad, 2, 2); }), HasSubstr("units 1 and 3"));
}

}  // namespace
}  // namespace amalgam::learned

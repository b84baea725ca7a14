#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/quantised.hpp"
#include "amalgam/tensor/simd_targets.hpp"

namespace amalgam {
namespace {

using Bytes = std::vector<std::byte>;

// What the quantiser of each type may choose: levels 0 to `top` and a minimum, or -half to half
// - 1.
struct Kind {
  DType dtype;
  std::size_t sub;  // elements of a sub-block
  int top;
  bool has_minimum;
  int most_scale;  // the largest magnitude of a sub-block's integer
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> kKinds = {{DType::q2_k, 16, 3, true, 15},
                                           {DType::q3_k, 16, 7, false, 32},
                                           {DType::q4_k, 32, 15, true, 63},
                                           {DType::q5_k, 32, 31, true, 63},
                                           {DType::q6_k, 16, 63, false, 128}};
  return kKinds;
}

const std::vector<DType>& searched_types() {
  static const std::vector<DType> kTypes = {DType::q2_k, DType::q3_k,   DType::q4_k,  DType::q5_k,
                                            DType::q6_k, DType::iq4_xs, DType::iq4_nl};
  return kTypes;
}

const std::vector<DType>& written_types() {
  static const std::vector<DType> kTypes = {DType::q2_k, DType::q3_k,   DType::q4_k,   DType::q5_k,
                                            DType::q6_k, DType::iq4_xs, DType::iq4_nl, DType::q4_0,
                                            DType::q4_1, DType::q5_0,   DType::q5_1,   DType::q8_0};
  return kTypes;
}

Bytes quantised(DType dtype, const std::vector<float>& values,
                const std::vector<float>& importance = {}) {
  Bytes bytes(dtype_bytes(dtype, values.size()));
  quantise(dtype, values, importance, bytes);
  return bytes;
}

std::vector<float> values_of(DType dtype, const Bytes& bytes, std::size_t count) {
  std::vector<float> values(count);
  decode(dtype, bytes, std::span<float>(values));
  return values;
}

double squared_error(const std::vector<float>& x, const std::vector<float>& y,
                     const std::vector<float>& weights = {}) {
  double error = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double miss = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    error += (weights.empty() ? 1.0 : static_cast<double>(weights[i])) * miss * miss;
  }
  return error;
}

double error_of(DType dtype, const std::vector<float>& x, const std::vector<float>& importance = {},
                const std::vector<float>& weights = {}) {
  return squared_error(x, values_of(dtype, quantised(dtype, x, importance), x.size()), weights);
}

// A straightforward quantiser: every sub-block gets the scale (and minimum) of its range, rounded
// to an integer of the largest one of the block, whose own rounding is left out.
std::vector<float> plainly_quantised(const Kind& kind, const std::vector<float>& x) {
  const int half = (kind.top + 1) / 2;
  std::vector<float> out(x.size());
  for (std::size_t block = 0; block < x.size(); block += 256) {
    std::vector<double> scales;
    std::vector<double> minima;
    for (std::size_t first = block; first < block + 256; first += kind.sub) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(first);
      const auto [low, high] =
          std::minmax_element(begin, begin + static_cast<std::ptrdiff_t>(kind.sub));
      if (kind.has_minimum) {
        minima.push_back(-std::min(0.0, static_cast<double>(*low)));
        scales.push_back((static_cast<double>(*high) + minima.back()) / kind.top);
      } else {
        const double extreme = -*low > *high ? *low : *high;
        minima.push_back(0);
        scales.push_back(-extreme / half);
      }
    }
    const auto by_size = [](double a, double b) { return std::abs(a) < std::abs(b); };
    const double d =
        std::abs(*std::max_element(scales.begin(), scales.end(), by_size)) / kind.most_scale;
    const double m = *std::max_element(minima.begin(), minima.end()) / kind.most_scale;
    for (std::size_t i = block; i < block + 256; ++i) {
      const std::size_t s = (i - block) / kind.sub;
      const double scale = d * std::round(scales[s] / d);
      const double minimum = m > 0 ? m * std::round(minima[s] / m) : 0;
      const double lowest = kind.has_minimum ? 0 : -half;
      const double level = scale == 0 ? 0 : (static_cast<double>(x[i]) + minimum) / scale;
      out[i] = static_cast<float>(scale * std::clamp(std::round(level), lowest, lowest + kind.top) -
                                  minimum);
    }
  }
  return out;
}

std::vector<float> made(std::size_t count, const std::function<double(RandomStream&)>& draw) {
  RandomStream stream(11, "quantiser");
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(draw(stream));
  return values;
}

std::vector<float> normal_values(std::size_t count) {
  return made(count, [](RandomStream& stream) { return 0.02 * stream.normal(); });
}

TEST(QuantiserSearch, IsBetterThanTakingTheRange) {
  const std::vector<std::vector<float>> samples = {
      normal_values(256 * 64),
      // Heavy tails: a normal number over the root of a uniform one.
      made(256 * 64, [](RandomStream& s) { return s.normal() / std::sqrt(s.uniform() + 0.01); }),
      made(256 * 64, [](RandomStream& s) { return s.uniform() - 0.2; })};
  for (const Kind& kind : kinds()) {
    for (const auto& sample : samples) {
      const double plain = squared_error(sample, plainly_quantised(kind, sample));
      EXPECT_LT(error_of(kind.dtype, sample), 0.97 * plain) << dtype_name(kind.dtype);
    }
  }
}

// Values that the format holds exactly come back exactly: levels 0, 1, ... of a sub-block whose
// scale is the largest integer times a power of two.
TEST(QuantiserSearch, FindsValuesThatTheFormatHolds) {
  for (const Kind& kind : kinds()) {
    const int half = kind.has_minimum ? 0 : (kind.top + 1) / 2;
    const double scale = kind.has_minimum ? (kind.most_scale) / 64.0 : 0.5;
    std::vector<float> values(512);
    for (std::size_t i = 0; i < values.size(); ++i) {
      // 5 is prime to every number of levels; the first level of a sub-block is the lowest.
      const int level = static_cast<int>(i % kind.sub * 5) % (kind.top + 1);
      values[i] = static_cast<float>(scale * (level - half));
    }
    if (kind.top > static_cast<int>(kind.sub)) {
      for (std::size_t i = 1; i < values.size(); i += kind.sub) {
        values[i] = static_cast<float>(scale * (kind.top - half));
      }
    }
    EXPECT_EQ(values_of(kind.dtype, quantised(kind.dtype, values), values.size()), values)
        << dtype_name(kind.dtype);
  }
}

TEST(QuantiserSearch, GivesTheSameBitsOnEveryMachine) {
  const std::vector<float> values =
      made(256 * 9, [](RandomStream& s) { return s.normal() * std::exp2(s.normal() * 4); });
  const std::vector<float> importance =
      made(values.size(), [](RandomStream& s) { return s.uniform(); });
  for (const DType dtype : written_types()) {
    const Bytes plain = quantised(dtype, values);
    const Bytes weighted = quantised(dtype, values, importance);
    EXPECT_NE(plain, weighted) << dtype_name(dtype);
    for_each_simd_target([&](const std::string& target) {
      EXPECT_EQ(quantised(dtype, values), plain) << dtype_name(dtype) << " " << target;
      EXPECT_EQ(quantised(dtype, values, importance), weighted)
          << dtype_name(dtype) << " " << target;
    });
  }
}

// Sub-blocks are searched several blocks at a time: that must not show.
TEST(QuantiserSearch, BlocksDoNotDependOnTheirNeighbours) {
  const std::vector<float> values = normal_values(256 * 5);
  for (const DType dtype : searched_types()) {
    const Bytes all = quantised(dtype, values);
    Bytes one_by_one;
    const std::size_t block = dtype_block_elements(dtype);
    for (std::size_t first = 0; first < values.size(); first += block) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
      const Bytes one = quantised(dtype, {begin, begin + static_cast<std::ptrdiff_t>(block)});
      one_by_one.insert(one_by_one.end(), one.begin(), one.end());
    }
    EXPECT_EQ(all, one_by_one) << dtype_name(dtype);
  }
}

TEST(QuantiserSearch, ImportanceLowersTheErrorThatItWeighs) {
  const std::vector<float> values = normal_values(256 * 32);
  const std::vector<float> importance =
      made(values.size(), [](RandomStream& s) { return std::exp(2 * s.normal()); });
  for (const DType dtype : written_types()) {
    EXPECT_LT(error_of(dtype, values, importance, importance),
              0.97 * error_of(dtype, values, {}, importance))
        << dtype_name(dtype);
  }
}

TEST(QuantiserSearch, OnlyRatiosOfImportanceCount) {
  const std::vector<float> values = normal_values(256 * 4);
  for (const DType dtype : searched_types()) {
    const Bytes plain = quantised(dtype, values);
    for (const float weight : {1.0F, 3e-30F, 2e30F, 0.0F}) {
      EXPECT_EQ(quantised(dtype, values, std::vector<float>(values.size(), weight)), plain)
          << dtype_name(dtype) << " " << weight;
    }
  }
}

TEST(QuantiserSearch, ANaNInfinityOrHugeValueMakesItsBlockNaN) {
  for (const DType dtype : searched_types()) {
    const std::size_t block = dtype_block_elements(dtype);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                            -std::numeric_limits<float>::infinity(), 3e38F, 1e9F}) {
      std::vector<float> values = normal_values(3 * block);
      values[block + 7] = bad;
      const Bytes bytes = quantised(dtype, values);
      EXPECT_EQ(find_non_finite(dtype, bytes), block) << dtype_name(dtype) << " " << bad;
      const std::vector<float> decoded = values_of(dtype, bytes, values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(std::isnan(decoded[i]), i / block == 1) << dtype_name(dtype) << " " << i;
      }
    }
  }
}

TEST(QuantiserSearch, ConstantAndTinyBlocksStayNearTheirValues) {
  for (const DType dtype : written_types()) {
    for (const float constant : {0.0F, -0.0F, 1.0F, -1.0F, 0.5F, -60000.0F}) {
      const std::vector<float> values(512, constant);
      for (const auto& importance : {std::vector<float>{}, std::vector<float>(512, 2.0F)}) {
        const Bytes bytes = quantised(dtype, values, importance);
        const double error = squared_error(values, values_of(dtype, bytes, values.size()));
        EXPECT_LE(std::sqrt(error / 512), 0.002 * std::abs(constant))
            << dtype_name(dtype) << " " << constant;
      }
    }
    for (const float tiny : {1e-10F, 1e-38F, 1e-44F}) {
      std::vector<float> values(512);
      for (std::size_t j = 0; j < values.size(); ++j) values[j] = j % 2 == 0 ? tiny : -tiny;
      for (const float value : values_of(dtype, quantised(dtype, values), values.size())) {
        EXPECT_EQ(value, 0.0F) << dtype_name(dtype);
      }
    }
  }
}

TEST(QuantiserSearch, RefusesWhatIsOnlyRead) {
  const std::vector<float> values(256);
  for (const DType dtype :
       {DType::q8_k, DType::iq1_s, DType::iq3_xxs, DType::tq1_0, DType::mxfp4}) {
    EXPECT_FALSE(dtype_is_writable(dtype));
    Bytes bytes(dtype_bytes(dtype, values.size()));
    EXPECT_THROW(quantise(dtype, values, bytes), Error);
  }
  Bytes bytes(dtype_bytes(DType::q4_k, values.size()));
  EXPECT_THROW(quantise(DType::q4_k, values, std::vector<float>(3), bytes), Error);
}

}  // namespace
}  // namespace amalgam

#include "amalgam/weights/rules/member_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/tensor/kernels.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "amalgam/weights/rules/coordinate_kernels.hpp"
#include "amalgam/weights/rules/fisher_kernels.hpp"
#include "tests/weights/rule_checks.hpp"

namespace amalgam {
namespace {

using testing::random_values;

template <class T>
struct Members {
  Members(std::size_t n, std::size_t count, std::uint64_t seed) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::vector<double> values = random_values(count, seed + i);
      data.emplace_back(values.begin(), values.end());
    }
    for (const auto& values : data) pointers.push_back(values.data());
  }
  std::vector<std::vector<T>> data;
  std::vector<const T*> pointers;
};

template <class T>
void expect_products_are_dots(std::size_t n, std::size_t count) {
  const Members<T> members(n, count, 7);
  std::vector<double> sums(kernels::pair_count(n));
  kernels::PairScratch scratch;
  kernels::add_products(members.pointers, nullptr, count, scratch, sums);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i; j < n; ++j) {
      const std::span<const T> a(members.data[i]);
      const std::span<const T> b(members.data[j]);
      EXPECT_EQ(sums[kernels::pair_index(i, j, n)], kernels::dot(a, b)) << i << ' ' << j;
    }
  }
}

TEST(MemberKernels, ProductsHaveTheBitsOfDotForAnyLength) {
  for (const std::size_t count : {0, 1, 15, 16, 17, 255, 256, 257, 1000, 8192}) {
    for (const std::size_t n : {1, 2, 3, 4, 7}) {
      expect_products_are_dots<float>(n, count);
      expect_products_are_dots<double>(n, count);
    }
  }
}

TEST(MemberKernels, ProductsOfDifferencesSubtractInTheTypeOfTheInputs) {
  const float base[] = {1.0F};
  const float a[] = {1.0F + 0x1p-23F};
  const float b[] = {0x1p-30F};  // b - base rounds to -1 in float, not in double
  const float* members[] = {a, b};
  std::vector<double> sums(3);
  kernels::PairScratch scratch;
  kernels::add_products(members, base, 1, scratch, sums);
  EXPECT_EQ(sums, (std::vector<double>{0x1p-46, -0x1p-23, 1.0}));
}

TEST(MemberKernels, DistancesOfNearEqualMembersDoNotCancel) {
  // (1 + 2^-23) - 1 squared is 2^-46: K_ii + K_jj - 2 K_ij could not tell it from zero at 10^6
  // elements.
  constexpr std::size_t kCount = 1000;
  const std::vector<float> ones(kCount, 1.0F);
  const std::vector<float> nearly(kCount, 1.0F + 0x1p-23F);
  const float* two[] = {ones.data(), nearly.data()};
  const float* three[] = {ones.data(), nearly.data(), ones.data()};
  kernels::PairScratch scratch;
  std::vector<double> sums(3);
  kernels::add_squared_distances(two, kCount, scratch, sums);
  EXPECT_EQ(sums, (std::vector<double>{0, kCount * 0x1p-46, 0}));
  std::vector<double> six(6);
  kernels::add_squared_distances(three, kCount, scratch, six);
  EXPECT_EQ(six, (std::vector<double>{0, kCount * 0x1p-46, 0, 0, kCount * 0x1p-46, 0}));
}

TEST(MemberKernels, WeightedSumsAddInMemberOrder) {
  for (const std::size_t count : {1, 16, 37}) {
    const Members<float> members(3, count, 3);
    const std::vector<double> base_values = random_values(count, 99);
    const std::vector<float> base(base_values.begin(), base_values.end());
    const std::vector<double> weights{0.1, -2.5, 0.7};
    std::vector<double> plain(count);
    std::vector<double> relative(count);
    kernels::weighted_sum(members.pointers, weights, plain);
    kernels::weighted_difference_sum(members.pointers, base.data(), weights, relative);
    for (std::size_t k = 0; k < count; ++k) {
      const auto x = [&](std::size_t i) { return static_cast<double>(members.data[i][k]); };
      const auto d = [&](std::size_t i) {
        return static_cast<double>(members.data[i][k] - base[k]);
      };
      EXPECT_EQ(plain[k], (0.1 * x(0) + -2.5 * x(1)) + 0.7 * x(2));
      EXPECT_EQ(relative[k],
                static_cast<double>(base[k]) + ((0.1 * d(0) + -2.5 * d(1)) + 0.7 * d(2)));
    }
  }
}

TEST(MemberKernels, SquaresAboutTheMeanSurviveALargeMean) {
  std::vector<float> x(40, 1.0e6F);
  x[3] += 1;
  x[38] -= 1;
  EXPECT_EQ(kernels::sum_squares_about(std::span<const float>(x), 1.0e6), 2.0);
}

TEST(MemberKernels, EverySimdTargetGivesTheSameBits) {
  constexpr std::size_t kCount = 1003;
  constexpr std::size_t kMembers = 5;
  const Members<float> floats(kMembers, kCount, 40);
  const Members<double> doubles(kMembers, kCount, 50);
  const Members<float> fishers(kMembers, kCount, 60);
  const std::vector<double> weights{0.3, 0.2, -0.4, 1.5, 0.01};
  const std::vector<kernels::FisherFactors> factors(kMembers, {.coefficient = 0.3, .weight = 1});
  const auto means = {kernels::CoordinateMean::median(kMembers),
                      kernels::CoordinateMean(kMembers, 1, 3),
                      kernels::CoordinateMean(kMembers, 1, 3, 4)};
  const auto everything = [&] {
    std::vector<double> all;
    const auto keep = [&](const std::vector<double>& values) {
      all.insert(all.end(), values.begin(), values.end());
    };
    const auto run = [&](const auto& members) {
      std::vector<double> sums(kernels::pair_count(kMembers));
      std::vector<double> out(kCount);
      kernels::PairScratch scratch;
      const auto* base = members.pointers[0];
      kernels::add_products(members.pointers, base, kCount, scratch, sums);
      kernels::add_products(std::span(members.pointers).first(2), nullptr, kCount, scratch,
                            std::span(sums).first(3));
      kernels::add_squared_distances(members.pointers, kCount, scratch, sums);
      keep(sums);
      kernels::weighted_difference_sum(members.pointers, base, weights, out);
      keep(out);
      for (const kernels::CoordinateMean& mean : means) {
        kernels::coordinate_mean(mean, members.pointers, base, out);
        keep(out);
      }
      keep({kernels::sum_squares_about(std::span(base, kCount), 0.1)});
    };
    run(floats);
    run(doubles);
    std::vector<double> out(kCount);
    kernels::fisher_average(floats.pointers, fishers.pointers, factors, out);
    keep(out);
    return all;
  };
  const std::vector<double> expected = everything();
  for_each_simd_target([&](const std::string& name) { EXPECT_EQ(everything(), expected) << name; });
}

TEST(SortingNetwork, SortsEveryZeroOneInputAndPrunesToTheWantedRanks) {
  for (std::size_t n = 1; n <= 10; ++n) {
    for (std::size_t wanted = 0; wanted < n; ++wanted) {
      const std::size_t ranks[] = {wanted};
      const auto network = kernels::sorting_network(n, ranks);
      for (unsigned input = 0; input < (1U << n); ++input) {
        std::vector<unsigned> bits(n);
        std::size_t ones = 0;
        for (std::size_t i = 0; i < n; ++i) ones += bits[i] = (input >> i) & 1U;
        for (const auto& [low, high] : network) {
          if (bits[high] < bits[low]) std::swap(bits[low], bits[high]);
        }
        ASSERT_EQ(bits[wanted], wanted >= n - ones ? 1U : 0U) << n << ' ' << wanted;
      }
    }
  }
}

}  // namespace
}  // namespace amalgam

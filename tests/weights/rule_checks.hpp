#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/rule.hpp"
#include "tests/weights/rule_driver.hpp"

// What tests of rules share: random tensors and comparisons.
namespace amalgam::testing {

using Values = std::vector<double>;

/// Standard normal values that a float holds exactly.
inline Values random_values(std::size_t count, std::uint64_t seed, double scale = 1) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  Values values(count);
  for (double& value : values) value = static_cast<float>(scale * normal(generator));
  return values;
}

inline std::vector<Values> random_members(std::size_t members, std::size_t count,
                                          std::uint64_t seed, double scale = 1) {
  std::vector<Values> all;
  for (std::size_t i = 0; i < members; ++i) {
    all.push_back(random_values(count, 1000 * seed + i, scale));
  }
  return all;
}

inline DriverTensor vector_tensor(std::vector<Values> members, Assignments parameters = {},
                                  std::optional<Values> base = std::nullopt) {
  DriverTensor tensor;
  tensor.shape = {members.front().size()};
  tensor.members = std::move(members);
  tensor.base = std::move(base);
  tensor.parameters = std::move(parameters);
  return tensor;
}

inline void expect_near(const Values& actual, const Values& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance) << "at index " << i;
  }
}

/// The message of the InputError that merging raises.
inline std::string merge_error(const MergeRule& rule, const DriverTensor& tensor) {
  try {
    run_rule(rule, tensor);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

/// A tensor of several leaves gives the same bits with one thread and with three.
inline void expect_thread_invariance(const MergeRule& rule, const DriverTensor& tensor) {
  DriverOptions one;
  DriverOptions three;
  three.threads = 3;
  EXPECT_EQ(run_rule(rule, tensor, one), run_rule(rule, tensor, three)) << rule.info().name;
}

}  // namespace amalgam::testing

#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {

/// A folder with a base and two members of three tensors, for tests of `amalgam merge`.
class MergeFixture : public ::testing::Test {
 protected:
  MergeFixture() {
    base_ = write("base", model(0));
    a_ = write("a", model(1));
    b_ = write("b", model(2));
  }

  static MemoryTensor tensor(const std::string& name, const Shape& shape, std::uint64_t seed,
                             DType dtype = DType::f32) {
    RandomStream random(seed, name);
    std::vector<double> values(element_count(shape, name));
    for (double& value : values) value = random.normal();
    return make_tensor(name, shape, values, dtype);
  }

  static std::vector<MemoryTensor> model(std::uint64_t seed) {
    return {tensor("embed.weight", {6, 4}, seed), tensor("layers.0.weight", {4, 4}, seed),
            tensor("layers.0.bias", {4}, seed), tensor("layers.1.weight", {4, 4}, seed),
            tensor("layers.1.bias", {4}, seed)};
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string out() const { return path("out.safetensors"); }

  std::string write(const std::string& name, const std::vector<MemoryTensor>& tensors) const {
    std::filesystem::remove(folder_ / (name + ".safetensors"));
    return write_safetensors(folder_ / (name + ".safetensors"), tensors);
  }

  /// Neither output nor unfinished work.
  void expect_nothing_left() const {
    EXPECT_FALSE(std::filesystem::exists(out()));
    EXPECT_FALSE(std::filesystem::exists(folder_ / ".out.safetensors.partial"));
  }

  const TemporaryFolder folder_;
  std::string base_;
  std::string a_;
  std::string b_;
};

}  // namespace amalgam

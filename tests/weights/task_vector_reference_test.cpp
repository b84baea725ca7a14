#include "tests/weights/task_vector_reference.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/weights/rule.hpp"
#include "tests/weights/rule_driver.hpp"

// Random merges against the reference: the same bits, except where a norm is summed in another
// order.
namespace amalgam::testing {
namespace {

struct Method {
  std::string name;
  std::string sparsify;
  bool consensus;
  bool rescale;
  bool normalize;
};

// As GoogleTest shows a parameter.
void PrintTo(const Method& method, std::ostream* out) { *out << method.name; }

const std::vector<Method> kMethods = {
    {"task_arithmetic", "none", false, false, false},
    {"ties", "magnitude", true, false, true},
    {"dare_linear", "random", false, true, false},
    {"dare_ties", "random", true, true, false},
    {"breadcrumbs", "outliers", false, false, false},
    {"breadcrumbs_ties", "outliers", true, false, false},
    {"della", "magprune", true, true, true},
    {"della_linear", "magprune", false, true, false},
};

template <class T>
const T& pick(RandomStream& random, const std::vector<T>& choices) {
  return choices[random.below(choices.size())];
}

// Coarse values, so that ties, zeros and balances are frequent, or fine ones.
double value(RandomStream& random, bool coarse) {
  const double x = coarse ? static_cast<double>(random.below(9)) / 4 - 1 : random.normal();
  return static_cast<double>(static_cast<float>(x));
}

struct Case {
  std::vector<DriverTensor> driven;
  std::vector<reference::Tensor> tensors;
  std::vector<reference::Member> members;
  reference::Options options;
  DriverOptions driver;
  bool model_scope = false;
};

Case make_case(RandomStream& random, const Method& method) {
  Case made;
  reference::Options& options = made.options;
  options.sparsify = method.sparsify;
  options.consensus = method.consensus;
  options.merge = method.normalize ? "mean" : "sum";
  options.seed = random.next();
  made.driver.seed = options.seed;
  made.driver.as_double = random.below(3) == 0;
  made.driver.threads = 1 + random.below(3);

  Assignments rule;
  options.lambda = pick<double>(random, {1.0, 0.3, 2.0});
  rule.emplace_back("lambda", options.lambda);
  if (random.below(2) == 0) {
    const bool normalize = random.below(2) == 0;
    rule.emplace_back("normalize", normalize);
    options.merge = normalize ? "mean" : "sum";
  }
  const bool sparse = method.sparsify != "none";
  const bool counts =
      method.name == "dare_ties" || method.sparsify == "magnitude" || method.sparsify == "outliers";
  if (sparse) {
    options.rescale = method.rescale ? "true" : "false";
    if (random.below(2) == 0) {
      options.rescale =
          pick<std::string>(random, {"true", "l1", "l2", "linf", "inverse_density", "false"});
      rule.emplace_back("rescale", options.rescale);
    }
  }
  if ((counts || method.consensus) && random.below(2) == 0) {
    made.model_scope = true;
    rule.emplace_back("scope", std::string("model"));
  }
  if (counts && random.below(2) == 0) {
    options.round_half_even = true;
    rule.emplace_back("kept", std::string("round_half_even"));
  }
  if (method.consensus) {
    options.elect = pick<std::string>(random, {"sum", "count"});
    rule.emplace_back("elect", options.elect);
    options.zero_sign = pick<std::string>(random, {"plus", "majority"});
    rule.emplace_back("zero_sign", options.zero_sign);
    if (random.below(4) == 0 && (rule.size() < 2 || rule[1].first != "normalize")) {
      options.merge = pick<std::string>(random, {"sum", "mean", "max"});
      rule.emplace_back("disjoint", options.merge);
    }
  }
  if (method.name == "dare_ties" && random.below(2) == 0) {
    options.trim_density = pick<double>(random, {0.1, 0.35, 0.8});
    rule.emplace_back("trim_density", options.trim_density);
  }

  const std::size_t count = 1 + random.below(4);
  std::vector<Assignments> member_parameters;
  for (std::size_t m = 0; m < count; ++m) {
    reference::Member member;
    member.weight = pick<double>(random, {1.0, 0.5, 0.7, -0.25});
    Assignments assignments = {{"weight", member.weight}};
    if (sparse) {
      member.density = pick<double>(random, {0.5, 0.3, 0.75, 1.0});
      assignments.emplace_back("density", member.density);
    }
    if (method.sparsify == "outliers") {
      member.gamma = pick<double>(random, {0.0, 0.05, 0.4});
      assignments.emplace_back("gamma", member.gamma);
    }
    if (method.sparsify == "magprune") {
      member.epsilon = pick<double>(random, {0.0, 0.1, 0.2});
      assignments.emplace_back("epsilon", member.epsilon);
    }
    made.members.push_back(member);
    member_parameters.push_back(std::move(assignments));
  }

  const bool coarse = random.below(2) == 0;
  const std::size_t tensors = 1 + random.below(3);
  const std::vector<Shape> shapes = {{},         {1},    {7},     {0},     {3, 0},  {5, 9},
                                     {4, 3, 11}, {1300}, {37, 1}, {3, 64}, {2, 640}};
  for (std::size_t t = 0; t < tensors; ++t) {
    DriverTensor driven;
    reference::Tensor tensor;
    driven.name = tensor.name = "layers." + std::to_string(t) + ".weight";
    driven.shape = random.below(12) == 0 ? Shape{3, 9000} : pick(random, shapes);
    tensor.row = static_cast<std::size_t>(std::max<std::uint64_t>(1, row_length(driven.shape)));
    const std::uint64_t elements = element_count(driven.shape, "test");
    for (std::uint64_t i = 0; i < elements; ++i) {
      tensor.base.push_back(value(random, coarse));
    }
    for (std::size_t m = 0; m < count; ++m) {
      std::vector<double> x;
      for (std::uint64_t i = 0; i < elements; ++i) x.push_back(value(random, coarse));
      tensor.x.push_back(std::move(x));
    }
    driven.members = tensor.x;
    driven.base = tensor.base;
    driven.parameters = rule;
    driven.member_parameters = member_parameters;
    made.tensors.push_back(std::move(tensor));
    made.driven.push_back(std::move(driven));
  }
  return made;
}

class TaskVectorFamily : public ::testing::TestWithParam<Method> {};

TEST_P(TaskVectorFamily, EqualsTheReference) {
  const Method& method = GetParam();
  RandomStream random(11, method.name);
  for (int round = 0; round < 120; ++round) {
    const Case made = make_case(random, method);
    const auto found = run_rule(find_merge_rule(method.name), made.driven, made.driver);
    std::vector<std::vector<double>> expected;
    if (made.model_scope) {
      expected = reference::merge(made.tensors, made.members, made.options, !made.driver.as_double);
    } else {
      for (const reference::Tensor& tensor : made.tensors) {
        expected.push_back(
            reference::merge({tensor}, made.members, made.options, !made.driver.as_double).front());
      }
    }
    const bool norms = made.options.rescale != "false" && made.options.rescale != "inverse_density";
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t t = 0; t < found.size(); ++t) {
      ASSERT_EQ(found[t].size(), expected[t].size());
      for (std::size_t i = 0; i < found[t].size(); ++i) {
        if (norms) {
          // With a balance decided in the last bit, the election itself may differ; such ties
          // between unequal factors do not occur with these values.
          ASSERT_NEAR(found[t][i], expected[t][i], 1e-12 * (1 + std::abs(expected[t][i])))
              << "round " << round << " tensor " << t << " element " << i;
        } else {
          ASSERT_EQ(found[t][i], expected[t][i])
              << "round " << round << " tensor " << t << " element " << i;
        }
      }
    }
  }
}

TEST_P(TaskVectorFamily, IsTheSameForAnyNumberOfThreads) {
  const Method& method = GetParam();
  RandomStream random(12, method.name);
  DriverTensor tensor;
  tensor.shape = {40, 5000};
  Assignments member = {{"weight", 0.6}};
  if (method.sparsify != "none") member.emplace_back("density", 0.5);
  for (int m = 0; m < 3; ++m) {
    std::vector<double> x(200000);
    for (double& each : x) each = value(random, false);
    tensor.members.push_back(std::move(x));
    tensor.member_parameters.push_back(member);
  }
  tensor.base = std::vector<double>(200000, 0.25);
  const MergeRule& rule = find_merge_rule(method.name);
  const auto sequential = run_rule(rule, tensor, {.threads = 1});
  for (const std::size_t threads : {2U, 5U}) {
    EXPECT_EQ(run_rule(rule, tensor, {.threads = threads}), sequential);
  }
}

TEST_P(TaskVectorFamily, LeavesTheBaseBitForBitWhereNothingChanges) {
  const Method& method = GetParam();
  DriverTensor tensor;
  tensor.shape = {2, 3};
  const std::vector<double> base = {1.5, -0.0, 0.0, -2.25, 1e-30, 7.0};
  tensor.members = {base, base};
  tensor.base = base;
  Assignments member = {{"weight", 0.5}};
  if (method.sparsify != "none") member.emplace_back("density", 0.5);
  tensor.member_parameters = {member, member};
  const MergeRule& rule = find_merge_rule(method.name);
  const auto same_bits = [&](const std::vector<double>& out) {
    for (std::size_t i = 0; i < base.size(); ++i) {
      EXPECT_EQ(out[i], static_cast<double>(static_cast<float>(base[i])));
      EXPECT_EQ(std::signbit(out[i]), std::signbit(base[i])) << i;
    }
  };
  same_bits(run_rule(rule, tensor));
  // Other members, but nothing of them taken over.
  tensor.members[0] = {9, 8, 7, 6, 5, 4};
  tensor.parameters = {{"lambda", 0.0}};
  same_bits(run_rule(rule, tensor));
}

TEST_P(TaskVectorFamily, ScalesWithPowersOfTwo) {
  const Method& method = GetParam();
  RandomStream random(13, method.name);
  DriverTensor tensor;
  tensor.shape = {6, 50};
  Assignments member = {{"weight", 0.6}};
  if (method.sparsify != "none") member.emplace_back("density", 0.4);
  for (int m = 0; m < 3; ++m) {
    std::vector<double> x(300);
    for (double& each : x) each = value(random, false);
    tensor.members.push_back(std::move(x));
    tensor.member_parameters.push_back(member);
  }
  tensor.base = std::vector<double>(300, 0.25);
  const MergeRule& rule = find_merge_rule(method.name);
  const auto once = run_rule(rule, tensor);
  for (auto& x : tensor.members) {
    for (double& each : x) each *= 8;
  }
  for (double& each : *tensor.base) each *= 8;
  auto scaled = run_rule(rule, tensor);
  for (double& each : scaled) each /= 8;
  EXPECT_EQ(scaled, once);
}

TEST_P(TaskVectorFamily, OneElementAndNoneAreMerged) {
  const Method& method = GetParam();
  Assignments member = {{"weight", 1.0}};
  if (method.sparsify == "magnitude" || method.sparsify == "outliers") {
    member.emplace_back("density", 0.2);  // of one element, one
  }
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    DriverTensor tensor{
        .shape = shape, .members = {{3.0}}, .base = {{1.0}}, .member_parameters = {member}};
    EXPECT_EQ(run_rule(find_merge_rule(method.name), tensor), std::vector<double>{3.0});
  }
  DriverTensor empty{.shape = {4, 0},
                     .members = {{}},
                     .base = std::vector<double>{},
                     .member_parameters = {member}};
  EXPECT_TRUE(run_rule(find_merge_rule(method.name), empty).empty());
}

INSTANTIATE_TEST_SUITE_P(Methods, TaskVectorFamily, ::testing::ValuesIn(kMethods),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace amalgam::testing

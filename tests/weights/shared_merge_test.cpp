// Processes that share a merge make the passes over a whole model together: each reads its part,
// and all come to the bits of one.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/memory.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/weights/engine.hpp"
#include "amalgam/weights/planner.hpp"
#include "tests/core/thread_cluster.hpp"

namespace amalgam {
namespace {

// The embedding is the same storage as the head, so that passes leave it out: it is called, and
// merged, like a tensor of its own.
std::shared_ptr<const TensorSource> model(std::uint64_t seed, bool positive) {
  std::vector<MemoryTensor> tensors;
  const std::map<std::string, Shape> shapes = {{"model.embed_tokens.weight", {900, 512}},
                                               {"model.layers.0.w.weight", {701, 512}},
                                               {"model.layers.1.w.weight", {701, 512}},
                                               {"model.norm.weight", {512}}};
  for (const auto& [name, shape] : shapes) {
    RandomStream random(seed, name);
    std::vector<double> values(element_count(shape, name));
    for (double& value : values) value = positive ? std::abs(random.normal()) : random.normal();
    tensors.push_back(make_tensor(name, shape, values));
  }
  MemoryTensor head = tensors.front();
  head.info.name = "lm_head.weight";
  tensors.push_back(std::move(head));
  return std::make_shared<MemorySource>("model " + std::to_string(seed), std::move(tensors));
}

MergePlan plan_of(const std::string& recipe) {
  static const std::map<std::string, std::shared_ptr<const TensorSource>> models = {
      {"base", model(0, false)},
      {"a", model(1, false)},
      {"b", model(2, false)},
      {"fa", model(3, true)},
      {"fb", model(4, true)}};
  MergePlan plan = plan_merge(
      parse_recipe(recipe, "r.yml")[0], [](const ModelReference& reference) -> OpenedModel {
        return {models.at(reference.path), {.layer_counts = {}, .tied_embeddings = true}};
      });
  EXPECT_TRUE(plan.tensors[1].tied) << plan.tensors[1].output.name;
  return plan;
}

struct Outcome {
  std::vector<std::vector<std::byte>> tensors;
  std::uint64_t bytes_read = 0;
};

Outcome contents(MemorySink& sink, const MergePlan& plan, std::uint64_t bytes_read) {
  Outcome outcome{{}, bytes_read};
  const auto made = sink.take("made");
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    std::vector<std::byte> bytes(plan.tensors[t].output.bytes);
    made->read_bytes(t, 0, bytes);
    outcome.tensors.push_back(std::move(bytes));
  }
  return outcome;
}

Outcome merge(const MergePlan& plan, std::size_t processes, std::uint64_t memory) {
  MemorySink sink(outputs_of(plan));
  std::atomic<std::uint64_t> read = 0;
  const auto run = [&](WorkShare share) {
    EngineOptions options;
    // Processes may have more or less memory and threads.
    options.parallel = {1 + share.rank % 2, Runner::std_thread};
    options.memory = memory + 100'000'000 * share.rank;
    options.share = share;
    read += run_merge(plan, sink, options).bytes_read;
  };
  if (processes == 1) {
    run({});
  } else {
    run_cluster(processes, [&](Cluster& cluster) {
      run({cluster.rank(), cluster.size(), &cluster});
    });
  }
  return contents(sink, plan, read);
}

class SharedMerge : public ::testing::TestWithParam<std::string> {};

TEST_P(SharedMerge, GivesTheBitsOfOneProcessAndReadsNothingTwice) {
  const MergePlan plan =
      plan_of("base_model: base\nmodels:\n- {model: a, parameters: {weight: 0.7" + GetParam());
  for (const std::uint64_t memory : {64'000'000, 900'000'000}) {
    const Outcome alone = merge(plan, 1, memory);
    for (const std::size_t processes : {2U, 3U}) {
      const Outcome shared = merge(plan, processes, memory);
      EXPECT_EQ(shared.tensors, alone.tensors) << processes;
      EXPECT_LE(shared.bytes_read, alone.bytes_read + alone.bytes_read / 50) << processes;
    }
  }
}

// The rest of the models' parameters, and the method.
INSTANTIATE_TEST_SUITE_P(
    RulesOfModelScope, SharedMerge,
    ::testing::Values(
        "}}\n- {model: b, parameters: {weight: 0.4}}\nmerge_method: ties\n"
        "parameters: {density: 0.3, dialect: paper}\n",
        "}}\n- {model: b, parameters: {weight: 0.4}}\nmerge_method: dare_ties\n"
        "parameters: {density: 0.3, trim_density: 0.2, scope: model, rescale: true}\n",
        "}}\n- {model: b, parameters: {weight: 0.4}}\nmerge_method: dare_ties\n"
        "parameters: {density: 0.3, dialect: paper}\n",
        "}}\n- {model: b, parameters: {weight: 0.4}}\nmerge_method: breadcrumbs\n"
        "parameters: {density: 0.3, gamma: 0.1, scope: model, rescale: l2}\n",
        "}}\n- {model: b, parameters: {weight: 0.4}}\nmerge_method: della\n"
        "parameters: {density: 0.6, scope: model, zero_sign: majority}\n"));

TEST(SharedMergeOfModels, RulesOfOtherStatisticsToo) {
  const std::vector<std::string> recipes = {
      "merge_method: fisher\nmodels:\n- {model: a, parameters: {fisher: fa}}\n"
      "- {model: b, parameters: {fisher: fb}}\n",
      "merge_method: geometric_median\nmodels: [{model: base}, {model: a}, {model: b}]\n",
      "merge_method: multi_krum\nmodels: [{model: base}, {model: a}, {model: b}]\n"
      "parameters: {f: 0}\n",
      "merge_method: flag\nbase_model: base\nmodels: [{model: a}, {model: b}]\n"};
  for (const std::string& recipe : recipes) {
    const MergePlan plan = plan_of(recipe);
    const Outcome alone = merge(plan, 1, 64'000'000);
    const Outcome shared = merge(plan, 3, 64'000'000);
    EXPECT_EQ(shared.tensors, alone.tensors) << recipe;
    EXPECT_LE(shared.bytes_read, alone.bytes_read + alone.bytes_read / 50) << recipe;
  }
}

}  // namespace
}  // namespace amalgam

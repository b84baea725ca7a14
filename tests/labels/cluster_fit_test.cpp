#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "tests/core/thread_cluster.hpp"
#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

struct Method {
  const char* name;
  std::vector<std::string> parameters;
};

class ClusterFit : public ::testing::TestWithParam<Method> {};

// Five leaves of tasks, over processes of which some have one and some two.
TEST_P(ClusterFit, GivesEveryProcessTheBitsOfOne) {
  const AnnotationTable table =
      RandomAnnotations{.tasks = 36'000, .workers = 12, .classes = 2, .votes = 3}.table();
  const Method& method = GetParam();
  const LabelFit alone = fit_labels(method.name, table, method.parameters);
  for (const std::size_t processes : {2U, 3U}) {
    std::mutex mutex;
    run_cluster(processes, [&](Cluster& cluster) {
      FitContext context;
      context.cluster = &cluster;
      const LabelFit together = fit_labels(method.name, table, method.parameters, context);
      const std::scoped_lock lock(mutex);
      EXPECT_EQ(together.posterior.values, alone.posterior.values);
      EXPECT_EQ(together.skills, alone.skills);
      EXPECT_EQ(together.trace, alone.trace);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ClusterFit,
                         ::testing::Values(Method{"dawid-skene", {"iterations=4"}},
                                           Method{"one-coin-dawid-skene", {"iterations=4"}},
                                           Method{"zencrowd", {"iterations=4"}},
                                           Method{"mace", {"iterations=2", "restarts=2"}},
                                           Method{"glad", {"iterations=2", "inner_iterations=2"}},
                                           Method{"bcc", {"inference=variational", "iterations=3"}},
                                           Method{"weaver", {}},
                                           Method{"generative", {"iterations=3"}},
                                           Method{"majority-vote", {}}),
                         [](const auto& instance) {
                           std::string name = instance.param.name;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace amalgam::labels

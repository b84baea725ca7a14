#include "amalgam/labels/worker_report.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/labels/random_annotations.hpp"

namespace amalgam::labels {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Five good workers and some whose behaviour is known, on the same 120 tasks of three labels.
std::vector<WorkerReport> reports() {
  AnnotationBuilder builder;
  RandomStream random(3, "workers");
  const auto add = [&](std::size_t task, const char* worker, std::size_t label, std::int64_t time) {
    builder.add(builder.task(fmt::format("{:03}", task)), builder.worker(worker),
                builder.label(fmt::to_string(label)));
    builder.add_time(time);
  };
  for (std::size_t t = 0; t < 120; ++t) {
    const std::size_t truth = (t / 2) % 3;
    const auto now = static_cast<std::int64_t>(60 * t);
    for (const char* good : {"good1", "good2", "good3", "good4", "good5"}) {
      add(t, good, random.uniform() < 0.9 ? truth : random.below(3), now);
    }
    add(t, "constant", 1, now);
    add(t, "random", random.below(3), now);
    add(t, "liar", (truth + 1 + random.below(2)) % 3, now);
    add(t, "hasty", random.uniform() < 0.9 ? truth : random.below(3),
        static_cast<std::int64_t>(5 * t));
    add(t, "tired", t < 60 ? truth : random.below(3), now);
    const std::size_t copied = t % 10 == 0 ? (truth + 1) % 3 : truth;
    add(t, "twin1", copied, now);
    add(t, "twin2", copied, now);
  }
  return worker_reports(builder.finish("workers"));
}

// Workers in their order: constant, good1..5, hasty, liar, random, tired, twin1, twin2.
TEST(WorkerReports, FlagWhatEachOneDoes) {
  const auto all = reports();
  ASSERT_THAT(all, SizeIs(12));
  EXPECT_THAT(all[0].flags, Contains("constant"));
  for (std::size_t good = 1; good <= 5; ++good) EXPECT_THAT(all[good].flags, IsEmpty());
  EXPECT_THAT(all[6].flags, ElementsAre("fast"));
  EXPECT_THAT(all[7].flags, ElementsAre("adversarial"));
  EXPECT_THAT(all[8].flags, ElementsAre("random"));
  EXPECT_THAT(all[9].flags, ElementsAre("drifts"));
  EXPECT_THAT(all[10].flags, ElementsAre("copies twin2"));
  EXPECT_THAT(all[11].flags, ElementsAre("copies twin1"));
}

TEST(WorkerReports, MeasureTheDriftAndTheSpamScore) {
  const auto all = reports();
  ASSERT_TRUE(all[9].drift.has_value());
  EXPECT_GT(all[9].drift->first, 0.95);
  EXPECT_LT(all[9].drift->last, 0.6);
  EXPECT_LT(all[9].drift->z, -3);
  EXPECT_LT(all[0].spam_score, 0.01);
  EXPECT_LT(all[8].spam_score, 0.05);
  EXPECT_GT(all[1].spam_score, 0.5);
}

TEST(WorkerReports, DoNotJudgeWhoHasHardlyAnnotated) {
  const AnnotationTable table = make_table(std::vector<Triple>{
      {"t", "A", "x"}, {"t", "B", "y"}, {"t", "C", "y"}, {"u", "A", "x"}, {"u", "B", "y"}});
  const auto all = worker_reports(table);
  EXPECT_THAT(all[0].flags, IsEmpty());
  EXPECT_EQ(all[0].agreement, 0);
  EXPECT_EQ(all[0].compared, 2U);
  // On t the others of B are divided, on u there is one.
  EXPECT_EQ(all[1].compared, 1U);
  EXPECT_FALSE(all[0].drift.has_value());
}

}  // namespace
}  // namespace amalgam::labels

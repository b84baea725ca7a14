#include "amalgam/labels/multilabel.hpp"

#include <gmock/gmock.h>

namespace amalgam::labels {
namespace {

using ::testing::ElementsAre;

AnnotationTable pictures() {
  return make_table(std::vector<Triple>{{"p", "A", "cat"},
                                        {"p", "A", "dog"},
                                        {"p", "B", "cat"},
                                        {"p", "C", "dog"},
                                        {"q", "A", "sky"},
                                        {"q", "B", "sky"},
                                        {"q", "C", "cat"}});
}

TEST(RelevanceTable, HasAnAnswerOfEachWhoAnnotatedTheTask) {
  const AnnotationTable table = relevance_table(pictures(), 0);  // cat
  EXPECT_THAT(table.tasks, ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(table.workers, ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(table.labels, ElementsAre(1, 1, 0, 0, 0, 1));
  EXPECT_THAT(table.task_begins, ElementsAre(0, 3, 6));
}

TEST(BinaryRelevance, JudgesEachLabelByItself) {
  const SoftLabels soft = binary_relevance("standard", pictures(), {}, {});
  const double third = 1.0 / 3;
  // cat, dog, sky
  EXPECT_THAT(soft.values, ElementsAre(2 * third, 2 * third, 0, third, 0, 2 * third));
}

TEST(BinaryRelevance, KeepsLabelsThatAllGive) {
  const AnnotationTable table =
      make_table(std::vector<Triple>{{"p", "A", "x"}, {"p", "A", "y"}, {"p", "B", "x"}});
  const SoftLabels soft = binary_relevance("standard", table, {}, {});
  EXPECT_THAT(soft.values, ElementsAre(1, 0.5));
}

}  // namespace
}  // namespace amalgam::labels

#include "amalgam/labels/multilabel.hpp"

#include <gmock/gmock.h>

#include "amalgam/core/error.hpp"

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

TEST(EmptyAnswers, SayNoToEveryLabel) {
  const AnnotationTable table = make_table(std::vector<Triple>{{"p", "A", "cat"},
                                                               {"p", "B", "none"},
                                                               {"p", "C", "none"},
                                                               {"p", "C", "none"},
                                                               {"q", "A", "none"},
                                                               {"q", "B", "sky"}});
  std::uint64_t count = 0;
  const AnnotationTable answers = with_empty_answers(table, "none", count);
  EXPECT_EQ(count, 3U);  // C's twice is one
  ASSERT_EQ(answers.label_count(), 2U);
  EXPECT_THAT(relevance_table(answers, 0).labels, ElementsAre(1, 0, 0, 0, 0));  // cat
  EXPECT_THAT(relevance_table(answers, 1).labels, ElementsAre(0, 0, 0, 0, 1));  // sky
  const double third = 1.0 / 3;
  EXPECT_THAT(binary_relevance("standard", answers, {}, {}).values, ElementsAre(third, 0, 0, 0.5));
  // Left out, B and C would not have been there.
  with_empty_answers(table, "nobody", count);
  EXPECT_EQ(count, 0U);
}

TEST(EmptyAnswers, LeaveNumbersInTheirOrder) {
  std::uint64_t count = 0;
  const AnnotationTable answers = with_empty_answers(
      make_table(std::vector<Triple>{
          {"p", "A", "10"}, {"p", "A", "9"}, {"p", "B", "none"}, {"q", "A", "10"}}),
      "none", count);
  ASSERT_EQ(answers.label_count(), 2U);
  EXPECT_EQ(answers.label_names[0], "9");
  EXPECT_EQ(answers.label_names[1], "10");
  EXPECT_THAT(answers.labels, ElementsAre(0, 1, kNoLabel, 1));
}

TEST(EmptyAnswers, AreRefusedBesideALabelAndWithoutAny) {
  std::uint64_t count = 0;
  const auto refuses = [&](const std::vector<Triple>& triples, const char* message) {
    EXPECT_THAT([&] { with_empty_answers(make_table(triples), "none", count); },
                ::testing::ThrowsMessage<InputError>(::testing::HasSubstr(message)));
  };
  refuses({{"p", "A", "none"}, {"p", "B", "cat"}, {"q", "B", "cat"}, {"q", "B", "none"}},
          "task 'q': worker 'B' says that no label applies ('none'), and gives 'cat'");
  const AnnotationTable none =
      with_empty_answers(make_table(std::vector<Triple>{{"p", "A", "none"}}), "none", count);
  EXPECT_THAT([&] { binary_relevance("standard", none, {}, {}); },
              ::testing::ThrowsMessage<InputError>(
                  ::testing::HasSubstr("all annotations say that no label applies")));
}

}  // namespace
}  // namespace amalgam::labels

#include "amalgam/core/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "amalgam/core/parallel.hpp"

namespace amalgam {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(Progress, NeverCountsAndPrintsNothing) {
  ::testing::internal::CaptureStderr();
  Progress progress("merge", 1000, Progress::Unit::bytes, Progress::Mode::never);
  parallel_for({4, Runner::std_thread}, 1000, [&](std::size_t index, std::size_t) {
    progress.advance(1);
    if (index % 100 == 0) progress.describe("tensor " + std::to_string(index));
  });
  progress.finish();
  EXPECT_EQ(progress.done(), 1000U);
  EXPECT_GE(progress.seconds(), 0.0);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, AutomaticIsSilentWhereThereIsNoTerminal) {
  ::testing::internal::CaptureStderr();  // stderr is a file now
  {
    Progress progress("merge", 10, Progress::Unit::items, Progress::Mode::automatic);
    progress.advance(10);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, DrawsTheLastStateOnceAndEndsTheLine) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("merge", 2'000'000, Progress::Unit::bytes, Progress::Mode::always);
    progress.describe("h.0.weight");
    progress.advance(2'000'000);
    progress.finish();
    progress.finish();
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("merge [########################] 100% 2.00 MB"));
  EXPECT_THAT(text, EndsWith("\x1b[K\n"));
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(Progress, ItemsOfUnknownTotalHaveNoBar) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("scan", 0, Progress::Unit::items, Progress::Mode::always);
    progress.advance(3);
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("\rscan 3 ("));
  EXPECT_EQ(text.find('['), text.find("[K"));
}

TEST(Progress, MoreThanTheTotalIsStillAFullBar) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("merge", 10, Progress::Unit::items, Progress::Mode::always);
    progress.advance(25);
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("] 100% 25"));
}

}  // namespace
}  // namespace amalgam

#include "amalgam/core/error.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <type_traits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {
namespace {

TEST(Error, FormatsItsMessage) {
  EXPECT_STREQ(Error("{}: {} of {}", "a.gguf", 3, 4).what(), "a.gguf: 3 of 4");
  EXPECT_STREQ(InputError("tensor '{}'", "w").what(), "tensor 'w'");
}

TEST(Error, ATextAloneIsNotAFormat) {
  const std::string hostile = "tensor '{}{0}{:d}'";
  EXPECT_EQ(Error(hostile).what(), hostile);
  EXPECT_EQ(InputError(hostile).what(), hostile);
}

TEST(Error, TheFamilyHasOneRoot) {
  static_assert(std::is_base_of_v<Error, InputError>);
  static_assert(std::is_base_of_v<Error, Interrupted>);
  static_assert(!std::is_base_of_v<InputError, Interrupted>);
  EXPECT_THROW(throw InputError("x"), Error);
}

TEST(Interrupt, TheFlagIsSeenAndCleared) {
  set_interrupt(false);
  EXPECT_FALSE(interrupt_requested());
  EXPECT_NO_THROW(check_interrupt());
  set_interrupt(true);
  EXPECT_TRUE(interrupt_requested());
  EXPECT_THROW(check_interrupt(), Interrupted);
  set_interrupt(false);
  EXPECT_NO_THROW(check_interrupt());
}

TEST(Interrupt, ASignalSetsTheFlag) {
  for (const int number : {SIGINT, SIGTERM}) {
    set_interrupt(false);
    catch_interrupts();
    ASSERT_EQ(std::raise(number), 0);
    EXPECT_TRUE(interrupt_requested());
  }
  set_interrupt(false);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        catch_interrupts();
        std::raise(SIGTERM);
        std::raise(SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

TEST(Log, WritesToStderrWhatTheLevelAllows) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  log::warn("tensor '{}' differs", "w");
  log::debug("not shown by default");
  log::set_level(log::Level::silent);
  log::warn("silenced");
  log::set_level(log::Level::info);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text, "amalgam: warning: tensor 'w' differs\n");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace amalgam

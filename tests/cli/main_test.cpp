#include <gtest/gtest.h>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

TEST(CommandLine, SaysItsVersion) {
  const RunResult result = run_amalgam({"--version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "amalgam 0.1.0\n");
}

TEST(CommandLine, EveryCommandHasHelpWithAnExample) {
  const std::string overview = run_amalgam({"--help"}).out;
  for (const char* command : {"inspect", "diff", "convert", "merge"}) {
    EXPECT_NE(overview.find(command), std::string::npos) << command;
    const RunResult result = run_amalgam({command, "--help"});
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_EQ(result.err, "") << command;
    EXPECT_NE(result.out.find(std::string("amalgam ") + command + " "), std::string::npos)
        << command;
    EXPECT_NE(result.out.find("Example"), std::string::npos) << command;
  }
}

TEST(CommandLine, WithoutACommandShowsHelpAndFails) {
  const RunResult result = run_amalgam({});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("inspect"), std::string::npos);
}

TEST(CommandLine, SuggestsTheNearestCommand) {
  expect_bad_usage(run_amalgam({"inspekt", "x"}), "'inspekt'", "did you mean 'inspect'?");
}

TEST(CommandLine, UsageErrorsExitWith2AndPointToTheHelp) {
  expect_bad_usage(run_amalgam({"inspect"}), "amalgam inspect --help");
  expect_bad_usage(run_amalgam({"inspect", "x", "--no-such-option"}), "--no-such-option");
  expect_bad_usage(run_amalgam({"inspect", "x", "--threads", "0"}), "--threads");
  expect_bad_usage(run_amalgam({"inspect", "x", "--threads", "many"}), "--threads");
  expect_bad_usage(run_amalgam({"convert", "a", "b", "--dtype", "f16", "--quant", "q8_0"}),
                   "--quant");
}

TEST(CommandLine, AFullStdoutIsAFailureNotSilence) {
  const TemporaryFolder folder;
  const std::string path =
      write_safetensors(folder / "a.safetensors", {make_tensor("x", {2}, {1, 2})});
  const RunResult result = run_amalgam({"inspect", path, "--json"}, "/dev/full");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("stdout"), std::string::npos);
}

}  // namespace
}  // namespace amalgam

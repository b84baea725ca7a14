#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "amalgam/core/random.hpp"
#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What the program links, directly and through others.
std::string linked_libraries() {
  FILE* pipe = popen("ldd " AMALGAM_BINARY, "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run ldd");
  std::string libraries;
  char buffer[4096];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) libraries += buffer;
  if (pclose(pipe) != 0) throw std::runtime_error("ldd failed");
  return libraries;
}

// Integer programmes need a BLAS, which would be loaded at every start, and before the learning
// library says which of its kernels are right for this processor.
TEST(LinkedLibraries, HaveNeitherASolverNorABlas) {
  const std::string libraries = linked_libraries();
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  for (const char* name : {"Cbc", "Clp", "CoinUtils", "blas", "lapack", "libamalgam_integer"}) {
    EXPECT_THAT(libraries, Not(HasSubstr(name)));
  }
}

// Forty systems ordered at random by five tasks: more than dynamic programmes settle, so the order
// is proven only if the program finds its library for integer programmes.
TEST(LinkedLibraries, IntegerProgrammesAreLoadedWhereARankingNeedsThem) {
  const std::filesystem::path library =
      std::filesystem::path(AMALGAM_BINARY).parent_path().parent_path() / "lib" /
      "libamalgam_integer.so";
  if (!std::filesystem::exists(library)) GTEST_SKIP() << "built without AMALGAM_CBC";
  const TemporaryFolder folder;
  const std::string path = (folder / "table.csv").string();
  std::ofstream file(path);
  file << "system,a,b,c,d,e\n";
  RandomStream random(1, "random orders");
  for (int system = 0; system < 40; ++system) {
    file << "s" << system;
    for (int task = 0; task < 5; ++task) file << ',' << random.uniform();
    file << '\n';
  }
  file.close();
  const RunResult result = run_amalgam({"rank", path, "--method", "kemeny", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto certificate = result.json()["certificate"];
  EXPECT_TRUE(certificate["optimal"]);
  EXPECT_EQ(certificate["objective"], certificate["bound"]);
  EXPECT_EQ(result.json()["ranking"].size(), 40U);
}

}  // namespace
}  // namespace amalgam

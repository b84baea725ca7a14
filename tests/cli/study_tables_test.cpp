#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/cli/run_binary.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;

class StudyTables : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write_table(const std::string& name, int offset) const {
    std::ofstream file(path(name));
    file << "city,colour,price\n";
    for (int r = 0; r < 8; ++r) {
      file << "city" << (r + offset) % 5 << ",colour" << r * r % 3 << ',' << 10 * r + offset
           << '\n';
    }
    return path(name);
  }
  TemporaryFolder folder_;
};

TEST_F(StudyTables, OrderMattersToPositionsAndNotToABag) {
  const std::string a = write_table("a.csv", 0);
  const std::string b = write_table("b.csv", 2);
  const auto variation = [&](const std::string& encoder) {
    const RunResult result = run_amalgam({"study", "tables", a, b, "--property", "P1", "--encoder",
                                          encoder, "--permutations", "30", "--json"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.json()["properties"].size(), 1U);
    return result.json()["properties"][0]["measures"]["variation, columns"]["mean"].get<double>();
  };
  EXPECT_LT(variation("bag"), 1e-6);
  EXPECT_GT(variation("positional"), 1e-3);
}

TEST_F(StudyTables, ShowsAllPropertiesAndWritesAPage) {
  const RunResult result = run_amalgam(
      {"study", "tables", write_table("a.csv", 0), write_table("b.csv", 2), "--permutations", "10",
       "--samples", "10", "--neighbours", "3", "--bootstrap", "50", "--html", path("page.html")});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* id : {"P1 row order", "P2 ", "P3 ", "P4 ", "P5 ", "P6 ", "P7 ", "P8 "}) {
    EXPECT_THAT(result.out, HasSubstr(id));
  }
  // Eight rows are too few to look for dependencies in.
  EXPECT_THAT(result.out, HasSubstr("dependencies are looked for in 10 or more"));
  std::ifstream page(path("page.html"));
  const std::string html{std::istreambuf_iterator<char>(page), {}};
  EXPECT_THAT(html, HasSubstr("P8 heterogeneous context"));
  EXPECT_THAT(html, HasSubstr("<svg"));
}

TEST_F(StudyTables, VectorsOfAnotherModelAnswerTheRequests) {
  const std::string a = write_table("a.csv", 0);
  const std::string b = write_table("b.csv", 2);
  RunResult result = run_amalgam({"study", "tables", a, b, "--property", "P3", "--levels",
                                  "columns", "--requests", path("requests.jsonl")});
  ASSERT_EQ(result.code, 0) << result.err;
  // The two tables, and the two with rows shuffled.
  EXPECT_THAT(result.out, HasSubstr("4 tables to embed"));
  // Vectors of 12 columns: the first column of each table lies on one side, the others on another.
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (12, 2), }";
  header.resize(117, ' ');
  header += '\n';
  {
    std::ofstream file(path("columns.npy"), std::ios::binary);
    file << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(header.size()) << '\0' << header;
    for (int i = 0; i < 12; ++i) {
      const double vector[2]{i % 3 == 0 ? 1.0 : 0.0, i % 3 == 0 ? 0.0 : 1.0 + i};
      file.write(reinterpret_cast<const char*>(vector), sizeof(vector));
    }
  }
  result = run_amalgam(
      {"study", "tables", a, b, "--property", "P3", "--embeddings", path("columns.npy"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["properties"][0]["figures"]["pairs"]["value"], 9);
  result = run_amalgam(
      {"study", "tables", a, b, "--property", "P5", "--embeddings", path("columns.npy")});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("12 vectors of columns; the tables to be embedded have"));
}

TEST_F(StudyTables, TrainsAnEncoderThatSeesOrder) {
  const RunResult result = run_amalgam(
      {"study", "tables", write_table("a.csv", 0), write_table("b.csv", 2), "--property", "P1",
       "--encoder", "trained", "--steps", "5", "--permutations", "5", "--threads", "1", "--json"});
  if (result.code == 2 && result.err.find("learning library") != std::string::npos) {
    GTEST_SKIP() << "this build has no learning library";
  }
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.json()["encoder"], "trained");
  EXPECT_GT(result.json()["properties"][0]["measures"]["variation, columns"]["mean"].get<double>(),
            1e-7);
}

TEST_F(StudyTables, RefusesWhatItCannotStudy) {
  const std::string a = write_table("a.csv", 0);
  EXPECT_THAT(run_amalgam({"study", "tables", a, "--property", "P9"}).err,
              HasSubstr("no property 'P9'"));
  EXPECT_THAT(run_amalgam({"study", "tables", a, "--shares", "1.5"}).err,
              HasSubstr("expected a share above 0 and below 1"));
  std::ofstream(path("ragged.csv")) << "a,b\n1\n";
  const RunResult result = run_amalgam({"study", "tables", path("ragged.csv")});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("ragged.csv:2"));
}

}  // namespace
}  // namespace amalgam

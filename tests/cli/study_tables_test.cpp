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
  // The two tables, the two with rows shuffled, and the two with columns shuffled.
  EXPECT_THAT(result.out, HasSubstr("6 tables to embed"));
  // Vectors of 18 columns: the first column of each table lies on one side, the others on another.
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (18, 2), }";
  header.resize(117, ' ');
  header += '\n';
  {
    std::ofstream file(path("columns.npy"), std::ios::binary);
    file << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(header.size()) << '\0' << header;
    for (int i = 0; i < 18; ++i) {
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
  EXPECT_THAT(result.err, HasSubstr("18 vectors of columns; the tables to be embedded have"));
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

// Of the program's own encoders, hashed n-grams too cannot see order.
TEST_F(StudyTables, EmbedsByHashedNGramsAndTakesEntitiesFromAFile) {
  const std::string a = write_table("a.csv", 0);
  const std::string b = write_table("b.csv", 2);
  const auto run = [&](std::vector<std::string> options) {
    std::vector<std::string> words{"study",     "tables",      a,        b,
                                   "--encoder", "ngrams",      "--json", "--permutations",
                                   "20",        "--bootstrap", "0"};
    words.insert(words.end(), options.begin(), options.end());
    return run_amalgam(words);
  };
  const RunResult order = run({"--property", "P1,P3", "--out", path("figures.csv")});
  ASSERT_EQ(order.code, 0) << order.err;
  EXPECT_EQ(order.json()["encoder"], "ngrams");
  const std::string written = contents_of(path("figures.csv"));
  EXPECT_TRUE(written.starts_with("property,figure,tables,mean,low,high,")) << written;
  EXPECT_THAT(written, HasSubstr("\nP1,\"cosine, columns\",2,1,,,1,"));
  EXPECT_THAT(written, HasSubstr("\nP3,pairs,,9,,,,,,,,\n"));
  const auto properties = order.json()["properties"];
  EXPECT_GT(properties[0]["measures"]["cosine, columns"]["mean"].get<double>(), 1 - 1e-6);
  const auto figures = properties[1]["figures"];
  EXPECT_GT(figures["Spearman, jaccard"]["value"].get<double>(), 0.5);
  EXPECT_EQ(figures["Spearman, jaccard, columns shuffled"], figures["Spearman, jaccard"]);

  // Both embedders are the same: neighbours agree, and every cell is its own nearest one.
  {
    std::ofstream file(path("entities.csv"));
    file << "table,row,column,entity\n";
    for (int r = 1; r <= 6; ++r) file << "a," << r << ",city,place" << r % 2 << '\n';
    file << "a,99,city,beyond the rows that were read\n";
  }
  const std::vector<std::string> options{
      "--property",   "P6",    "--against",  "ngrams",
      "--neighbours", "1,5,6", "--entities", path("entities.csv")};
  const RunResult others = run(options);
  ASSERT_EQ(others.code, 0) << others.err;
  const auto found = others.json()["properties"][0];
  EXPECT_EQ(found["figures"]["cells"]["value"], 6);
  EXPECT_EQ(found["measures"]["common entities, k = 5"]["mean"], 1);
  EXPECT_THAT(found["notes"].dump(), HasSubstr("6 neighbours: there are 5 other cells"));
  const RunResult several = run({"--property", "P6", "--against", "bag,ngrams", "--neighbours", "3",
                                 "--html", path("page.html")});
  ASSERT_EQ(several.code, 0) << several.err;
  const auto pairs = several.json()["properties"][0]["pairs"];
  ASSERT_EQ(pairs.size(), 3U);
  EXPECT_EQ(pairs[0]["first"], "ngrams");
  EXPECT_EQ(pairs[0]["second"], "bag");
  EXPECT_EQ(pairs[1]["overlap"], 1) << "with itself";
  EXPECT_EQ(pairs[2]["overlap"], pairs[0]["overlap"]);
  EXPECT_THAT(contents_of(path("page.html")), HasSubstr("Common neighbours of every two"));
  std::vector<std::string> with_self = options;
  with_self.emplace_back("--include-self");
  EXPECT_TRUE(run(with_self).json()["properties"][0]["notes"].empty());

  std::ofstream(path("entities.csv")) << "table,row,column,entity\na,0,city,x\n";
  const RunResult refused = run(options);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("entities.csv:2:3: row '0'; expected a whole number"));
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

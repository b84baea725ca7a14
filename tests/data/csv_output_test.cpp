#include "amalgam/data/csv_output.hpp"

#include <gtest/gtest.h>

#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

TEST(CsvOutput, PartsFieldsAsTheNameSays) {
  const TemporaryFolder folder;
  for (const auto& [name, expected] : {std::pair{"a.csv", "name,value\n\"x,y\",0.1\n"},
                                       std::pair{"a.tsv", "name\tvalue\nx,y\t0.1\n"},
                                       std::pair{"a.tab", "name\tvalue\nx,y\t0.1\n"}}) {
    CsvOutput output(folder / name);
    output.field("name").field("value").end();
    output.field("x,y").field(0.1).end();
    output.commit();
    EXPECT_EQ(contents_of(folder / name), expected) << name;
  }
}

TEST(CsvOutput, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  {
    CsvOutput output(folder / "a.csv");
    output.field("x").end();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace amalgam

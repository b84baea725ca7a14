#include "amalgam/data/text_output.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "amalgam/core/error.hpp"
#include "amalgam/data/line_reader.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

class TextOutputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string text(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

TEST_F(TextOutputTest, IsThereWholeOrNotAtAll) {
  std::ofstream(folder_ / "a") << "before";
  {
    TextOutput output(folder_ / "a");
    output.write("half");
  }
  EXPECT_EQ(text("a"), "before");
  EXPECT_EQ(files(), 1U);
  TextOutput output(folder_ / "a");
  output.write(std::string(3'000'000, 'x'));
  EXPECT_EQ(text("a"), "before");
  output.commit();
  EXPECT_EQ(text("a").size(), 3'000'000U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(TextOutputTest, ReplacesWhatALinkLeadsTo) {
  std::ofstream(folder_ / "a") << "before";
  fs::create_symlink("a", folder_ / "link");
  TextOutput output(folder_ / "link");
  output.write("after");
  output.commit();
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(text("a"), "after");
}

TEST_F(TextOutputTest, WritesToDevicesAndSaysThatTheyAreFull) {
  TextOutput output("/dev/full");
  EXPECT_THROW(
      {
        output.write("x");
        output.commit();
      },
      Error);
  EXPECT_FALSE(fs::is_regular_file("/dev/full"));
}

TEST_F(TextOutputTest, RefusesFoldersAndPlacesThatAreNotThere) {
  EXPECT_THROW(TextOutput output(folder_), InputError);
  EXPECT_THROW(TextOutput output(folder_ / "no" / "where"), InputError);
}

TEST(AppendCsvField, QuotesWhatNeedsIt) {
  const auto field = [](std::string_view text, char separator = ',') {
    std::string line;
    append_csv_field(line, text, separator);
    return line;
  };
  EXPECT_EQ(field("plain text"), "plain text");
  EXPECT_EQ(field("a,b"), "\"a,b\"");
  EXPECT_EQ(field("a,b", '\t'), "a,b");
  EXPECT_EQ(field("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(field("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(field(" spaced"), "\" spaced\"");
  EXPECT_EQ(field(""), "");
}

TEST(AppendNumber, ReadsBackAsTheSameDouble) {
  std::string line;
  append_number(line, 0.1);
  EXPECT_EQ(line, "0.1");
}

TEST_F(TextOutputTest, LinesAreReadBackOneByOne) {
  std::ofstream(folder_ / "lines", std::ios::binary) << "first\r\n\n"
                                                     << std::string(200'000, 'y') << "\nlast";
  LineReader reader(folder_ / "lines");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), "first");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), "");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line().size(), 200'000U);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), "last");
  EXPECT_TRUE(reader.place().ends_with("lines:4"));
  EXPECT_FALSE(reader.next());
  LineReader narrow(folder_ / "lines", 1000);
  narrow.next();
  narrow.next();
  EXPECT_THROW(narrow.next(), InputError);
  EXPECT_THROW(LineReader(folder_ / "missing"), InputError);
}

}  // namespace
}  // namespace amalgam

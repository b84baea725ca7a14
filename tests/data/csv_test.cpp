#include "amalgam/data/csv.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

using Records = std::vector<std::vector<std::string>>;

CsvReader reader_of(std::string bytes, CsvOptions options = {}, std::size_t piece = 1000) {
  const auto source = [bytes = std::move(bytes), piece,
                       done = std::size_t{0}](std::span<char> out) mutable {
    const std::size_t count = std::min({out.size(), bytes.size() - done, piece});
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(done), count, out.begin());
    done += count;
    return count;
  };
  return {source, "t.csv", options};
}

Records read_all(CsvReader reader) {
  Records records;
  while (reader.next()) records.emplace_back(reader.fields().begin(), reader.fields().end());
  return records;
}

Records read(const std::string& bytes) { return read_all(reader_of(bytes)); }

TEST(CsvReader, ReadsPlainRecords) {
  EXPECT_EQ(read("a,b\n1,\n,2"), (Records{{"a", "b"}, {"1", ""}, {"", "2"}}));
  EXPECT_EQ(read("a,b\r\n1,2\r\n"), (Records{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(read(""), Records{});
  EXPECT_EQ(read("\n\r\n\na\n\n\nb\n\r\n\r"), (Records{{"a"}, {"b"}}));
  EXPECT_EQ(read("a\rb,c"), (Records{{"a\rb", "c"}}));
  EXPECT_EQ(read("\xEF\xBB\xBFx,y\n"), (Records{{"x", "y"}}));
  EXPECT_EQ(read_all(reader_of("a\tb,c\n", {.separator = '\t'})), (Records{{"a", "b,c"}}));
}

TEST(CsvReader, ReadsQuotedFields) {
  EXPECT_EQ(read("\"a,b\",\"c\"\"d\",\"\"\r\n\"e\nf\",g"),
            (Records{{"a,b", "c\"d", ""}, {"e\nf", "g"}}));
  EXPECT_EQ(read("\"\"\"\"\"\",\"x\""), (Records{{"\"\"", "x"}}));
  EXPECT_EQ(read("5\" disk,a\"b\n"), (Records{{"5\" disk", "a\"b"}}));
  // Two doubled ones in a record: the first stays valid when the second is made.
  EXPECT_EQ(read("\"" + std::string(3000, 'x') + "\"\"\",\"y\"\"\""),
            (Records{{std::string(3000, 'x') + "\"", "y\""}}));
}

TEST(CsvReader, KnowsItsPlaces) {
  CsvReader reader = reader_of("a,b\n\n\"x\ny\",\"1\"\"\",zz\n7,8\n");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 1U);
  EXPECT_EQ(reader.place(1), "t.csv:1:3");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 3U);
  EXPECT_EQ(reader.place(0), "t.csv:3:1");
  EXPECT_EQ(reader.place(1), "t.csv:4:4");
  EXPECT_EQ(reader.place(2), "t.csv:4:10");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.place(1), "t.csv:5:3");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST(CsvReader, RefusesWhatIsNoTableAndSaysWhere) {
  expect_error<InputError>([] { read("a,b\nc,\"d\n\n"); }, "t.csv:2:3: a quoted field begins here");
  expect_error<InputError>([] { read("a\n\"b\"c\n"); }, "t.csv:2:4: 'c' after the closing quote");
  expect_error<InputError>([] { read("a\n\"b\"\rc\n"); }, "t.csv:2:4: '\\x0d'");
  expect_error<InputError>(
      [] { read_all(reader_of("a\n" + std::string(30, 'x') + "\n", {.longest_record = 20})); },
      "t.csv:2: a record of more than 20 bytes");
  expect_error<InputError>([] { read_all(reader_of("a,b\n1,2,3", {.most_fields = 2})); },
                           "t.csv:2:5: more than 2 fields");
  expect_error<InputError>([] { CsvReader::open("/nowhere/t.csv"); }, "/nowhere/t.csv", "opened");
  const TemporaryFolder folder;
  expect_error<InputError>([&] { CsvReader::open(folder.path()); }, "cannot be opened");
}

TEST(CsvReader, TakesTheSeparatorFromTheName) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_all(CsvReader::open(folder.write("a.tsv", "a\tb,c"))), (Records{{"a", "b,c"}}));
  EXPECT_EQ(read_all(CsvReader::open(folder.write("a.csv", "a\tb,c"))), (Records{{"a\tb", "c"}}));
}

TEST(CsvHeader, NamesColumnsOnce) {
  const auto header = [](const std::string& bytes) {
    CsvReader reader = reader_of(bytes);
    return read_csv_header(reader);
  };
  EXPECT_EQ(header("a,\"b c\"\n1,2"), (std::vector<std::string>{"a", "b c"}));
  expect_error<InputError>([&] { header(""); }, "t.csv: empty");
  expect_error<InputError>([&] { header("a,,b"); }, "t.csv:1:3: column 2 has no name");
  expect_error<InputError>([&] { header("a,b,a"); }, "t.csv:1:5: a second column 'a'");
  expect_error<InputError>([&] { header("a,\xFF"); }, "not UTF-8");
}

// Whatever is written by the rules is read back, however the bytes arrive.
RC_GTEST_PROP(CsvReader, ReadsBackWhatWasWritten, ()) {
  const auto text = rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab,\"\n\r x")));
  const auto width = *rc::gen::inRange<std::size_t>(1, 5);
  const auto records =
      *rc::gen::container<Records>(rc::gen::container<std::vector<std::string>>(width, text));
  std::string bytes;
  for (const auto& record : records) {
    for (std::size_t i = 0; i < record.size(); ++i) {
      bytes += i > 0 ? ",\"" : "\"";
      for (const char c : record[i]) bytes += c == '"' ? std::string("\"\"") : std::string(1, c);
      bytes += '"';
    }
    bytes += *rc::gen::elementOf(std::vector<std::string>{"\n", "\r\n"});
  }
  const auto piece = *rc::gen::inRange<std::size_t>(1, 9);
  RC_ASSERT(read_all(reader_of(bytes, {}, piece)) == records);
}

TEST(CsvReader, ReadsFilesLongerThanItsBuffer) {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += std::to_string(i) + ",\"a\"\"b\",c\n";
  bytes += "\"" + std::string(2'000'000, 'q') + "\",x,y\n1,2,3";
  CsvReader reader = reader_of(bytes, {}, 100'000);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(reader.next());
    ASSERT_EQ(reader.fields()[0], std::to_string(i));
    ASSERT_EQ(reader.fields()[1], "a\"b");
    ASSERT_EQ(reader.line(), static_cast<std::uint64_t>(i + 1));
  }
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.fields()[0].size(), 2'000'000U);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.fields()[2], "3");
  EXPECT_EQ(reader.place(2), "t.csv:100002:5");
}

}  // namespace
}  // namespace amalgam

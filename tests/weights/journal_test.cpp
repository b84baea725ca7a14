#include "amalgam/weights/journal.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "amalgam/checkpoint/checksum.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/merge_identity.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// A journal whose beginning has a right checksum, whatever it says.
void write_journal(const std::filesystem::path& path, const std::string& identity) {
  std::string bytes = "AMALGAMJ";
  put(bytes, std::uint32_t{1});
  put(bytes, static_cast<std::uint32_t>(identity.size()));
  bytes += identity;
  put(bytes, checksum_of(std::as_bytes(std::span(bytes))));
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(MergeJournal, WhatIsNoIdentityIsNoBeginning) {
  const TemporaryFolder folder;
  for (const char* identity : {"{\"version\":", "[1]", "3", ""}) {
    write_journal(folder.path() / "journal.0", identity);
    EXPECT_FALSE(FinishedWork::read(folder.path()).has_value()) << identity;
  }
  write_journal(folder.path() / "journal.0", R"({"version":"1"})");
  EXPECT_TRUE(FinishedWork::read(folder.path()).has_value());
}

TEST(MergeJournal, ABeginningThatIsNoneIsMadeAnew) {
  const TemporaryFolder folder;
  write_journal(folder.path() / "journal.0", "[1]");
  const nlohmann::ordered_json identity = {{"version", "1"}};
  MergeJournal(folder.path(), 0, identity).record(0, {.tensor = 2, .number = 7}, 99);
  const auto work = FinishedWork::read(folder.path());
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->identity(), identity);
  EXPECT_EQ(work->find(0, {.tensor = 2, .number = 7}), 99);
}

TEST(MergeJournal, IdentitiesOfAnotherFormAreAnotherMerge) {
  const nlohmann::ordered_json expected = {
      {"version", "1"}, {"recipe", "r"}, {"options", 1}, {"inputs", {{{"path", "a"}}}}};
  for (const char* inputs : {"[1]", "[{}]", "[[]]", "{}", "null", R"([{"path":3}])"}) {
    nlohmann::ordered_json found = expected;
    found["inputs"] = nlohmann::ordered_json::parse(inputs);
    EXPECT_THROW(check_same_merge(found, expected, "out"), InputError) << inputs;
  }
}

}  // namespace
}  // namespace amalgam

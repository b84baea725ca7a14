// Warnings of networks that are good by themselves and bad on average.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/learned_merge_fixture.hpp"

namespace amalgam {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Two networks that compute the same with their hidden units in another order: each is always
// right, and their average cannot tell two quarters apart.
class Barrier : public LearnedMergeCommand {
 protected:
  void SetUp() override {
    LearnedMergeCommand::SetUp();
    if (IsSkipped()) return;
    write_network("straight", {0, 1, 2, 3});
    write_network("crossed", {1, 0, 3, 2});
  }

  // Hidden unit u sees the quarter `order[u]` of the image, which speaks for the class of that
  // number; the other four units see nothing.
  void write_network(const std::string& name, const std::array<std::size_t, 4>& order) const {
    std::vector<float> hidden(8 * 64, 0.0F);
    std::vector<float> last(4 * 8, 0.0F);
    for (std::size_t unit = 0; unit < order.size(); ++unit) {
      for (std::size_t pixel = 0; pixel < 64; ++pixel) {
        const bool sees = pixel / 32 == order[unit] / 2 && pixel % 8 / 4 == order[unit] % 2;
        hidden[unit * 64 + pixel] = sees ? 0.1F : 0.0F;
      }
      last[order[unit] * 8 + unit] = 1;
    }
    std::string bytes = contents_of(member("base"));
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const json tensors = json::parse(bytes.substr(sizeof header, header));
    const auto put = [&](const char* tensor, const std::vector<float>& values) {
      const std::size_t begin = tensors.at(tensor).at("data_offsets")[0];
      std::memcpy(bytes.data() + sizeof header + header + begin, values.data(),
                  values.size() * sizeof(float));
    };
    put("layers.0.weight", hidden);
    put("layers.0.bias", std::vector<float>(8, 0.0F));
    put("layers.1.weight", last);
    put("layers.1.bias", std::vector<float>(4, 0.0F));
    std::ofstream(member(name), std::ios::binary) << bytes;
  }
};

TEST_F(Barrier, GreedySoupsWarnOfItWithTheNumbers) {
  const auto soup = [&](const std::string& first, const std::string& second) {
    return succeed({"merge", "-m", "greedy_soup", member(first), member(second), "--data",
                    path("data"), "--json", "-o", path(first + "_soup.safetensors")});
  };
  const RunResult warned = soup("straight", "crossed");
  EXPECT_THAT(warned.err, HasSubstr("crossed.safetensors: 100.00 % alone and the soup without it"
                                    " 100.00 %, but "));
  EXPECT_THAT(warned.err, HasSubstr("it may not share the others' start"));
  const json found = json::parse(warned.out);
  EXPECT_EQ(found["ingredients"], json{member("straight")});
  EXPECT_LT(found["trials"][1]["score"].get<double>(), .7);
  EXPECT_THAT(soup("a", "b").err, Not(HasSubstr("share")));
}

TEST_F(Barrier, StudiesOfSoupsWarnOfItWithTheNumbers) {
  const auto study = [&](const std::string& first, const std::string& second) {
    return succeed({"study", "soup", member("base"), member(first), member(second), "--data",
                    path("data"), "--split", "test", "--json"});
  };
  const RunResult warned = study("straight", "crossed");
  EXPECT_THAT(warned.err, HasSubstr("straight.safetensors and "));
  EXPECT_THAT(warned.err, HasSubstr("crossed.safetensors: 0.0 % wrong at most, their average "));
  EXPECT_THAT(warned.err, HasSubstr("they do not lie in one basin"));
  const json pair = json::parse(warned.out)["pairs"][0];
  EXPECT_GT(pair["middle_error"].get<double>(), .3);
  EXPECT_THAT(study("a", "b").err, Not(HasSubstr("basin")));
}

}  // namespace
}  // namespace amalgam

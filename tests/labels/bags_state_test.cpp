#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/bags/bag_state_file.hpp"
#include "amalgam/labels/bags/linear_model.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::labels {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr std::size_t kBags = 40;

// Bags [first, last) of 40, of three rows with two features each.
struct Part {
  BagData data;
  StringPool names;
};

Part part(std::size_t first, std::size_t last) {
  Part made;
  made.data.features = 2;
  std::vector<std::uint32_t> bag_of_row;
  for (std::size_t bag = first; bag < last; ++bag) {
    RandomStream random(bag, "bag of a state");
    for (int row = 0; row < 3; ++row) {
      made.data.x.push_back(100 + random.normal());
      made.data.x.push_back(random.normal());
      bag_of_row.push_back(static_cast<std::uint32_t>(bag - first));
    }
    made.data.responses.push_back(random.normal());
    made.names.add(fmt::format("bag {}", bag));
  }
  made.data.bags = bags_of(bag_of_row, last - first);
  return made;
}

BagStates states_of(const Part& made, std::size_t folds = 4) {
  return bag_states(made.data, {"dose", "age"}, made.names, folds);
}

class BagStateFile : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_ / "state.safetensors"; }
  TemporaryFolder folder_;
};

TEST_F(BagStateFile, IsReadAsItWasWritten) {
  const BagStates states = states_of(part(0, 5), 8);  // some folds have no bag
  write_bag_states(path(), states);
  const BagStates again = read_bag_states(path());
  EXPECT_EQ(again.features, states.features);
  EXPECT_EQ(again.bags, states.bags);
  ASSERT_EQ(again.folds.size(), 8U);
  for (std::size_t fold = 0; fold < 8; ++fold) {
    EXPECT_EQ(again.folds[fold].rows(), states.folds[fold].rows());
    EXPECT_EQ(again.folds[fold].mean(), states.folds[fold].mean());
    EXPECT_EQ(again.folds[fold].within(), states.folds[fold].within());
    EXPECT_EQ(again.folds[fold].between(true), states.folds[fold].between(true));
    EXPECT_EQ(again.folds[fold].cross(true), states.folds[fold].cross(true));
    EXPECT_EQ(again.folds[fold].response_square(true), states.folds[fold].response_square(true));
  }
}

TEST_F(BagStateFile, OfPartsCombinedIsThatOfAllBagsFoldByFold) {
  BagStates states = states_of(part(0, 7));
  combine_states(states, states_of(part(7, 31)), "a", "b");
  combine_states(states, states_of(part(31, kBags)), "a", "c");
  const BagStates whole = states_of(part(0, kBags));
  EXPECT_EQ(states.bags, whole.bags);
  for (std::size_t fold = 0; fold < 4; ++fold) {
    EXPECT_EQ(states.folds[fold].bags(), whole.folds[fold].bags());
    EXPECT_GT(whole.folds[fold].bags(), 2U);
    EXPECT_THAT(states.folds[fold].within(),
                Pointwise(DoubleNear(1e-9), whole.folds[fold].within()));
    EXPECT_THAT(states.folds[fold].between(true),
                Pointwise(DoubleNear(1e-9), whole.folds[fold].between(true)));
  }
  const LinearBagOptions options{.rho = 0.3};
  EXPECT_THAT(fit_linear(states.all(), options).coefficients,
              Pointwise(DoubleNear(1e-10),
                        fit_linear(state_of_bags(part(0, kBags).data), options).coefficients));
}

TEST_F(BagStateFile, RefusesWhatCannotBeJoinedAndChangesNothing) {
  BagStates states = states_of(part(0, 10));
  EXPECT_THAT(error_of([&] { combine_states(states, states_of(part(9, 12)), "a", "b"); }),
              HasSubstr("b: 1 of its bags are in a too"));
  EXPECT_THAT(error_of([&] { combine_states(states, states_of(part(20, 30), 5), "a", "b"); }),
              HasSubstr("b: 5 folds, but a has 4"));
  BagStates others = states_of(part(20, 30));
  others.features[1] = "weight";
  EXPECT_THAT(error_of([&] { combine_states(states, std::move(others), "a", "b"); }),
              HasSubstr("b: feature 2 is 'weight', but in a it is 'age'"));
  EXPECT_EQ(states.all().bags(), 10U);
  EXPECT_EQ(states.bags.size(), 10U);
}

TEST_F(BagStateFile, RefusesFilesThatAreNoneOrDoNotFitTogether) {
  write_bag_states(path(), states_of(part(0, 10)));
  std::string bytes;
  {
    std::ifstream file(path(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  // Numbers of each column's name in the header are places: a shifted one mixes up columns.
  const auto damaged = [&](std::size_t at, char byte) {
    std::string changed = bytes;
    changed.at(at) = byte;
    std::ofstream(path(), std::ios::binary) << changed;
    return error_of([&] { read_bag_states(path()); });
  };
  // Bags are numbers of 8 bytes, of which the highest are 0.
  const std::string name = "\"bags\":{\"dtype\":\"U64\",\"shape\":[4],\"data_offsets\":[";
  const std::size_t found = bytes.find(name);
  ASSERT_NE(found, std::string::npos);
  const std::size_t header =
      8 + static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
  const std::size_t begin = header + std::stoul(bytes.substr(found + name.size()));
  EXPECT_THAT(damaged(begin + 1, '\x7F'), HasSubstr("expected at least one row in each bag"));
  EXPECT_THAT(damaged(begin + 6, '\x7F'), HasSubstr("state.safetensors"));
  std::ofstream(path(), std::ios::binary) << "nothing";
  EXPECT_THAT(error_of([&] { read_bag_states(path()); }), HasSubstr("state.safetensors"));
  EXPECT_THAT(error_of([&] { write_bag_states(folder_ / "state.csv", states_of(part(0, 3))); }),
              HasSubstr("ends in .safetensors"));
}

TEST(BagStates, AreOfOneToManyFolds) {
  EXPECT_THAT(error_of([] { states_of(part(0, 3), 0); }), HasSubstr("0 folds of bags"));
  EXPECT_THAT(error_of([] { states_of(part(0, 3), 1001); }), HasSubstr("1001 folds of bags"));
}

}  // namespace
}  // namespace amalgam::labels

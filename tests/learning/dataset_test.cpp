#include "amalgam/learning/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/error_of.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

using testing::HasSubstr;

TEST(Dataset, JoinedKeepsTheOrderAndWhatTheFirstPartIs) {
  Dataset first = toy_data(3, 1);
  first.head = "corner";
  Dataset second = toy_data(2, 2);
  second.source = "other";
  const Dataset all = joined(std::array{first, second});
  EXPECT_EQ(all.count(), 5);
  EXPECT_EQ(all.source, "toy");
  EXPECT_EQ(all.head, "corner");
  EXPECT_EQ(all.class_names, first.class_names);
  EXPECT_TRUE(torch::equal(all.range(0, 3).inputs, first.inputs));
  EXPECT_TRUE(torch::equal(all.range(3, 2).inputs, second.inputs));
  EXPECT_TRUE(torch::equal(all.labels.slice(0, 3), second.labels));
}

TEST(Dataset, RefusesToJoinExamplesOfOtherKinds) {
  const Dataset images = toy_data(3, 1);
  Dataset larger = images;
  larger.source = "larger";
  larger.inputs = torch::zeros({3, 1, 8, 6});
  EXPECT_THAT(error_of([&] {
                (void)joined(std::array{images, larger});
              }),
              HasSubstr("toy and larger: examples of shape [1, 6, 6] and [1, 8, 6]"));
  Dataset doubles = images;
  doubles.inputs = images.inputs.to(torch::kDouble);
  EXPECT_THAT(error_of([&] { (void)joined(std::array{images, doubles}); }), HasSubstr("joined"));
  EXPECT_THAT(error_of([] { (void)joined(std::vector<Dataset>()); }), HasSubstr("no data sets"));
}

}  // namespace
}  // namespace amalgam::learning

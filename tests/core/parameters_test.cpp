#include "amalgam/core/parameters.hpp"

#include <gmock/gmock.h>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<ParameterInfo> infos() {
  return {{.name = "tolerance",
           .kind = ParameterInfo::Kind::number,
           .default_value = 1e-5,
           .low = 0,
           .low_open = true},
          {.name = "rounds",
           .kind = ParameterInfo::Kind::integer,
           .default_value = 100.0,
           .low = 1,
           .high = 1000},
          {.name = "start",
           .kind = ParameterInfo::Kind::choice,
           .optional = true,
           .choices = {"votes", "uniform"}}};
}

Parameters parsed(const std::vector<std::string>& arguments) {
  return parameters_from_arguments("em", infos(), arguments);
}

TEST(ParametersFromArguments, FillsDefaultsAndKeepsWhatIsOptionalAbsent) {
  const Parameters parameters = parsed({"rounds=7"});
  EXPECT_EQ(parameters.number("rounds"), 7);
  EXPECT_EQ(parameters.number("tolerance"), 1e-5);
  EXPECT_FALSE(parameters.has("start"));
  EXPECT_EQ(parsed({"start=votes"}).text("start"), "votes");
}

TEST(ParametersFromArguments, SaysWhatIsWrongAndWhatIsExpected) {
  const auto fails = [](std::vector<std::string> arguments, const char* message) {
    EXPECT_THAT([&] { parsed(arguments); }, ThrowsMessage<InputError>(HasSubstr(message)));
  };
  fails({"rounds=0"},
        "parameter 'rounds' of method 'em' is 0; expected a whole number in [1, 1000]");
  fails({"rounds=1.5"}, "expected a whole number");
  fails({"tolerance=0"}, "expected a number above 0");
  fails({"tolerance=nan"}, "is 'nan'; expected a number above 0");
  fails({"start=vote"}, "expected one of votes, uniform");
  fails({"round=3"}, "did you mean 'rounds'?");
  fails({"rounds"}, "expected name=value");
  fails({"rounds=3", "rounds=4"}, "was given before");
}

}  // namespace
}  // namespace amalgam

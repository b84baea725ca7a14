#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/dialogue.hpp"
#include "amalgam/labels/weak/dialogue_file.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/labels/weak_data.hpp"

namespace amalgam::labels {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

TEST(Straddle, IsLargestWhereItIsNotCertainWhichSideOfTheLevel) {
  EXPECT_NEAR(straddle(.6, .1, .6), .196, 1e-12);
  EXPECT_NEAR(straddle(.9, .1, .6), -.104, 1e-12);
}

// Believes a candidate as useful as the share of useful answers about its own class of features:
// here, that the first feature says it.
Usefulness by_first_feature(const Features& features, std::span<const DialogueAnswer> /*answers*/,
                            std::uint64_t /*seed*/) {
  Usefulness usefulness;
  for (std::size_t j = 0; j < features.rows; ++j) {
    usefulness.mean.push_back(features.at(j, 0));
    usefulness.deviation.push_back(features.at(j, 1));
  }
  return usefulness;
}

// Ten candidates whose mean is j / 10 and deviation .1.
FunctionCandidates ten() {
  FunctionCandidates candidates;
  candidates.functions.resize(10);
  candidates.features = Features(10, 2);
  for (std::size_t j = 0; j < 10; ++j) {
    candidates.features.row(j)[0] = static_cast<double>(j) / 10;
    candidates.features.row(j)[1] = .1;
    candidates.coverage.push_back(.5);
    candidates.accuracy.push_back(static_cast<double>(j) / 10);
  }
  return candidates;
}

DialogueOptions few(Acquisition acquisition) {
  return {.queries = 3, .seeds = 1, .unverified = 2, .acquisition = acquisition, .seed = 1};
}

TEST(Dialogue, AsksWhereTheLevelIsNearestFirst) {
  const FunctionCandidates candidates = ten();
  const UsefulnessModel model = by_first_feature;
  Dialogue dialogue(candidates, model, {.queries = 3, .seeds = 0, .unverified = 2});
  EXPECT_EQ(dialogue.next(), 6U);
  EXPECT_EQ(dialogue.next(), 6U);  // until it is answered
  dialogue.answer(true);
  const std::size_t second = dialogue.next().value();
  EXPECT_TRUE(second == 5 || second == 7);
  dialogue.answer(false);
  dialogue.answer(true);
  EXPECT_FALSE(dialogue.next().has_value());
  EXPECT_THROW(dialogue.answer(true), InputError);
  // Useful ones, and the two best of those that nobody was asked about: 9 and 8.
  EXPECT_THAT(dialogue.selected(), Contains(9U));
  EXPECT_THAT(dialogue.selected(), Contains(8U));
  EXPECT_THAT(dialogue.selected(), Contains(6U));
  EXPECT_THAT(dialogue.selected(), Not(Contains(second)));
  EXPECT_THAT(dialogue.selected(), SizeIs(4));
}

TEST(Dialogue, ByActiveSearchAsksForTheBestAndTakesOnlyWhatWasVerified) {
  const FunctionCandidates candidates = ten();
  const UsefulnessModel model = by_first_feature;
  DialogueOptions options = few(Acquisition::active_search);
  options.seeds = 0;
  Dialogue dialogue(candidates, model, options);
  EXPECT_EQ(dialogue.next(), 9U);
  hold(dialogue, labelled_oracle(candidates, .75));
  EXPECT_THAT(dialogue.selected(), testing::ElementsAre(8, 9));
}

TEST(Dialogue, AtRandomNeverAsksTwice) {
  const FunctionCandidates candidates = ten();
  const UsefulnessModel model = [](auto&&...) -> Usefulness { throw Error("not needed"); };
  DialogueOptions options = few(Acquisition::random);
  options.queries = 100;
  Dialogue dialogue(candidates, model, options);
  hold(dialogue, [](std::size_t) { return false; });
  std::set<std::size_t> asked;
  for (const DialogueAnswer& one : dialogue.answers()) asked.insert(one.function);
  EXPECT_THAT(asked, SizeIs(9));  // all but the seed
  EXPECT_THAT(dialogue.selected(), SizeIs(0));
}

TEST(Dialogue, GoesOnFromASavedState) {
  const FunctionCandidates candidates = ten();
  const UsefulnessModel model = by_first_feature;
  Dialogue whole(candidates, model, few(Acquisition::level_set));
  Dialogue first(candidates, model, few(Acquisition::level_set));
  first.answer(true);
  Dialogue second(candidates, model, few(Acquisition::level_set));
  second.restore(first.save(), "state.json");
  hold(whole, [](std::size_t) { return true; });
  hold(second, [](std::size_t) { return true; });
  EXPECT_EQ(whole.selected(), second.selected());
  EXPECT_EQ(whole.save(), second.save());
}

TEST(Dialogue, RefusesStatesThatAreDamagedOrOfAnother) {
  const FunctionCandidates candidates = ten();
  const UsefulnessModel model = by_first_feature;
  Dialogue dialogue(candidates, model, few(Acquisition::level_set));
  for (const char* bad :
       {"", "[1]", "{}", R"({"version": 1})", R"({"version": 1, "options": {}})"}) {
    EXPECT_THROW(dialogue.restore(bad, "state.json"), InputError) << bad;
  }
  DialogueOptions other = few(Acquisition::level_set);
  other.seed = 9;
  EXPECT_THAT([&] { dialogue.restore(Dialogue(candidates, model, other).save(), "state.json"); },
              ThrowsMessage<InputError>(HasSubstr("its 'seed' is 9, but this one's 1")));
  std::string twice = dialogue.save();
  const std::string answers = "\"answers\": []";
  twice.replace(twice.find(answers), answers.size(),
                R"("answers": [{"function": 12, "useful": true}])");
  EXPECT_THAT([&] { dialogue.restore(twice, "state.json"); },
              ThrowsMessage<InputError>(HasSubstr("an answer about function 12")));
}

TEST(FunctionCandidates, AreKnownByTheirVotesOnLabelledRows) {
  const WeakData data(3, 60, 10, 1);
  const FunctionCandidates candidates = make_candidates(data.known(), {}, 5);
  EXPECT_EQ(candidates.features.columns, 5U);
  EXPECT_EQ(candidates.features.rows, candidates.functions.size());
  EXPECT_THAT(candidates.coverage, Each(testing::Gt(0)));
  // Functions with the same votes are at the same place, and the accuracy is of votes for and
  // against.
  for (std::size_t j = 0; j < candidates.functions.size(); ++j) {
    const Label target = candidates.functions[j].target.value();
    double voted = 0;
    double right = 0;
    for (std::size_t i = 0; i < data.labelled.rows; ++i) {
      const Label vote = candidates.functions[j].signed_vote(data.labelled.row(i));
      if (vote == kNoLabel) continue;
      voted += 1;
      right += (vote == 1) == (data.labels[i] == target) ? 1 : 0;
    }
    EXPECT_NEAR(candidates.accuracy[j], right / voted, 1e-12);
    EXPECT_NEAR(candidates.coverage[j], voted / 60, 1e-12);
  }
}

TEST(FunctionCandidates, AreNoneForAClassThatNobodyIsSureOf) {
  // One row of class 1 in the middle of 29 others: every margin makes it too unlikely.
  Features x(30, 1);
  std::vector<Label> y(30, 0);
  for (std::size_t i = 0; i < 30; ++i) x.row(i)[0] = static_cast<double>(i);
  y[15] = 1;
  EXPECT_THAT(make_candidates({x, y, 2}, {}, 5, Label{1}).functions, SizeIs(0));
  EXPECT_THAT(make_candidates({x, y, 2}, {}, 5, Label{0}).functions, testing::Not(SizeIs(0)));
}

TEST(FunctionCandidates, OfAllComponentsKeepDistances) {
  const WeakData data(2, 20, 10, 2);
  const FunctionCandidates candidates = make_candidates(data.known(), {}, 40);
  const auto sign = [&](std::size_t j, std::size_t i) {
    const Label vote = candidates.functions[j].signed_vote(data.labelled.row(i));
    return vote == kNoLabel ? 0.0 : vote == 1 ? 1.0 : -1.0;
  };
  double by_votes = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    by_votes += (sign(0, i) - sign(1, i)) * (sign(0, i) - sign(1, i));
  }
  double by_features = 0;
  for (std::size_t c = 0; c < candidates.features.columns; ++c) {
    const double away = candidates.features.at(0, c) - candidates.features.at(1, c);
    by_features += away * away;
  }
  EXPECT_NEAR(by_votes, by_features, 1e-9);
}

// A person who finds every function useful that the file asks about.
void answer_all(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::string open = "\"useful\": null";
  for (std::size_t at = text.find(open); at != std::string::npos; at = text.find(open)) {
    text.replace(at, open.size(), "\"useful\": true");
  }
  std::ofstream(path) << text;
}

TEST(DialogueFile, GoesOnFromAnswerToAnswer) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "dialogues.json";
  const WeakData weak(2, 30, 20, 1);
  const ProtocolData data{weak.labelled, weak.labels, weak.unlabelled, weak.unlabelled, 2};
  std::vector<std::size_t> numbers(30);
  for (std::size_t i = 0; i < 30; ++i) numbers[i] = 100 + i;
  const UsefulnessModel model = by_first_feature;
  DialogueOptions options = few(Acquisition::random);
  options.queries = 2;
  const auto go_on = [&] {
    return continue_dialogues(path, data, numbers, {"no", "yes"}, {}, options, model);
  };
  EXPECT_EQ(go_on().questions, 2U);  // one of each class
  EXPECT_EQ(go_on().answers, 0U);    // nobody answered
  answer_all(path);
  EXPECT_EQ(go_on().answers, 2U);
  answer_all(path);
  const DialogueSession session = go_on();
  EXPECT_EQ(session.answers, 4U);
  EXPECT_EQ(session.questions, 0U);
  EXPECT_THAT(session.functions, SizeIs(4));

  options.seed = 7;
  EXPECT_THAT(go_on, ThrowsMessage<InputError>(HasSubstr("dialogues.json: class 'no': the state of"
                                                         " another dialogue")));
  folder.write("dialogues.json", "{");
  EXPECT_THAT(go_on, ThrowsMessage<InputError>(HasSubstr("not a file of dialogues")));
}

}  // namespace
}  // namespace amalgam::labels

#include "amalgam/experiments/answering_decoder.hpp"

#include <algorithm>

#include "amalgam/scores/studies/decision_reference.hpp"

namespace amalgam::experiments {
namespace {

constexpr std::size_t kContext = 24;
constexpr std::size_t kReply = 20;
constexpr double kPeopleYes = 0.45;
constexpr double kPeopleSwitches = 0.62;

}  // namespace

AnswerVocabulary vocabulary_of(const std::string& text) {
  AnswerVocabulary vocabulary;
  vocabulary.of_character.fill(-1);
  for (const char c : text) {
    std::int64_t& token = vocabulary.of_character[static_cast<unsigned char>(c)];
    if (token >= 0) continue;
    token = static_cast<std::int64_t>(vocabulary.names.size());
    vocabulary.names.emplace_back(1, c);
  }
  vocabulary.no = static_cast<std::int64_t>(vocabulary.names.size());
  vocabulary.yes = vocabulary.no + 1;
  vocabulary.question = vocabulary.no + 2;
  for (const char* name : {"no", "yes", "question"}) vocabulary.names.emplace_back(name);
  return vocabulary;
}

learning::Dataset answers_and_text(const std::string& text, const AnswerVocabulary& vocabulary,
                                   std::size_t count, std::uint64_t seed) {
  const scores::DecisionGroup answers = scores::make_reference(
      scores::ReferenceSource::human, std::vector<std::uint64_t>(count / 2, kContext),
      {.yes = kPeopleYes, .switch_rate = kPeopleSwitches, .seed = seed});
  RandomStream random(seed, "windows of a play");
  std::vector<std::int64_t> tokens;
  for (const scores::DecisionSeries& series : answers.series) {
    tokens.push_back(vocabulary.question);
    for (const std::int8_t answer : series.answers) {
      tokens.push_back(answer == scores::kYes ? vocabulary.yes : vocabulary.no);
    }
    const std::size_t begin = random.below(text.size() - kContext);
    for (std::size_t i = 0; i <= kContext; ++i) {
      tokens.push_back(vocabulary.of_character[static_cast<unsigned char>(text[begin + i])]);
    }
  }
  const torch::Tensor all =
      torch::tensor(tokens, torch::kLong).view({-1, static_cast<std::int64_t>(kContext) + 1});
  learning::Dataset data;
  data.source = "answers and a play";
  data.inputs = all.narrow(1, 0, kContext).contiguous();
  data.labels = all.narrow(1, 1, kContext).contiguous();
  data.class_names = vocabulary.names;
  return data;
}

AnswerSampler::AnswerSampler(learning::Network& network, const AnswerVocabulary& vocabulary,
                             std::uint64_t seed)
    : network_(network), vocabulary_(vocabulary), random_(seed, "answers of a decoder") {
  network_.eval();
}

std::array<double, 2> AnswerSampler::first_probabilities(double temperature) {
  const torch::Tensor p = probabilities(question(1), temperature)[0];
  return {p[vocabulary_.no].item<double>(), p[vocabulary_.yes].item<double>()};
}

scores::DecisionSeries AnswerSampler::one_shot(std::size_t count, double temperature) {
  const std::vector<double> cumulative = cumulated(probabilities(question(1), temperature)[0]);
  scores::DecisionSeries series{.name = "one-shot"};
  for (std::size_t i = 0; i < count; ++i) series.answers.push_back(answer(draw(cumulative)));
  return series;
}

std::vector<scores::DecisionSeries> AnswerSampler::few_shot(std::int64_t replies,
                                                            double temperature) {
  std::vector<scores::DecisionSeries> all(static_cast<std::size_t>(replies));
  torch::Tensor tokens = question(replies);
  for (std::size_t i = 0; i < kReply; ++i) {
    const torch::Tensor p = probabilities(tokens, temperature);
    torch::Tensor next = torch::empty({replies, 1}, torch::kLong);
    for (std::int64_t r = 0; r < replies; ++r) {
      const std::size_t token = draw(cumulated(p[r]));
      next[r][0] = static_cast<std::int64_t>(token);
      all[static_cast<std::size_t>(r)].answers.push_back(answer(token));
    }
    tokens = torch::cat({tokens, next}, 1);
  }
  return all;
}

torch::Tensor AnswerSampler::question(std::int64_t rows) const {
  return torch::full({rows, 1}, vocabulary_.question, torch::kLong);
}

// Of the token after each row: double [rows, tokens].
torch::Tensor AnswerSampler::probabilities(const torch::Tensor& tokens, double temperature) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor logits = network_.forward(tokens).select(1, tokens.size(1) - 1);
  return torch::softmax(logits.to(torch::kDouble) / temperature, 1).contiguous();
}

std::vector<double> AnswerSampler::cumulated(const torch::Tensor& p) {
  std::vector<double> sums(p.data_ptr<double>(), p.data_ptr<double>() + p.numel());
  for (std::size_t i = 1; i < sums.size(); ++i) sums[i] += sums[i - 1];
  return sums;
}

std::size_t AnswerSampler::draw(const std::vector<double>& cumulative) {
  const double u = random_.uniform() * cumulative.back();
  const auto found = std::ranges::upper_bound(cumulative, u);
  return std::min(static_cast<std::size_t>(found - cumulative.begin()), cumulative.size() - 1);
}

std::int8_t AnswerSampler::answer(std::size_t token) const {
  const auto number = static_cast<std::int64_t>(token);
  if (number == vocabulary_.yes) return scores::kYes;
  return number == vocabulary_.no ? scores::kNo : scores::kInvalid;
}

}  // namespace amalgam::experiments

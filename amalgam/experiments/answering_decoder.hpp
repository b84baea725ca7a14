#pragma once

#include <torch/torch.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/scores/studies/decision_files.hpp"

/// A small decoder that has read answers of a source that switches as people do, and a play: what
/// the experiment binary-decision-bias asks.
namespace amalgam::experiments {

/// Tokens: the characters of the text, then no, yes, and the question that begins a series.
struct AnswerVocabulary {
  std::vector<std::string> names;
  std::array<std::int64_t, 256> of_character{};
  std::int64_t no = 0;
  std::int64_t yes = 0;
  std::int64_t question = 0;
};

AnswerVocabulary vocabulary_of(const std::string& text);

/// `count` sequences of tokens: half of them are answers of the source, the others windows of the
/// text.
learning::Dataset answers_and_text(const std::string& text, const AnswerVocabulary& vocabulary,
                                   std::size_t count, std::uint64_t seed);

/// Draws answers from a decoder's probabilities at a temperature.
class AnswerSampler {
 public:
  AnswerSampler(learning::Network& network, const AnswerVocabulary& vocabulary, std::uint64_t seed);

  /// P(no), P(yes) of the first answer.
  std::array<double, 2> first_probabilities(double temperature);

  /// Each answer is the first after the question.
  scores::DecisionSeries one_shot(std::size_t count, double temperature);

  /// The answers of a reply, 20 of them, see those before them.
  std::vector<scores::DecisionSeries> few_shot(std::int64_t replies, double temperature);

 private:
  torch::Tensor question(std::int64_t rows) const;
  torch::Tensor probabilities(const torch::Tensor& tokens, double temperature);
  static std::vector<double> cumulated(const torch::Tensor& p);
  std::size_t draw(const std::vector<double>& cumulative);
  std::int8_t answer(std::size_t token) const;

  learning::Network& network_;
  const AnswerVocabulary& vocabulary_;
  RandomStream random_;
};

}  // namespace amalgam::experiments

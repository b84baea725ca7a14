#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/tail_probabilities.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/experiments/answering_decoder.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/decision_reference.hpp"
#include "amalgam/scores/studies/markov_order.hpp"
#include "amalgam/scores/studies/negative_recency.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"

namespace amalgam::experiments {
namespace {

using scores::DecisionCounts;
using scores::ReferenceSource;

// A: how often tests reject, over many series of sources whose kind is known.

struct Source {
  const char* name;
  ReferenceSource kind;
  double yes;
};
constexpr std::array<Source, 4> kSources{{{"fair", ReferenceSource::prng, 0.5},
                                          {"switches .6", ReferenceSource::human, 0.5},
                                          {"p .38", ReferenceSource::prng, 0.38},
                                          {"p .98", ReferenceSource::prng, 0.98}}};
constexpr std::size_t kSeries = 600;
constexpr std::uint64_t kAnswers = 400;

void add_rejection_rates(Figures& figures, const Source& source, std::uint64_t seed) {
  const scores::DecisionGroup group = scores::make_reference(
      source.kind, std::vector<std::uint64_t>(kSeries, kAnswers),
      {.yes = source.yes, .switch_rate = scores::kHumanSwitchRate, .seed = seed});
  std::map<std::string, double> rejected;
  for (const scores::DecisionSeries& series : group.series) {
    DecisionCounts counts;
    counts.add_series(series.answers);
    const auto count = [&](const char* test, const scores::TestResult& result, bool also = true) {
      rejected[test] += also && result.p < 0.05 ? 1.0 / kSeries : 0.0;
    };
    const scores::NegativeRecency recency = scores::negative_recency(counts);
    count("uniformity", scores::frequency_test({counts.yes(), counts.valid()}));
    count("G-squared", scores::order_test(counts, 1).g_squared);
    count("runs", recency.exact_runs);
    count("runs, approximately", recency.runs.result);
    count("recency", recency.exact_runs, recency.lag1 < 0);
    // The wrong way: the switch rate against 1/2, whatever the share of yes.
    count("switches against 1/2",
          scores::frequency_test(
              {counts.count(2, 0b01) + counts.count(2, 0b10), counts.positions(1)}));
  }
  for (const auto& [test, rate] : rejected) {
    figures[fmt::format("{}: {}", source.name, test)] = rate;
  }
}

// B: a small decoder (answering_decoder.hpp).

DecisionCounts counts_of(const std::vector<scores::DecisionSeries>& all) {
  DecisionCounts counts;
  for (const scores::DecisionSeries& series : all) counts.add_series(series.answers);
  return counts;
}

double logit_of(const DecisionCounts& counts) {
  const auto yes = static_cast<double>(counts.yes());
  return std::log(yes / (static_cast<double>(counts.valid()) - yes));
}

void add_decoder(Figures& figures, Workshop& workshop, const std::string& text,
                 std::uint64_t seed) {
  const AnswerVocabulary vocabulary = vocabulary_of(text);
  const learning::Dataset data =
      answers_and_text(text, vocabulary, workshop.size(24'000, 8'000), seed);
  const nlohmann::json recipe = {{"epochs", 1},
                                 {"batch", 32},
                                 {"optimizer", {{"name", "adamw"}, {"learning_rate", .003}}},
                                 {"schedule", {{"name", "cosine"}, {"warmup", 20}}},
                                 {"network",
                                  {{"architecture", "llama"},
                                   {"hidden_size", 64},
                                   {"intermediate_size", 128},
                                   {"num_hidden_layers", 2},
                                   {"num_attention_heads", 4},
                                   {"num_key_value_heads", 4}}}};
  const auto network = workshop.train(recipe, data, seed);
  AnswerSampler sampler(*network, vocabulary, seed);

  const DecisionCounts one = counts_of({sampler.one_shot(1000, 1)});
  const auto [no, yes] = sampler.first_probabilities(1);
  const double expected = yes / (yes + no);
  const double share = scores::Proportion{one.yes(), one.valid()}.share();
  const double z =
      (share - expected) / std::sqrt(expected * (1 - expected) / static_cast<double>(one.valid()));
  figures["one-shot: share of yes"] = share;
  figures["one-shot: first-token probability of yes"] = expected;
  figures["one-shot: p that these are equal"] = normal_two_sided(z);
  figures["one-shot: p of independence"] = scores::order_test(one, 1).g_squared.p;

  const DecisionCounts few = counts_of(sampler.few_shot(50, 1));
  const scores::NegativeRecency recency = scores::negative_recency(few);
  figures["few-shot: share of yes"] = scores::Proportion{few.yes(), few.valid()}.share();
  figures["few-shot: switch rate"] = recency.switch_rate;
  figures["few-shot: switch rate if independent"] = recency.independent_rate;
  figures["few-shot: p of the runs test"] = recency.lag1 < 0 ? recency.runs.result.p : 1;
  figures["few-shot: invalid answers"] = static_cast<double>(few.invalid());
  const double shares =
      scores::fisher_exact_test({one.yes(), one.valid()}, {few.yes(), few.valid()});
  const double transitions =
      scores::same_transitions_test(scores::transition_matrix(one), scores::transition_matrix(few))
          .p;
  figures["modes: p that they are alike"] = std::min(1.0, 2 * std::min(shares, transitions));

  // The logit of yes is near 0: it takes many answers to measure its ratio.
  constexpr std::size_t kMany = 1'000'000;
  const double at_one = logit_of(counts_of({sampler.one_shot(kMany, 1)}));
  const double at_two = logit_of(counts_of({sampler.one_shot(kMany, 2)}));
  figures["temperature 2: ratio of logits"] = at_two / at_one;
}

// C: answers that nobody gave.

constexpr std::uint64_t kLargestText = 100'000'000;

void add_text(Figures& figures, const std::string& text, std::uint64_t seed) {
  std::vector<std::int8_t> vowels;
  bool in_word = false;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    const bool letter = c >= 'a' && c <= 'z';
    if (letter && !in_word) {
      const bool vowel = std::string_view("aeiou").find(c) != std::string_view::npos;
      vowels.push_back(vowel ? scores::kYes : scores::kNo);
    }
    in_word = letter || (in_word && c == '\'');
  }
  DecisionCounts words;
  words.add_series(vowels);
  figures["words: p of independence"] = scores::order_test(words, 1).g_squared.p;
  RandomStream random(seed, "digits");
  std::vector<std::int8_t> digits;
  for (std::size_t i = 0; i < vowels.size(); ++i) {
    digits.push_back(random.below(10) < 5 ? scores::kYes : scores::kNo);
  }
  DecisionCounts low;
  low.add_series(digits);
  figures["digits: p of independence"] = scores::order_test(low, 1).g_squared.p;
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  Figures figures;
  for (const Source& source : kSources) add_rejection_rates(figures, source, seed);
  const std::string text = read_text_file(shared_data("text/tiny_shakespeare.txt"), kLargestText);
  add_decoder(figures, workshop, text, seed);
  add_text(figures, text, seed);
  return figures;
}

// The least of what `names` are short of `most`.
std::function<double(const Figures&)> largest_below(std::vector<std::string> names) {
  return [names = std::move(names)](const Figures& figures) {
    double largest = 0;
    for (const std::string& name : names) largest = std::max(largest, figures.at(name));
    return -largest;
  };
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  const std::vector<std::string> fair{"fair: uniformity", "fair: G-squared", "fair: runs"};
  const auto smallest_fair = [fair](const Figures& figures) {
    double least = 1;
    for (const std::string& name : fair) least = std::min(least, figures.at(name));
    return least;
  };
  const auto below = [](const char* name) {
    return [name](const Figures& figures) { return -figures.at(name); };
  };
  return {
      {.text = "A: a fair source is rejected at most .08 of the time, by any of three tests",
       .kind = Kind::always,
       .difference = largest_below(fair),
       .margin = -.08},
      {.text = "A: and at least .02 of the time: the tests are not idle",
       .kind = Kind::always,
       .difference = smallest_fair,
       .margin = .02},
      {.text = "A: negative recency of a switch rate of .6 is found in .95 of series of 400",
       .kind = Kind::always,
       .difference = figure("switches .6: recency"),
       .margin = .95},
      {.text = "A: biased independent sources are called dependent at most .08 of the time",
       .kind = Kind::always,
       .difference =
           largest_below({"p .38: G-squared", "p .38: runs", "p .98: G-squared", "p .98: runs"}),
       .margin = -.08},
      {.text = "B: one-shot answers are independent (p above .01)",
       .kind = Kind::always,
       .difference = figure("one-shot: p of independence"),
       .margin = .01,
       .primary = false},
      {.text = "B: their share of yes is the first token's probability (p above .01)",
       .kind = Kind::always,
       .difference = figure("one-shot: p that these are equal"),
       .margin = .01,
       .primary = false},
      {.text = "B: few-shot answers switch more than independent ones (p below .001)",
       .kind = Kind::always,
       .difference = below("few-shot: p of the runs test"),
       .margin = -.001,
       .primary = false},
      {.text = "B: the two modes differ (p below .05)",
       .kind = Kind::always,
       .difference = below("modes: p that they are alike"),
       .margin = -.05,
       .primary = false},
      {.text = "B: temperature 2 halves the logit of yes, to within .1",
       .kind = Kind::always,
       .difference =
           [](const Figures& figures) {
             return -std::abs(figures.at("temperature 2: ratio of logits") - .5);
           },
       .margin = -.1,
       .primary = false},
      {.text = "C: vowels at the beginning of a play's words are not independent (p below .001)",
       .kind = Kind::always,
       .difference = below("words: p of independence"),
       .margin = -.001,
       .primary = false},
      {.text = "C: digits of a pseudo-random generator are (p above .01)",
       .kind = Kind::always,
       .difference = figure("digits: p of independence"),
       .margin = .01,
       .primary = false}};
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const Source& source : kSources) {
    for (const char* test : {"uniformity", "G-squared", "runs", "runs, approximately", "recency",
                             "switches against 1/2"}) {
      names.push_back(fmt::format("{}: {}", source.name, test));
    }
  }
  for (const char* name :
       {"one-shot: share of yes", "one-shot: first-token probability of yes",
        "one-shot: p that these are equal", "one-shot: p of independence", "few-shot: share of yes",
        "few-shot: switch rate", "few-shot: switch rate if independent",
        "few-shot: p of the runs test", "few-shot: invalid answers", "modes: p that they are alike",
        "temperature 2: ratio of logits", "words: p of independence",
        "digits: p of independence"}) {
    names.emplace_back(name);
  }
  return names;
}

}  // namespace

const Experiment& binary_decision_bias() {
  static const Experiment kExperiment{
      .slug = "binary-decision-bias",
      .title = "Decision bias of a source of yes-or-no answers",
      .paper = "Vidler and Walsh 2025; arXiv 2501.16356",
      .question =
          "Yes-or-no answers of language models are neither uniform nor memoryless, and both depend"
          " on the way of sampling: the tests must find that, and must not take a bias for"
          " dependence.",
      .setting =
          "A: 600 series of 400 answers each from a fair source, one that switches .6 of the time,"
          " and two biased ones. B: a decoder of two layers and width 64, trained on answers of a"
          " source with a share of yes of .45 that switches .62 of the time and on as much of a"
          " play of Shakespeare; 1000 one-shot answers and 50 replies of 20. C: 200,000 words of"
          " Shakespeare.",
      .rows = rows(),
      .unit = "A: share of series rejected at 5 %; B and C: shares, p-values and a ratio",
      .claims = claims(),
      .not_reproduced =
          "The paper's measurements of GPT models, and its comparison with Common Crawl: no model"
          " outside is asked.",
      .sabotage =
          "The switch rate against 1/2 in place of the source's own 2 p (1 - p): it takes the "
          "source"
          " with a share of .98 for dependent in every series (the rows 'switches against 1/2'), "
          "and"
          " the fourth claim fails.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments

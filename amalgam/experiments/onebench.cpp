#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "amalgam/core/averages.hpp"
#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/simple_classifiers.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/labels/weak/weak_learner.hpp"
#include "amalgam/scores/rank_aggregator.hpp"

namespace amalgam::experiments {
namespace {

constexpr std::size_t kMembers = 30;
constexpr std::size_t kClasses = 10;
constexpr std::size_t kTrain = 897;
constexpr std::array<std::size_t, 7> kPixelCounts{4, 6, 8, 12, 20, 32, 64};
constexpr std::array<std::size_t, 5> kRowCounts{30, 60, 120, 300, 897};
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Digits {
  RowMatrix train;
  RowMatrix test;
  std::vector<std::size_t> train_labels;
  std::vector<std::size_t> test_labels;
};

Digits load_digits(std::uint64_t seed) {
  const labels::Features all = labels::read_features(shared_data("tabular/digits.csv"));
  const std::size_t pixels = all.columns - 1;  // the class is the last column
  if (all.rows <= kTrain || pixels != 64) {
    throw InputError("digits: {} rows of {} columns; expected more than {} of 65", all.rows,
                     all.columns, kTrain);
  }
  const std::vector<std::size_t> order = shuffled_indices(all.rows, seed, "split of digits");
  Digits digits{.train = RowMatrix(kTrain, pixels),
                .test = RowMatrix(all.rows - kTrain, pixels),
                .train_labels = {},
                .test_labels = {}};
  for (std::size_t i = 0; i < all.rows; ++i) {
    const std::span<const double> row = all.row(order[i]);
    const bool trains = i < kTrain;
    RowMatrix& to = trains ? digits.train : digits.test;
    const std::size_t place = trains ? i : i - kTrain;
    for (std::size_t c = 0; c < pixels; ++c) to.row(place)[c] = row[c] / 16;
    (trains ? digits.train_labels : digits.test_labels)
        .push_back(static_cast<std::size_t>(row[pixels]));
  }
  return digits;
}

RowMatrix part_of(const RowMatrix& matrix, std::size_t rows, std::span<const std::size_t> columns) {
  RowMatrix part(rows, columns.size());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t c = 0; c < columns.size(); ++c) part.row(i)[c] = matrix.at(i, columns[c]);
  }
  return part;
}

std::vector<double> learned_probabilities(const RowMatrix& train,
                                          const std::vector<std::size_t>& classes,
                                          std::size_t depth, const RowMatrix& test) {
  std::vector<labels::Label> labels;
  for (const std::size_t k : classes) labels.push_back(static_cast<labels::Label>(k));
  const labels::LabelledRows data{train, labels, kClasses};
  std::vector<double> probabilities(test.rows * kClasses);
  const auto fill = [&](const auto& model) {
    for (std::size_t i = 0; i < test.rows; ++i) {
      model.probabilities(test.row(i), {probabilities.data() + i * kClasses, kClasses});
    }
  };
  if (depth == 0) {
    fill(labels::fit_logistic(data));
  } else {
    fill(labels::fit_tree(data, depth));
  }
  return probabilities;
}

// Probabilities [test rows, classes] of member `m`: its kind in turn, its pixels and training rows
// at random.
std::vector<double> member_probabilities(const Digits& digits, std::size_t m, std::uint64_t seed) {
  RandomStream random(seed, fmt::format("member {}", m));
  const std::size_t pixel_count = kPixelCounts[random.below(kPixelCounts.size())];
  const std::size_t row_count = kRowCounts[random.below(kRowCounts.size())];
  std::vector<std::size_t> pixels =
      shuffled_indices(64, seed, fmt::format("pixels of member {}", m));
  pixels.resize(pixel_count);
  const std::vector<std::size_t> order =
      shuffled_indices(kTrain, seed, fmt::format("rows of member {}", m));
  RowMatrix train(row_count, pixel_count);
  std::vector<std::size_t> classes;
  for (std::size_t i = 0; i < row_count; ++i) {
    for (std::size_t c = 0; c < pixel_count; ++c) {
      train.row(i)[c] = digits.train.at(order[i], pixels[c]);
    }
    classes.push_back(digits.train_labels[order[i]]);
  }
  const RowMatrix test = part_of(digits.test, digits.test.rows, pixels);
  constexpr std::array<std::size_t, 3> kDepths{3, 5, 8};
  switch (m % 6) {
    case 0:
      return learned_probabilities(train, classes, 0, test);
    case 1:
      return nearest_neighbour_probabilities(train, classes, kClasses, 3, test);
    case 5:
      return naive_bayes_probabilities(train, classes, kClasses, test);
    default:
      return learned_probabilities(train, classes, kDepths[m % 6 - 2], test);
  }
}

// Values [samples, members], NaN where nothing was measured.
struct Measured {
  std::size_t samples = 0;
  std::vector<double> values;

  double& at(std::size_t sample, std::size_t member) { return values[sample * kMembers + member]; }
  double at(std::size_t sample, std::size_t member) const {
    return values[sample * kMembers + member];
  }
};

struct Members {
  Measured correct;  // 0 or 1
  Measured mixed;    // in turn correct, probability of the true class, its logarithm
  std::vector<double> accuracies;
};

Members train_members(const Digits& digits, std::uint64_t seed) {
  const std::size_t samples = digits.test.rows;
  Members members{.correct = {samples, std::vector<double>(samples * kMembers)},
                  .mixed = {samples, std::vector<double>(samples * kMembers)},
                  .accuracies = std::vector<double>(kMembers, 0)};
  for (std::size_t m = 0; m < kMembers; ++m) {
    check_interrupt();
    const std::vector<double> probabilities = member_probabilities(digits, m, seed);
    for (std::size_t s = 0; s < samples; ++s) {
      const auto row = std::span(probabilities).subspan(s * kClasses, kClasses);
      const std::size_t truth = digits.test_labels[s];
      const bool right =
          static_cast<std::size_t>(std::ranges::max_element(row) - row.begin()) == truth;
      members.correct.at(s, m) = right ? 1 : 0;
      members.accuracies[m] += right ? 1 / static_cast<double>(samples) : 0;
      const double value = s % 3 == 0   ? members.correct.at(s, m)
                           : s % 3 == 1 ? row[truth]
                                        : portable_log(std::max(row[truth], 1e-6));
      members.mixed.at(s, m) = value;
    }
  }
  return members;
}

// A table of the values that were measured: all samples are instances of one task, or each is a
// task of its own.
scores::ScoreTable table_of(const Measured& measured, bool tasks) {
  scores::ScoreBuilder builder;
  for (std::size_t m = 0; m < kMembers; ++m) builder.system(fmt::to_string(m));
  for (std::size_t s = 0; s < measured.samples; ++s) {
    const std::string name = fmt::to_string(s);
    for (std::size_t m = 0; m < kMembers; ++m) {
      if (std::isnan(measured.at(s, m))) continue;
      const scores::Task task = builder.task(tasks ? name : "digits");
      builder.add(static_cast<scores::System>(m), task, builder.instance(tasks ? "" : name),
                  measured.at(s, m));
    }
  }
  return builder.finish("digits");
}

// Kendall's tau-b of a method's scores to the accuracies on everything.
double tau_of(const char* method, const scores::ScoreTable& table, const Members& members,
              std::uint64_t seed) {
  scores::RankContext context;
  context.seed = seed;
  const scores::Ranking ranking = scores::rank_systems(method, table, {}, std::nullopt, context);
  const std::vector<std::uint32_t> ranks = scores::ranks_of(ranking.scores, ranking.tie_tolerance);
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t s = 0; s < table.system_count(); ++s) {
    if (std::isnan(ranking.scores[s])) continue;
    x.push_back(-static_cast<double>(ranks[s]));
    y.push_back(members.accuracies[std::stoul(std::string(table.systems[s]))]);
  }
  return kendall_tau_b(x, y);
}

// Strong members are measured on hard samples more often than on easy ones, weak members the other
// way: what happens when people try good models on hard benchmarks.
Measured missing_not_at_random(const Measured& whole, const Members& members, double often,
                               double rarely, std::uint64_t seed) {
  std::vector<double> means;
  for (std::size_t s = 0; s < whole.samples; ++s) {
    double mean = 0;
    for (std::size_t m = 0; m < kMembers; ++m) mean += members.correct.at(s, m) / kMembers;
    means.push_back(mean);
  }
  const double easy = median_of(means);
  const double strong = median_of(members.accuracies);
  Measured some = whole;
  RandomStream random(seed, "missing, not at random");
  for (std::size_t s = 0; s < whole.samples; ++s) {
    for (std::size_t m = 0; m < kMembers; ++m) {
      const bool favoured = (means[s] < easy) == (members.accuracies[m] >= strong);
      if (random.uniform() >= (favoured ? often : rarely)) some.at(s, m) = kMissing;
    }
  }
  return some;
}

// Keeps a share of the samples, with everyone on them.
Measured some_samples(const Measured& whole, double share, std::uint64_t seed) {
  const std::vector<std::size_t> order = shuffled_indices(whole.samples, seed, "samples that stay");
  Measured some{0, {}};
  some.samples = static_cast<std::size_t>(share * static_cast<double>(whole.samples));
  for (std::size_t s = 0; s < some.samples; ++s) {
    for (std::size_t m = 0; m < kMembers; ++m) some.values.push_back(whole.at(order[s], m));
  }
  return some;
}

// Keeps a share of the cells, each by chance.
Measured some_cells(const Measured& whole, double share, std::uint64_t seed) {
  Measured some = whole;
  RandomStream random(seed, "cells that stay");
  for (double& value : some.values) {
    if (random.uniform() >= share) value = kMissing;
  }
  return some;
}

void add_taus(Figures& figures, const std::string& what, const Measured& measured,
              const Members& members, std::uint64_t seed, double weight = 1) {
  const scores::ScoreTable table = table_of(measured, false);
  for (const char* method : {"onebench", "elo", "mean", "borda", "copeland"}) {
    figures[fmt::format("{}: {}", what, method)] += weight * tau_of(method, table, members, seed);
  }
  figures[what + ": z-mean of samples"] +=
      weight * tau_of("z-mean", table_of(measured, true), members, seed);
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const Members members = train_members(load_digits(seed), seed);
  Figures figures;
  figures["lowest accuracy"] = *std::ranges::min_element(members.accuracies);
  figures["highest accuracy"] = *std::ranges::max_element(members.accuracies);
  add_taus(figures, "mixed, .5 and .1", missing_not_at_random(members.mixed, members, .5, .1, seed),
           members, seed);
  add_taus(figures, "mixed, .2 and .05",
           missing_not_at_random(members.mixed, members, .2, .05, seed), members, seed);
  add_taus(figures, "binary, .5 and .1",
           missing_not_at_random(members.correct, members, .5, .1, seed), members, seed);
  // What is left at random is little: means over several draws.
  const std::uint64_t draws = workshop.size(20, 5);
  const double weight = 1 / static_cast<double>(draws);
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    check_interrupt();
    const std::uint64_t own = seed * draws + draw;
    add_taus(figures, "samples, 90 % missing", some_samples(members.correct, .1, own), members, own,
             weight);
    add_taus(figures, "samples, 95 % missing", some_samples(members.correct, .05, own), members,
             own, weight);
    add_taus(figures, "cells, 95 % missing", some_cells(members.correct, .05, own), members, own,
             weight);
  }
  return figures;
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  const std::string mixed = "mixed, .5 and .1: ";
  std::vector<Claim> all{
      {.text = "missing not at random, mixed metrics: tau of onebench (Plackett-Luce on pairs)"
               " above that of the mean by .2 or more",
       .kind = Kind::always,
       .difference = difference(mixed + "onebench", mixed + "mean"),
       .margin = .2},
      {.text = "the same: above Elo",
       .kind = Kind::always,
       .difference = difference(mixed + "onebench", mixed + "elo"),
       .margin = 1e-9}};
  for (const char* missing : {"90", "95"}) {
    const std::string what = fmt::format("samples, {} % missing: ", missing);
    all.push_back({.text = fmt::format("{} % of the samples missing at random, right or wrong:"
                                       " onebench within .05 of the mean",
                                       missing),
                   .kind = Kind::within,
                   .difference = difference(what + "onebench", what + "mean"),
                   .margin = .05});
    all.push_back({.text = fmt::format("the same, {} %: above Elo by .08 or more", missing),
                   .difference = difference(what + "onebench", what + "elo"),
                   .margin = .08});
  }
  return all;
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const char* what :
       {"mixed, .5 and .1", "mixed, .2 and .05", "binary, .5 and .1", "samples, 90 % missing",
        "samples, 95 % missing", "cells, 95 % missing"}) {
    for (const char* method :
         {"onebench", "elo", "z-mean of samples", "mean", "borda", "copeland"}) {
      names.push_back(fmt::format("{}: {}", what, method));
    }
  }
  names.emplace_back("lowest accuracy");
  names.emplace_back("highest accuracy");
  return names;
}

}  // namespace

const Experiment& onebench() {
  static const Experiment kExperiment{
      .slug = "onebench",
      .title = "ONEBench: sample-level benchmarking",
      .paper = "Ghosh, Dziadzio, Prabhu, Udandarao, Albanie and Bethge 2025",
      .question =
          "Turning every sample into comparisons of the models measured on it and fitting a"
          " Plackett-Luce model ranks models rightly although metrics are mixed and most"
          " measurements are missing, where averages do not.",
      .setting =
          "Thirty classifiers of digits (logistic regression, 3 nearest neighbours, trees of depth"
          " 3, 5 and 8, Gaussian naive Bayes), each from random pixels and training rows; 900 test"
          " images as samples, measured by right or wrong, the true class's probability, or its"
          " logarithm in turn. Kendall's tau-b to the order of full accuracies. Where samples or"
          " cells are missing at random: means over twenty draws per seed.",
      .rows = rows(),
      .unit = "Kendall's tau-b to the full accuracies",
      .claims = claims(),
      .not_reproduced =
          "The pools of language and vision benchmarks with hundreds of models, and queries for"
          " forty concepts with a language model's embeddings. With cells dropped at random and few"
          " models per sample the mean is better than Plackett-Luce here, and nothing else is"
          " claimed.",
      .sabotage =
          "Counting wins (borda) or averaging z-scores of samples in place of the fit: mostly above"
          " the mean, but below Elo with every seed; Copeland: below Elo with one. The mean itself:"
          " both first claims fail with every seed. All not shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shared_data.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/labels/annotation_files.hpp"
#include "amalgam/labels/label_metrics.hpp"
#include "amalgam/labels/label_model.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/predictions/calibrated_likelihood.hpp"

namespace amalgam::experiments {
namespace {

using labels::AnnotationTable;
using labels::GoldLabels;
using labels::SoftLabels;
using learning::Dataset;

constexpr std::array kIndividuals{"standard", "softmax", "dawid-skene",     "glad",
                                  "mace",     "wawa",    "zero-based-skill"};
constexpr std::size_t kClasses = 10;
constexpr std::int64_t kSide = 8;
constexpr std::size_t kPixels = kSide * kSide;
constexpr std::size_t kTrain = 900;
// What a seed's figures are means over: who was hired and which digits were annotated, and the one
// training of a student, vary by more than methods differ.
constexpr std::uint64_t kCrowds = 4;
constexpr std::uint64_t kQuickCrowds = 2;
constexpr std::uint64_t kStudents = 5;
constexpr const char* kLabelHead = "label";
// Students who learn the average otherwise than by its cross-entropy.
constexpr std::array kVariants{"average, sampled labels", "average, two heads"};

struct Digits {
  std::vector<float> pixels;  // [count, 64] in [0, 1]
  std::vector<std::size_t> classes;
};

Digits load_digits() {
  TableRows rows(shared_data("tabular/digits.csv"));
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < kPixels; ++i) columns.push_back(rows.column(fmt::format("p{}", i)));
  const std::size_t label = rows.column("class");
  const auto number = [&](std::size_t column, double most) {
    const std::optional<double> value = cell_number(rows.cell(column));
    if (!value || *value < 0 || *value > most) {
      throw InputError("{}: '{}'; expected a number from 0 to {}", rows.place(column),
                       rows.cell(column), most);
    }
    return *value;
  };
  Digits digits;
  while (rows.next()) {
    for (const std::size_t column : columns) {
      digits.pixels.push_back(static_cast<float>(number(column, 16) / 16));
    }
    digits.classes.push_back(static_cast<std::size_t>(number(label, kClasses - 1)));
  }
  return digits;
}

Dataset dataset_of(const Digits& digits, std::span<const std::size_t> which) {
  Dataset data;
  data.source = "digits";
  const auto count = static_cast<std::int64_t>(which.size());
  data.inputs = torch::empty({count, 1, kSide, kSide});
  data.labels = torch::empty({count}, torch::kLong);
  float* pixels = data.inputs.data_ptr<float>();
  auto* classes = data.labels.data_ptr<std::int64_t>();
  for (const std::size_t i : which) {
    pixels = std::copy_n(digits.pixels.data() + i * kPixels, kPixels, pixels);
    *classes++ = static_cast<std::int64_t>(digits.classes[i]);
  }
  for (std::size_t k = 0; k < kClasses; ++k) data.class_names.push_back(fmt::to_string(k));
  return data;
}

// The mean of each image and itself moved to the right by a pixel, plus noise of deviation .15.
Dataset shifted(const Dataset& data, std::uint64_t seed) {
  Dataset other = data;
  other.inputs = (data.inputs + torch::roll(data.inputs, 1, 3)) / 2;
  RandomStream random(seed, "noise of shifted digits");
  float* const pixels = other.inputs.data_ptr<float>();
  for (std::int64_t i = 0; i < other.inputs.numel(); ++i) {
    pixels[i] += static_cast<float>(.15 * random.normal());
  }
  return other;
}

// Of each image the nearest mean of a class that is not its own: what it is taken for most easily.
std::vector<std::size_t> look_alikes(const Digits& digits, std::span<const std::size_t> which) {
  std::vector<double> means(kClasses * kPixels, 0);
  std::vector<double> counts(kClasses, 0);
  for (const std::size_t i : which) {
    counts[digits.classes[i]] += 1;
    for (std::size_t p = 0; p < kPixels; ++p) {
      means[digits.classes[i] * kPixels + p] += digits.pixels[i * kPixels + p];
    }
  }
  for (std::size_t j = 0; j < means.size(); ++j) means[j] /= counts[j / kPixels];
  std::vector<std::size_t> nearest;
  for (const std::size_t i : which) {
    std::size_t best = kClasses;
    double least = 0;
    for (std::size_t k = 0; k < kClasses; ++k) {
      if (k == digits.classes[i]) continue;
      double distance = 0;
      for (std::size_t p = 0; p < kPixels; ++p) {
        const double apart = digits.pixels[i * kPixels + p] - means[k * kPixels + p];
        distance += apart * apart;
      }
      if (best == kClasses || distance < least) {
        best = k;
        least = distance;
      }
    }
    nearest.push_back(best);
  }
  return nearest;
}

struct Worker {
  double skill = 0;
  std::size_t spam = 0;  // what one without skill says half of the time
};

std::vector<Worker> hire(RandomStream& random) {
  constexpr std::size_t kWorkers = 60;
  std::vector<Worker> workers(kWorkers);
  for (Worker& worker : workers) {
    const bool spams = random.uniform() < .2;
    const double skill = random.uniform() < .5 ? .9 : .6;
    worker.skill = spams ? 0 : skill;
    worker.spam = random.below(kClasses);
  }
  return workers;
}

std::size_t answer(const Worker& worker, std::size_t truth, std::size_t look_alike,
                   double difficulty, RandomStream& random) {
  if (random.uniform() < worker.skill * (1 - .6 * difficulty)) return truth;
  if (worker.skill == 0) return random.uniform() < .5 ? worker.spam : random.below(kClasses);
  return random.uniform() < .7 ? look_alike : random.below(kClasses);
}

// Five random workers per image. The tasks of the table are in the order of `which`.
AnnotationTable annotate(const Digits& digits, std::span<const std::size_t> which,
                         std::uint64_t seed) {
  constexpr std::size_t kPerTask = 5;
  RandomStream random(seed, "annotations of digits");
  const std::vector<Worker> workers = hire(random);
  const std::vector<std::size_t> nearest = look_alikes(digits, which);
  labels::AnnotationBuilder builder;
  for (std::size_t task = 0; task < which.size(); ++task) {
    // Beta(1, 3) by its distribution function 1 - (1 - a)^3.
    const double difficulty = 1 - std::cbrt(1 - random.uniform());
    std::vector<std::size_t> free(workers.size());
    for (std::size_t w = 0; w < free.size(); ++w) free[w] = w;
    for (std::size_t n = 0; n < kPerTask; ++n) {
      std::swap(free[n], free[n + random.below(free.size() - n)]);
      const std::size_t said =
          answer(workers[free[n]], digits.classes[which[task]], nearest[task], difficulty, random);
      const labels::Task number = builder.task(fmt::to_string(task));
      builder.add(number, builder.worker(fmt::to_string(free[n])),
                  builder.label(fmt::to_string(said)));
    }
  }
  return builder.finish("annotations of digits");
}

SoftLabels soft_labels(const char* method, const AnnotationTable& table, std::uint64_t seed) {
  labels::FitContext context;
  context.seed = seed;
  return labels::fit_labels(method, table, {}, context).posterior;
}

SoftLabels certain(const GoldLabels& gold) {
  SoftLabels soft(gold.labels.size(), kClasses);
  for (std::size_t i = 0; i < soft.items; ++i) soft.row(i)[gold.labels[i]] = 1;
  return soft;
}

// Predictions of a network on a data set, as the metrics take them.
class Scored {
 public:
  Scored(learning::Network& network, const Dataset& data)
      : logits_(learning::predict_logits(network, data).to(torch::kFloat).contiguous()),
        soft_(static_cast<std::size_t>(data.count()), kClasses) {
    const torch::Tensor p = torch::softmax(logits_.to(torch::kDouble), 1).contiguous();
    std::copy_n(p.data_ptr<double>(), soft_.values.size(), soft_.values.begin());
    const auto truth = data.labels.accessor<std::int64_t, 1>();
    for (std::int64_t i = 0; i < data.count(); ++i) {
      gold_.labels.push_back(static_cast<labels::Label>(truth[i]));
    }
  }

  double macro_f1() const {
    return labels::label_quality(labels::hard_labels(soft_).labels, gold_.labels).macro_f1;
  }
  double ece() const { return labels::soft_quality(soft_, gold_.labels).ece; }
  double brier() const { return labels::soft_quality(soft_, gold_.labels).brier; }
  double calibrated(std::uint64_t seed) const {
    const std::vector<std::uint32_t> truth(gold_.labels.begin(), gold_.labels.end());
    return calibrated_log_likelihood(
        {"student",
         {logits_.data_ptr<float>(), static_cast<std::size_t>(logits_.numel())},
         gold_.labels.size(),
         kClasses},
        truth, seed);
  }

 private:
  torch::Tensor logits_;
  SoftLabels soft_;
  GoldLabels gold_;
};

nlohmann::json student_recipe() {
  return {{"epochs", 30},
          {"batch", 64},
          {"optimizer", {{"name", "adam"}, {"learning_rate", .01}, {"weight_decay", 1e-4}}},
          {"network", {{"architecture", "mlp"}, {"hidden", {64}}, {"standardise", false}}}};
}

// A label drawn from the probabilities in every epoch.
nlohmann::json sampling_recipe() {
  nlohmann::json recipe = student_recipe();
  recipe["data"] = {{"soft", {{"file", "average"}, {"use", "sampled"}}}};
  return recipe;
}

// A head for the most probable class, by which the student is judged, and one for probabilities.
nlohmann::json two_headed_recipe() {
  nlohmann::json recipe = student_recipe();
  recipe["network"]["heads"] = {{{"name", kLabelHead}}, {{"name", "doubt"}}};
  recipe["data"] = {{"head", kLabelHead}, {"soft", {{"file", "average"}, {"head", "doubt"}}}};
  return recipe;
}

// Trains students on soft labels and judges them on shifted data, whose labels they have not seen.
void add_students(Figures& figures, const std::string& name, Workshop& workshop, Dataset train,
                  const SoftLabels& soft, Dataset test, std::uint64_t seed,
                  const nlohmann::json& recipe = student_recipe()) {
  if (recipe["network"].contains("heads")) train.head = test.head = kLabelHead;
  train.soft_labels = torch::empty({train.count(), static_cast<std::int64_t>(kClasses)});
  std::transform(soft.values.begin(), soft.values.end(), train.soft_labels.data_ptr<float>(),
                 [](double p) { return static_cast<float>(p); });
  const auto scores = static_cast<double>(workshop.size(kCrowds, kQuickCrowds) * kStudents);
  for (std::uint64_t student = 0; student < kStudents; ++student) {
    const auto network = workshop.train(recipe, train, kStudents * seed + student);
    const Scored scored(*network, test);
    figures["CLL: " + name] += scored.calibrated(seed) / scores;
    figures["macro-F1: " + name] += scored.macro_f1() / scores;
    figures["ECE: " + name] += scored.ece() / scores;
    figures["Brier: " + name] += scored.brier() / scores;
  }
}

void add_digits(Figures& figures, Workshop& workshop, std::uint64_t seed) {
  const auto crowds = static_cast<double>(workshop.size(kCrowds, kQuickCrowds));
  const Digits digits = load_digits();
  const std::vector<std::size_t> order =
      shuffled_indices(digits.classes.size(), seed, "split of digits");
  const std::span<const std::size_t> all(order);
  const Dataset train = dataset_of(digits, all.first(kTrain));
  const Dataset test = shifted(dataset_of(digits, all.subspan(kTrain)), seed);
  const AnnotationTable table = annotate(digits, all.first(kTrain), seed);
  GoldLabels gold;
  for (const std::size_t i : all.first(kTrain)) {
    gold.labels.push_back(static_cast<labels::Label>(digits.classes[i]));
  }
  const auto add = [&](const std::string& name, const SoftLabels& soft) {
    figures["label NLL: " + name] += labels::soft_quality(soft, gold.labels).nll / crowds;
    add_students(figures, name, workshop, train, soft, test, seed);
  };
  for (const char* method : kIndividuals) add(method, soft_labels(method, table, seed));
  const SoftLabels average = soft_labels("average", table, seed);
  add("average", average);
  add_students(figures, kVariants[0], workshop, train, average, test, seed, sampling_recipe());
  add_students(figures, kVariants[1], workshop, train, average, test, seed, two_headed_recipe());
  add("majority-vote", soft_labels("majority-vote", table, seed));
  add("gold", certain(gold));
}

void add_entailment(Figures& figures, std::uint64_t seed) {
  const AnnotationTable table =
      labels::read_annotations({shared_data("crowd/rte/annotations.csv")}, {});
  const labels::GoldFile gold = labels::read_gold(shared_data("crowd/rte/gold.csv"), table, {});
  const auto add = [&](const char* method) {
    const SoftLabels soft = soft_labels(method, table, seed);
    figures[fmt::format("RTE label NLL: {}", method)] =
        labels::soft_quality(soft, gold.gold.labels).nll;
    figures[fmt::format("RTE accuracy: {}", method)] =
        labels::label_quality(labels::hard_labels(soft).labels, gold.gold.labels).accuracy;
  };
  for (const char* method : kIndividuals) add(method);
  add("average");
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  Figures figures;
  for (std::uint64_t crowd = 0; crowd < workshop.size(kCrowds, kQuickCrowds); ++crowd) {
    add_digits(figures, workshop, kCrowds * seed + crowd);
  }
  add_entailment(figures, seed);
  return figures;
}

std::vector<double> of_individuals(const Figures& figures, const std::string& what) {
  std::vector<double> values;
  for (const char* method : kIndividuals) values.push_back(figures.at(what + method));
  std::ranges::sort(values);
  return values;
}

// By how much the best individual's loss is above the average's.
double gain(const Figures& figures, const std::string& what) {
  return of_individuals(figures, what).front() - figures.at(what + "average");
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  return {
      {.text = "labels: NLL of the average below that of every single method by .05 or more",
       .difference = [](const Figures& figures) { return gain(figures, "label NLL: "); },
       .margin = .05},
      {.text = "students under shift: CLL with the average above hard majority by .03 or more",
       .difference = difference("CLL: average", "CLL: majority-vote"),
       .margin = .03},
      {.text = "students under shift: CLL with the average above the median of the seven",
       .difference =
           [](const Figures& figures) {
             return figures.at("CLL: average") - of_individuals(figures, "CLL: ")[3];
           }},
      {.text = "RTE: NLL of the average at most .25",
       .kind = Kind::always,
       .difference = [](const Figures& figures) { return -figures.at("RTE label NLL: average"); },
       .margin = -.25},
      {.text = "RTE: below every single method by .04 or more",
       .kind = Kind::always,
       .difference = [](const Figures& figures) { return gain(figures, "RTE label NLL: "); },
       .margin = .04},
      {.text = "RTE: accuracy of the average at least .92",
       .kind = Kind::always,
       .difference = figure("RTE accuracy: average"),
       .margin = .92}};
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const char* what : {"label NLL: ", "CLL: ", "macro-F1: ", "ECE: ", "Brier: ",
                           "RTE label NLL: ", "RTE accuracy: "}) {
    for (const char* method : kIndividuals) names.push_back(std::string(what) + method);
    names.push_back(std::string(what) + "average");
    if (std::string_view(what).starts_with("RTE")) continue;
    if (!std::string_view(what).starts_with("label")) {
      for (const char* variant : kVariants) names.push_back(std::string(what) + variant);
    }
    names.push_back(std::string(what) + "majority-vote");
    names.push_back(std::string(what) + "gold");
  }
  return names;
}

}  // namespace

const Experiment& crowd_soft_labels() {
  static const Experiment kExperiment{
      .slug = "crowd-soft-labels",
      .title = "Aggregating soft labels from crowd annotations",
      .paper = "Wright and Augenstein 2025, PLOS ONE; arXiv 2212.09409",
      .question =
          "No single way to make soft labels of annotations is best everywhere; the plain average"
          " of several is the safe choice, for the labels and for a student's uncertainty under"
          " shift.",
      .setting =
          "Digits (1797 images of 8 x 8): 900 annotated by 5 of 60 made workers each, of whom a"
          " fifth spams; students are MLPs with 64 hidden units, tested on blurred, noisy digits."
          " Means over four crowds per seed, and five students per crowd and kind of label. Of the"
          " average also students who learn labels drawn from it in every epoch, and such with a"
          " second head for its probabilities."
          " RTE: 8000 annotations of 800 sentence pairs by 164 people (Snow et al. 2008).",
      .rows = rows(),
      .unit = "NLL (floor 1e-12) and Brier: lower is better; CLL: calibrated log-likelihood",
      .claims = claims(),
      .not_reproduced =
          "The paper's four tasks with pre-trained transformers; here one made crowd with students"
          " and one real crowd without.",
      .sabotage =
          "The mean of the methods' hard labels as the average: labels of 3.3 nats more loss than"
          " the best method's, five claims fail. A copy of Standard: every claim fails with every"
          " seed. Both not shown.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments

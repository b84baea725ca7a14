#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/weights/learned/merge_study.hpp"

namespace amalgam::experiments {
namespace {

using learned::StudyRow;
using learned::StudySetting;
using learning::Dataset;

constexpr std::array<std::int64_t, 3> kWidths{32, 128, 512};
constexpr std::array kBases{"strong", "weak"};
constexpr std::array kMethods{"average", "task arithmetic", "TIES", "DARE-TIES"};

std::string cell(const char* what, const std::string& base, double width, const std::string& method,
                 std::size_t count) {
  return fmt::format("{}, {} base, width {}, {} experts: {}", what, base, width, count, method);
}

std::vector<Dataset> first(const std::vector<Dataset>& tasks, std::uint64_t count) {
  std::vector<Dataset> parts;
  parts.reserve(tasks.size());
  for (const Dataset& task : tasks) parts.push_back(task.range(0, count));
  return parts;
}

// One network for all of the experts' tasks, trained on all of their data.
double multitask(Workshop& workshop, const TaskFamily& family, std::uint64_t seed,
                 const std::vector<Dataset>& held_out) {
  const auto network =
      workshop.train({{"epochs", 4},
                      {"batch", 128},
                      {"optimizer", {{"name", "sgd"}, {"learning_rate", .01}, {"momentum", .9}}}},
                     learning::joined(family.train), 10 * seed + 9, family.base.get());
  std::vector<double> scores;
  std::vector<double> references;
  for (const Dataset& task : held_out) {
    scores.push_back(accuracy(*network, task));
    references.push_back(accuracy(*family.base, task));
  }
  return learned::normalised_mean(scores, references);
}

void add_setting(Figures& figures, Workshop& workshop, std::uint64_t seed, const char* base,
                 std::int64_t width) {
  const bool strong = std::string_view(base) == "strong";
  const TaskFamily family =
      eight_transforms(workshop, seed, {.width = width, .strong_base = strong});
  const std::uint64_t tested = workshop.size(2000, 500);
  StudySetting setting{.base = base,
                       .size = static_cast<double>(width),
                       .seed = seed,
                       .network = family.base,
                       .experts = family.states(),
                       .validation = first(family.validation, workshop.size(1000, 250)),
                       .test = first(family.test, tested),
                       .held_out = first(family.held_out, tested)};
  const std::string name = fmt::format("{} base, width {}", base, width);
  figures["experts, " + name] = family.own_score();
  figures["held-out, multitask, " + name] = multitask(workshop, family, seed, setting.held_out);
  for (const StudyRow& row :
       learned::study_merges(setting, {.counts = {2, 4}, .after_merge = check_interrupt})) {
    figures[cell("held-in", base, row.size, row.method, row.experts.size())] = row.held_in;
    figures[cell("held-out", base, row.size, row.method, row.experts.size())] = row.held_out;
  }
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  Figures figures;
  for (const char* base : kBases) {
    for (const std::int64_t width : kWidths) add_setting(figures, workshop, seed, base, width);
  }
  return figures;
}

double held_in(const Figures& figures, const char* base, std::int64_t width, const char* method,
               std::size_t count = 4) {
  return figures.at(cell("held-in", base, static_cast<double>(width), method, count));
}

double least_base_effect(const Figures& figures) {
  double least = std::numeric_limits<double>::infinity();
  for (const std::int64_t width : kWidths) {
    for (const char* method : kMethods) {
      least = std::min(least, held_in(figures, "strong", width, method) -
                                  held_in(figures, "weak", width, method));
    }
  }
  return least;
}

double spread(const Figures& figures, std::int64_t width) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (const char* method : kMethods) {
    least = std::min(least, held_in(figures, "strong", width, method));
    most = std::max(most, held_in(figures, "strong", width, method));
  }
  return most - least;
}

double fewer_experts(const Figures& figures) {
  double sum = 0;
  for (const std::int64_t width : kWidths) {
    for (const char* method : kMethods) {
      sum += held_in(figures, "strong", width, method, 2) -
             held_in(figures, "strong", width, method, 4);
    }
  }
  return sum / static_cast<double>(kWidths.size() * kMethods.size());
}

Claim wider(std::int64_t width, std::int64_t than, double margin) {
  return {.text = fmt::format("strong base: the average at width {} above that at {} by {} or more",
                              width, than, margin),
          .difference =
              [width, than](const Figures& figures) {
                return held_in(figures, "strong", width, "average") -
                       held_in(figures, "strong", than, "average");
              },
          .margin = margin};
}

std::vector<Claim> claims() {
  return {
      {.text = "for every method and width the strong base's merge above the weak base's by .3 or"
               " more",
       .difference = least_base_effect,
       .margin = .3},
      wider(128, 32, .05),
      wider(512, 128, .01),
      {.text = "the methods differ at width 512 less than half as much as at 32",
       .difference =
           [](const Figures& figures) { return spread(figures, 32) / 2 - spread(figures, 512); }},
      {.text = "two experts merge better than four (strong base, mean over methods and widths)",
       .difference = fewer_experts,
       .primary = false}};
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const char* base : kBases) {
    for (const std::int64_t width : kWidths) {
      names.push_back(fmt::format("experts, {} base, width {}", base, width));
      for (const std::size_t count : {2UL, 4UL}) {
        for (const char* what : {"held-in", "held-out"}) {
          for (const char* method : kMethods) {
            names.push_back(cell(what, base, static_cast<double>(width), method, count));
          }
        }
      }
      names.push_back(fmt::format("held-out, multitask, {} base, width {}", base, width));
    }
  }
  return names;
}

}  // namespace

const Experiment& merging_at_scale() {
  static const Experiment kExperiment{
      .slug = "merging-at-scale",
      .title = "What matters for merging at scale",
      .paper = "Yadav et al. 2024, arXiv 2410.03617",
      .question =
          "Merging works better from a better base and with larger networks, which also makes the"
          " methods alike; fewer experts merge better.",
      .setting =
          "Fashion-MNIST at 28x28, MLP 784-W-W-10 with W 32, 128 and 512. The strong base has seen"
          " eight transforms of 3,000 images, the weak one the same images upright; experts on four"
          " of the transforms, the other four held out. Two and four experts; lambda chosen on "
          "1,000"
          " validation images per task. Held-in scores are relative to the experts, held-out ones "
          "to"
          " the base; 2,000 test images per task.",
      .rows = rows(),
      .unit = "relative accuracy (experts: accuracy)",
      .claims = claims(),
      .not_reproduced =
          "Merging that improves on the base's held-out tasks: from the strong base relative"
          " held-out scores stay below 1. (Scores above 1 relative to the weak base, which has seen"
          " upright images only, say more about that base than about merging.)",
      .sabotage =
          "The strong base in the weak one's place: the first claim fails with every seed. The "
          "base in place of two of the four experts (quick): the first claim fails with every "
          "seed, the last one cannot tell.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments

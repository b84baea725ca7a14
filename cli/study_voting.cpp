// `amalgam study voting`: why averaging two models helps under shift, in a model of voting
// features.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/predictions/voting_features.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"
#include "cli/study_commands.hpp"

namespace amalgam::cli {
namespace {

struct VotingStudy {
  std::uint32_t invariant = 2;
  std::uint32_t spurious = 3;
  std::uint32_t shared_invariant = 0;
  std::uint32_t shared_spurious = 0;
  std::uint32_t classes = 3;
  std::vector<double> shifts = {0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1};
  CommonOptions common;
};

// Features of both models, by how they count: shared ones `weight` times as much as others.
std::vector<FeatureGroup> together(const VotingStudy& study, std::uint32_t weight) {
  return {{2 * (study.invariant - study.shared_invariant),
           2 * (study.spurious - study.shared_spurious), 1},
          {study.shared_invariant, study.shared_spurious, weight}};
}

struct Row {
  double shift = 0;
  double single = 0;
  double outputs = 0;  // ensemble of outputs: shared features count twice
  double weights = 0;  // ensemble of weights: four times
};

std::vector<Row> rows_of(const VotingStudy& study) {
  if (study.shared_invariant > study.invariant || study.shared_spurious > study.spurious) {
    throw InputError(
        "study voting: {} invariant and {} spurious features shared of {} and {}; expected at most"
        " as many as a model has",
        study.shared_invariant, study.shared_spurious, study.invariant, study.spurious);
  }
  std::vector<Row> rows;
  for (const double shift : study.shifts) {
    const VotingShift where{study.classes, shift};
    rows.push_back({shift, voting_accuracy({{study.invariant, study.spurious}}, where),
                    voting_accuracy(together(study, 2), where),
                    voting_accuracy(together(study, 4), where)});
  }
  return rows;
}

void run(const VotingStudy& study) {
  const std::vector<Row> rows = rows_of(study);
  if (study.common.json) {
    Json json{{"classes", study.classes}, {"rows", Json::array()}};
    for (const Row& row : rows) {
      json["rows"].push_back({{"shift", row.shift},
                              {"single", row.single},
                              {"output_ensemble", row.outputs},
                              {"weight_ensemble", row.weights}});
    }
    return print_json(json);
  }
  if (study.common.quiet) return;
  using Align = Table::Align;
  Table table({{"shift", Align::right},
               {"one model %", Align::right},
               {"outputs averaged %", Align::right},
               {"weights averaged %", Align::right}});
  for (const Row& row : rows) {
    table.add_row({fmt::format("{}", row.shift), fmt::format("{:.3f}", 100 * row.single),
                   fmt::format("{:.3f}", 100 * row.outputs),
                   fmt::format("{:.3f}", 100 * row.weights)});
  }
  print(table.text());
}

}  // namespace

void register_study_voting(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "voting",
      "Accuracy under shift of one model and of two averaged, where features vote: exact, for"
      " features that stay right and features that may not.");
  command->footer(example(
      "amalgam study voting --invariant 2 --spurious 3 --classes 3 --shift 0.5,0.9,1\n"
      "amalgam study voting --invariant 5 --spurious 20 --shared-invariant 4 --classes 10"));
  auto study = std::make_shared<VotingStudy>();
  const auto features = CLI::Range(0U, 32U);
  command
      ->add_option("--invariant", study->invariant,
                   "Features of a model that always vote for the true class (default 2)")
      ->check(features)
      ->type_name("N");
  command
      ->add_option("--spurious", study->spurious,
                   "Features that a shift may turn to any class (default 3)")
      ->check(features)
      ->type_name("N");
  command
      ->add_option("--shared-invariant", study->shared_invariant,
                   "Invariant ones that both models have (default 0)")
      ->check(features)
      ->type_name("N");
  command
      ->add_option("--shared-spurious", study->shared_spurious,
                   "Spurious ones that both models have (default 0)")
      ->check(features)
      ->type_name("N");
  command->add_option("--classes", study->classes, "Classes (default 3)")
      ->check(CLI::Range(1U, 1000U))
      ->type_name("N");
  command
      ->add_option("--shift", study->shifts,
                   "Probabilities that a spurious feature is turned (default 0, 0.1, ..., 1)")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("P,...");
  add_common_options(*command, study->common, {Common::json, Common::quiet});
  command->callback([study] { run(*study); });
}

}  // namespace amalgam::cli

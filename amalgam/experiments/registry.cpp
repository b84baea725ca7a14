#include <array>
#include <chrono>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/workshop.hpp"

namespace amalgam::experiments {

std::span<const Experiment* const> all_experiments() {
  static const std::array kAll = {&model_soups(),
                                  &sparse_model_soups(),
                                  &fisher_merging(),
                                  &adamerging(),
                                  &fw_merging(),
                                  &pleas(),
                                  &twin_merging(),
                                  &wise_ft_bang(),
                                  &merging_at_scale(),
                                  &crowd_soft_labels(),
                                  &aggregate_responses(),
                                  &autows(),
                                  &best_systems(),
                                  &generalization_difficulty(),
                                  &accuracy_on_the_curve(),
                                  &onebench(),
                                  &observatory(),
                                  &lr0fm(),
                                  &binary_decision_bias()};
  return kAll;
}

const Experiment& find_experiment(std::string_view slug) {
  std::vector<std::string> slugs;
  for (const Experiment* experiment : all_experiments()) {
    if (experiment->slug == slug) return *experiment;
    slugs.push_back(experiment->slug);
  }
  throw InputError("no experiment '{}'{}; 'amalgam reproduce --list' lists them", slug,
                   did_you_mean(std::string(slug), slugs));
}

Result reproduce(const Experiment& experiment, Workshop& workshop, std::size_t seeds,
                 const std::function<void(std::uint64_t seed)>& after_seed) {
  const auto start = std::chrono::steady_clock::now();
  Result result{.experiment = &experiment};
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    result.seeds.push_back(seed);
    result.figures.push_back(experiment.run(workshop, seed));
    if (after_seed) after_seed(seed);
  }
  result.claims = judge(experiment.claims, result.figures);
  for (const Figures& figures : result.figures) {
    const auto alone = judge(experiment.claims, {figures});
    result.seeds_holding += std::ranges::all_of(alone, [](const JudgedClaim& one) {
      return !one.claim->primary || one.seeds_holding == 1;
    });
  }
  const bool shown = std::ranges::all_of(
      result.claims, [](const JudgedClaim& one) { return !one.claim->primary || one.holds; });
  result.verdict = workshop.quick() ? Verdict::quick : shown ? Verdict::shown : Verdict::not_shown;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace amalgam::experiments

#include "amalgam/weights/learned/greedy_soup.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/recipe_arguments.hpp"

namespace amalgam::learned {

GreedySoup greedy_soup(std::size_t members, const SoupScore& score,
                       const GreedySoupOptions& options) {
  std::vector<double> alone(members);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < members; ++i) {
    alone[i] = score(std::span(&i, 1));
    if (!std::isnan(alone[i])) order.push_back(i);
  }
  if (order.empty()) throw InputError("greedy_soup: no member could be scored");
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return alone[a] > alone[b]; });

  GreedySoup soup;
  for (const std::size_t member : order) {
    SoupTrial trial{.member = member, .alone = alone[member]};
    if (soup.ingredients.empty()) {
      trial.before = trial.score = alone[member];
      trial.accepted = true;
      soup.ingredients.push_back(member);
    } else {
      trial.before = soup.score;
      soup.ingredients.push_back(member);
      trial.score = score(soup.ingredients);
      // NaN compares false: rejected.
      trial.accepted = options.strict ? trial.score > trial.before : trial.score >= trial.before;
      if (!trial.accepted) soup.ingredients.pop_back();
    }
    if (trial.accepted) soup.score = trial.score;
    soup.trials.push_back(trial);
  }
  return soup;
}

Recipe uniform_soup(const std::vector<std::string>& members) {
  return recipe_from_arguments(find_merge_rule("linear").info(),
                               {.base = {}, .members = members, .parameters = {"weight=1"}});
}

std::unique_ptr<MemorySource> average_in_memory(
    const std::vector<std::shared_ptr<const TensorSource>>& sources, const EngineOptions& options) {
  return merge_in_memory({.method = "linear", .members = sources, .parameters = {"weight=1"}},
                         options);
}

}  // namespace amalgam::learned

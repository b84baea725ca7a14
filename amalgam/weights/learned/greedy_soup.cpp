#include "amalgam/weights/learned/greedy_soup.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/recipe_arguments.hpp"

namespace amalgam::learned {

namespace {

bool is_better(double score, double than) {
  return !std::isnan(score) && (std::isnan(than) || score > than);
}

class SoupSearch {
 public:
  SoupSearch(std::size_t members, const SoupScore& score, const GreedySoupOptions& options)
      : score_(score), options_(options), alone_(members) {
    for (std::size_t i = 0; i < members; ++i) {
      alone_[i] = score(std::span(&i, 1));
      if (!std::isnan(alone_[i])) order_.push_back(i);
    }
    if (order_.empty()) throw InputError("greedy_soup: no member could be scored");
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return alone_[a] > alone_[b]; });
    if (options.order == GreedySoupOptions::Order::random) {
      const std::vector<std::size_t> best_first = order_;
      const auto shuffled = shuffled_indices(order_.size(), options.seed, "greedy soup");
      for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = best_first[shuffled[i]];
    }
  }

  GreedySoup grown() {
    GreedySoup soup;
    const std::size_t first = order_.front();
    soup.ingredients.push_back(first);
    soup.score = soup.start = alone_[first];
    soup.trials.push_back({first, alone_[first], alone_[first], alone_[first], true});
    repeat([&] { return grow(soup); });
    return soup;
  }

  GreedySoup pruned() {
    GreedySoup soup;
    soup.ingredients = order_;
    soup.score = soup.start = score_(soup.ingredients);
    repeat([&] { return prune(soup); });
    return soup;
  }

 private:
  template <typename Pass>
  void repeat(const Pass& pass) const {
    for (std::uint64_t i = 0; i < options_.passes && pass(); ++i) {
    }
  }

  // One pass over the members that are not in the soup; whether it changed.
  bool grow(GreedySoup& soup) const {
    bool has_changed = false;
    for (const std::size_t member : order_) {
      if (std::ranges::find(soup.ingredients, member) != soup.ingredients.end()) continue;
      SoupTrial trial{.member = member, .alone = alone_[member], .before = soup.score};
      soup.ingredients.push_back(member);
      trial.score = score_(soup.ingredients);
      // NaN compares false: rejected.
      trial.accepted = options_.strict ? trial.score > trial.before : trial.score >= trial.before;
      if (trial.accepted) {
        soup.score = trial.score;
        has_changed = true;
      } else {
        soup.ingredients.pop_back();
      }
      soup.trials.push_back(trial);
    }
    return has_changed;
  }

  bool prune(GreedySoup& soup) const {
    bool has_changed = false;
    for (auto member = order_.rbegin(); member != order_.rend(); ++member) {
      if (soup.ingredients.size() == 1) break;
      std::vector<std::size_t> others = soup.ingredients;
      if (std::erase(others, *member) == 0) continue;
      SoupTrial trial{.member = *member, .alone = alone_[*member], .before = soup.score};
      trial.score = score_(others);
      trial.accepted = is_better(trial.score, trial.before);
      if (trial.accepted) {
        soup.ingredients = std::move(others);
        soup.score = trial.score;
        has_changed = true;
      }
      soup.trials.push_back(trial);
    }
    return has_changed;
  }

  const SoupScore& score_;
  const GreedySoupOptions& options_;
  std::vector<double> alone_;
  std::vector<std::size_t> order_;
};

}  // namespace

GreedySoup greedy_soup(std::size_t members, const SoupScore& score,
                       const GreedySoupOptions& options) {
  SoupSearch search(members, score, options);
  return options.pruned ? search.pruned() : search.grown();
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

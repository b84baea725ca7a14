// Greedy soups: members are chosen by the accuracy of their average on held-out data.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <utility>

#include "amalgam/core/log.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/finite.hpp"
#include "amalgam/weights/learned/greedy_soup.hpp"
#include "amalgam/weights/merge.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/learned_merge.hpp"

namespace amalgam::cli {
namespace {

using learned::GreedySoup;
using learned::SoupTrial;

// Scores averages of members by their accuracy, in the mean over the tasks.
class HeldOutAccuracy {
 public:
  explicit HeldOutAccuracy(LearnedMerge& merge) : data_(merge.data) {
    OpenedMembers opened = open_members(merge.members);
    sources_ = std::move(opened.sources);
    description_ = std::move(opened.network);
    tasks_ = merge.data.tasks(description_);
    engine_.parallel = merge.command.common.parallel();
    for (std::size_t i = 0; i < sources_.size(); ++i) check(i, merge.members[i]);
  }

  // [{"file", "reason"}] of the members that are never in a soup.
  const Json& left_out() const { return left_out_; }

  double operator()(std::span<const std::size_t> members) const {
    check_interrupt();
    for (const std::size_t member : members) {
      if (!usable_[member]) return std::numeric_limits<double>::quiet_NaN();
    }
    const auto network = average(members);
    double sum = 0;
    for (const learning::Dataset& task : tasks_) {
      const torch::Tensor logits = learning::predict_logits(*network, task);
      sum += learning::evaluate(learning::log_probabilities(logits).flatten(0, -2),
                                task.labels.flatten(), task.class_names, {.resamples = 0})
                 .accuracy;
    }
    return sum / static_cast<double>(tasks_.size());
  }

  bool has_batch_norm() const {
    return learning::has_batch_norm(*learning::make_network(description_, "member"));
  }

  // With statistics of its own, if it has BatchNorm.
  std::shared_ptr<learning::Network> average(std::span<const std::size_t> members) const {
    std::vector<std::shared_ptr<const TensorSource>> chosen;
    for (const std::size_t member : members) chosen.push_back(sources_[member]);
    auto network =
        learning::load_network(*learned::average_in_memory(chosen, engine_), description_);
    refresh_batch_norm(*network, &data_);
    return network;
  }

 private:
  // Members of another kind are refused; one that is not finite is never in a soup.
  void check(std::size_t member, const std::string& path) {
    const auto network = learning::load_network(*sources_[member], description_);
    const auto found = learning::first_not_finite(learning::state_of(*network));
    usable_.push_back(!found);
    if (!found) return;
    log::warn("{}: left out: {}", path, *found);
    left_out_.push_back({{"file", path}, {"reason", *found}});
  }

  MergeData& data_;
  std::vector<bool> usable_;
  Json left_out_ = Json::array();
  std::vector<learning::Dataset> tasks_;
  std::vector<std::shared_ptr<const TensorSource>> sources_;
  learning::NetworkDescription description_;
  EngineOptions engine_;
};

Json to_json(const GreedySoup& soup, const LearnedMerge& merge) {
  Json json{{"score", soup.score},
            {"start", soup.start},
            {"ingredients", Json::array()},
            {"trials", Json::array()}};
  for (const std::size_t member : soup.ingredients) {
    json["ingredients"].push_back(merge.members[member]);
  }
  for (const SoupTrial& trial : soup.trials) {
    json["trials"].push_back({{"member", merge.members[trial.member]},
                              {"alone", trial.alone},
                              {"before", trial.before},
                              {"score", trial.score},
                              {"accepted", trial.accepted}});
  }
  return json;
}

void print_soup(const GreedySoup& soup, const LearnedMerge& merge) {
  using Align = Table::Align;
  const bool is_pruned = merge.parameters.flag("pruned");
  Table table({{"member"},
               {"alone %", Align::right},
               {is_pruned ? "soup without it %" : "soup with it %", Align::right},
               {is_pruned ? "dropped" : "kept"}});
  for (const SoupTrial& trial : soup.trials) {
    table.add_row({merge.members[trial.member], percent(trial.alone), percent(trial.score),
                   trial.accepted ? "yes" : "no"});
  }
  print(table.text());
  print(fmt::format("average of {} of {} members, {} % on {}\n", soup.ingredients.size(),
                    merge.members.size(), percent(soup.score), merge.data.describe()));
}

// Runs of one start average well; where they do not, the start is not one or the rates were high.
void warn_of_barriers(const GreedySoup& soup, const LearnedMerge& merge) {
  if (merge.parameters.flag("pruned")) return;
  for (const SoupTrial& trial : soup.trials) {
    if (!(trial.score < std::min(trial.alone, trial.before) - .1)) continue;
    log::warn(
        "{}: {} % alone and the soup without it {} %, but {} % together: it may not share the"
        " others' start; 'amalgam study soup' tells more, and 'pleas' merges such networks",
        merge.members[trial.member], percent(trial.alone), percent(trial.before),
        percent(trial.score));
  }
}

learned::GreedySoupOptions options_of(const LearnedMerge& merge) {
  const Parameters& parameters = merge.parameters;
  const bool at_random = parameters.text("order") == "random";
  return {.strict = parameters.flag("strict"),
          .order = at_random ? learned::GreedySoupOptions::Order::random
                             : learned::GreedySoupOptions::Order::score,
          .passes = count_of(parameters, "passes"),
          .pruned = parameters.flag("pruned"),
          .seed = merge.seed()};
}

}  // namespace

Json merge_greedily(LearnedMerge& merge) {
  const learned::GreedySoupOptions choice = options_of(merge);
  const HeldOutAccuracy accuracy(merge);
  // At most; passes end earlier where nothing changes.
  Progress progress("greedy soup", (1 + choice.passes) * merge.members.size(),
                    Progress::Unit::items, merge.command.common.progress_mode());
  const GreedySoup soup = learned::greedy_soup(
      merge.members.size(),
      [&](std::span<const std::size_t> members) {
        const double score = accuracy(members);
        progress.advance(1);
        return score;
      },
      choice);
  progress.finish();
  warn_of_barriers(soup, merge);

  Json json = to_json(soup, merge);
  json["left_out"] = accuracy.left_out();
  if (accuracy.has_batch_norm()) {
    check_safetensors_output(merge.command.output, {});
    learning::save_network(merge.command.output, *accuracy.average(soup.ingredients),
                           merge.command.overwrite);
    json["batch_norm"] = "estimated anew on " + merge.data.describe();
    if (!merge.command.common.json && !merge.command.common.quiet) print_soup(soup, merge);
    return json;
  }
  std::vector<std::string> chosen;
  for (const std::size_t member : soup.ingredients) chosen.push_back(merge.members[member]);
  MergeOptions options;
  options.output = merge.command.output;
  options.engine.parallel = merge.command.common.parallel();
  options.progress = Progress::Mode::never;
  options.overwrite = merge.command.overwrite;
  merge_checkpoints({learned::uniform_soup(chosen)}, options);
  if (!merge.command.common.json && !merge.command.common.quiet) print_soup(soup, merge);
  return json;
}

}  // namespace amalgam::cli

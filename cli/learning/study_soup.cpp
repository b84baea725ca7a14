// `amalgam study soup`: what averaging gives every pair of fine-tuned networks, and why.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/core/rank_correlation.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/finite.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/soup_diagnostics.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/study.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using learned::NamedTensors;
using learning::Dataset;

struct SoupStudy {
  std::string base;
  std::vector<std::string> members;
  double inverse_temperature = 1;
  DataOptions data;
  CommonOptions common;
};

// What one pair is to each other; errors are shares of wrong predictions.
struct Pair {
  std::size_t first = 0;
  std::size_t second = 0;
  learned::WeightGeometry geometry;
  double mean_error = 0;    // of the two
  double worst_error = 0;   // of the two
  double middle_error = 0;  // of the average of their weights
  learned::SoupVersusEnsemble soup;

  // Interpolation advantage (Wortsman et al. 2022): what the average gains.
  double advantage() const { return mean_error - middle_error; }
  bool has_barrier() const { return middle_error > worst_error + .1; }
};

// The networks and their logits on the data.
class Members {
 public:
  Members(const SoupStudy& study)
      : network_(learning::load_network(*open_checkpoint(study.base))),
        data_(study.data.load(study.common.seed, &network_->description())),
        labels_(data_.labels.flatten()),
        base_(read(study.base)) {
    for (const std::string& path : study.members) {
      states_.push_back(read(path));
      sources_.push_back(learned::as_source(states_.back(), path));
    }
  }

  std::size_t count() const { return states_.size(); }
  std::int64_t examples() const { return data_.count(); }

  Pair compare(std::size_t first, std::size_t second, double inverse_temperature) const {
    Pair pair{.first = first, .second = second};
    pair.geometry = learned::weight_geometry(states_[first], states_[second], base_);
    torch::Tensor ends[2];
    torch::Tensor middle;
    pair.soup = learned::soup_versus_ensemble(
        [&](double alpha) {
          torch::Tensor logits = between(first, second, alpha);
          if (alpha == 0) ends[0] = logits;
          if (alpha == 1) ends[1] = logits;
          if (alpha == .5) middle = logits;
          return logits;
        },
        labels_, {.inverse_temperature = inverse_temperature});
    const double errors[2] = {error_of(ends[0]), error_of(ends[1])};
    pair.mean_error = (errors[0] + errors[1]) / 2;
    pair.worst_error = std::max(errors[0], errors[1]);
    pair.middle_error = error_of(middle);
    return pair;
  }

 private:
  NamedTensors read(const std::string& path) const {
    NamedTensors state = learning::copied_state(
        *learning::load_network(*open_checkpoint(path), network_->description()));
    learning::check_finite(state, path);
    return state;
  }

  torch::Tensor between(std::size_t first, std::size_t second, double alpha) const {
    const learned::MemoryMerge merge{.method = "linear",
                                     .members = {sources_[first], sources_[second]},
                                     .parameters = {fmt::format("weight={},{}", 1 - alpha, alpha)},
                                     .files = {}};
    const auto network =
        learning::load_network(*learned::merge_in_memory(merge), network_->description());
    // Averaged statistics are not those of averaged weights.
    const bool is_average = alpha > 0 && alpha < 1;
    if (is_average && learning::has_batch_norm(*network)) {
      learning::reset_batch_norm(*network, data_);
    }
    const torch::Tensor logits = learning::predict_logits(*network, data_);
    return logits.reshape({-1, logits.size(-1)});
  }

  double error_of(const torch::Tensor& logits) const {
    return 1 - logits.argmax(1).eq(labels_).to(torch::kDouble).mean().item<double>();
  }

  std::shared_ptr<learning::Network> network_;
  Dataset data_;
  torch::Tensor labels_;
  NamedTensors base_;
  std::vector<NamedTensors> states_;
  std::vector<learned::SourcePointer> sources_;
};

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

// Whether pairs at larger angles gain more, as the paper finds.
Json angle_correlation(const std::vector<Pair>& pairs) {
  std::vector<double> angles;
  std::vector<double> advantages;
  for (const Pair& pair : pairs) {
    if (std::isnan(pair.geometry.angle)) continue;
    angles.push_back(pair.geometry.angle);
    advantages.push_back(pair.advantage());
  }
  return angles.size() < 3 ? Json() : number_or_null(spearman(angles, advantages));
}

Json pair_json(const Pair& pair, const SoupStudy& study) {
  return {{"members", {study.members[pair.first], study.members[pair.second]}},
          {"angle", number_or_null(pair.geometry.angle)},
          {"distance", pair.geometry.distance},
          {"relative_distance", pair.geometry.relative_distance},
          {"mean_error", pair.mean_error},
          {"middle_error", pair.middle_error},
          {"advantage", pair.advantage()},
          {"soup_loss", pair.soup.soup_loss},
          {"ensemble_loss", pair.soup.ensemble_loss},
          {"soup_minus_ensemble", pair.soup.measured()},
          {"predicted", pair.soup.predicted},
          {"curvature", pair.soup.curvature},
          {"variance", pair.soup.variance}};
}

void print_pairs(const std::vector<Pair>& pairs, const Json& correlation, const SoupStudy& study) {
  using Align = Table::Align;
  Table table({{"networks"},
               {"angle", Align::right},
               {"relative distance", Align::right},
               {"mean error %", Align::right},
               {"error of the average %", Align::right},
               {"advantage %", Align::right},
               {"soup - ensemble, nats", Align::right},
               {"predicted", Align::right}});
  for (const Pair& pair : pairs) {
    table.add_row(
        {study.members[pair.first] + ", " + study.members[pair.second],
         std::isnan(pair.geometry.angle) ? "-" : fmt::format("{:.1f}", pair.geometry.angle),
         fmt::format("{:.3f}", pair.geometry.relative_distance), percent(pair.mean_error),
         percent(pair.middle_error), percent(pair.advantage()),
         fmt::format("{:+.5f}", pair.soup.measured()),
         fmt::format("{:+.5f}", pair.soup.predicted)});
  }
  print(table.text());
  if (correlation.is_null()) return;
  print(
      fmt::format("rank correlation of angle and advantage: {:+.2f}\n", correlation.get<double>()));
}

void warn_of_barriers(const std::vector<Pair>& pairs, const SoupStudy& study) {
  for (const Pair& pair : pairs) {
    if (!pair.has_barrier()) continue;
    log::warn(
        "{} and {}: {:.1f} % wrong at most, their average {:.1f} %, at a distance of {:.2f} of"
        " their norm: they do not lie in one basin, or do not share a start; 'pleas' merges such"
        " networks",
        study.members[pair.first], study.members[pair.second], 100 * pair.worst_error,
        100 * pair.middle_error, pair.geometry.relative_distance);
  }
}

void run(const SoupStudy& study) {
  if (study.members.size() < 2) {
    throw InputError("study soup: {} network; expected at least two beside the base",
                     study.members.size());
  }
  learning::set_threads(study.common.threads);
  const Members members(study);
  std::vector<Pair> pairs;
  Progress progress("comparing pairs", members.count() * (members.count() - 1) / 2,
                    Progress::Unit::items, study.common.progress_mode());
  for (std::size_t first = 0; first < members.count(); ++first) {
    for (std::size_t second = first + 1; second < members.count(); ++second) {
      check_interrupt();
      pairs.push_back(members.compare(first, second, study.inverse_temperature));
      progress.advance(1);
    }
  }
  progress.finish();
  warn_of_barriers(pairs, study);
  const Json correlation = angle_correlation(pairs);
  if (study.common.json) {
    Json json{{"base", study.base},
              {"data", study.data.describe()},
              {"examples", members.examples()},
              {"inverse_temperature", study.inverse_temperature},
              {"pairs", Json::array()},
              {"angle_and_advantage", correlation}};
    for (const Pair& pair : pairs) json["pairs"].push_back(pair_json(pair, study));
    return print_json(json);
  }
  if (!study.common.quiet) print_pairs(pairs, correlation, study);
}

}  // namespace

void register_study_soup(CLI::App& parent) {
  CLI::App* command = parent.add_subcommand(
      "soup",
      "For every pair of networks fine-tuned from one base: what averaging their weights gains, at"
      " which angle they left the base, and how far the average is from the ensemble.");
  command->footer(
      example("amalgam study soup base.safetensors members/*.safetensors --split validation"));
  auto study = std::make_shared<SoupStudy>();
  command->add_option("base", study->base, "What the networks were fine-tuned from")
      ->required()
      ->type_name("FILE");
  command->add_option("members", study->members, "The fine-tuned networks, at least two")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--inverse-temperature", study->inverse_temperature,
                   "By which logits are multiplied in the losses (default 1)")
      ->check(CLI::Range(1e-6, 1e6))
      ->type_name("BETA");
  add_data_options(*command, study->data, "validation");
  add_learning_options(*command, study->common);
  command->callback([study] { run(*study); });
}

}  // namespace amalgam::cli

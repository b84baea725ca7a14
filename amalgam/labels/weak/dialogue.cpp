#include "amalgam/labels/weak/dialogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* acquisition_name(Acquisition acquisition) {
  switch (acquisition) {
    case Acquisition::level_set:
      return "level-set";
    case Acquisition::active_search:
      return "active-search";
    case Acquisition::random:
      return "random";
  }
  return "";
}

// What a state must agree with: the candidates by what they do.
std::string fingerprint(const FunctionCandidates& candidates) {
  std::string text;
  for (std::size_t j = 0; j < candidates.functions.size(); ++j) {
    text += fmt::format("{};{};{};", describe(candidates.functions[j]), candidates.coverage[j],
                        candidates.accuracy[j]);
  }
  return fmt::format("{:016x}", fnv1a64(text));
}

nlohmann::json options_json(const DialogueOptions& options, const FunctionCandidates& candidates) {
  return {{"acquisition", acquisition_name(options.acquisition)},
          {"queries", options.queries},
          {"seeds", options.seeds},
          {"usefulness", options.usefulness},
          {"unverified", options.unverified},
          {"seed", options.seed},
          {"candidates", candidates.functions.size()},
          {"fingerprint", fingerprint(candidates)}};
}

}  // namespace

double straddle(double mean, double deviation, double r) {
  return 1.96 * deviation - std::abs(mean - r);
}

Dialogue::Dialogue(const FunctionCandidates& candidates, const UsefulnessModel& model,
                   const DialogueOptions& options)
    : candidates_(candidates), model_(model), options_(options) {
  if (candidates.functions.size() <= options.seeds) {
    throw InputError(
        "{} candidates for labelling functions; expected more than the {} that are taken"
        " as useful to begin with",
        candidates.functions.size(), options.seeds);
  }
  seeds_ = shuffled_indices(candidates.functions.size(), options.seed, "dialogue seeds");
  seeds_.resize(options.seeds);
  std::ranges::sort(seeds_);
}

std::vector<DialogueAnswer> Dialogue::known() const {
  std::vector<DialogueAnswer> all;
  for (const std::size_t seed : seeds_) all.push_back({seed, true});
  all.insert(all.end(), answers_.begin(), answers_.end());
  return all;
}

bool Dialogue::is_known(std::size_t function) const {
  return std::ranges::find(seeds_, function) != seeds_.end() ||
         std::ranges::find(answers_, function, &DialogueAnswer::function) != answers_.end();
}

Usefulness Dialogue::believed() const {
  const Usefulness usefulness =
      model_(candidates_.features, known(), options_.seed + answers_.size());
  if (usefulness.mean.size() != candidates_.functions.size() ||
      usefulness.deviation.size() != candidates_.functions.size()) {
    throw InputError("the model of usefulness gave {} means for {} candidates",
                     usefulness.mean.size(), candidates_.functions.size());
  }
  return usefulness;
}

std::optional<std::size_t> Dialogue::next() {
  if (pending_) return pending_;
  if (answers_.size() >= options_.queries ||
      seeds_.size() + answers_.size() >= candidates_.functions.size()) {
    return std::nullopt;
  }
  pending_ = choose();
  return pending_;
}

std::size_t Dialogue::choose() const {
  std::vector<std::size_t> open;
  for (std::size_t j = 0; j < candidates_.functions.size(); ++j) {
    if (!is_known(j)) open.push_back(j);
  }
  if (options_.acquisition == Acquisition::random) {
    RandomStream random(options_.seed, fmt::format("dialogue query {}", answers_.size()));
    return open[random.below(open.size())];
  }
  const Usefulness usefulness = believed();
  const auto value = [&](std::size_t j) {
    return options_.acquisition == Acquisition::active_search
               ? usefulness.mean[j]
               : straddle(usefulness.mean[j], usefulness.deviation[j], options_.usefulness);
  };
  return *std::ranges::max_element(open, {}, value);
}

void Dialogue::answer(bool useful) {
  const std::optional<std::size_t> function = next();
  if (!function) throw InputError("the dialogue is over: there is no question to answer");
  answers_.push_back({*function, useful});
  pending_.reset();
}

std::vector<std::size_t> Dialogue::selected() const {
  std::vector<std::size_t> chosen;
  for (const DialogueAnswer& one : answers_) {
    if (one.useful) chosen.push_back(one.function);
  }
  if (options_.acquisition == Acquisition::level_set && options_.unverified > 0) {
    const Usefulness usefulness = believed();
    std::vector<std::size_t> others;
    for (std::size_t j = 0; j < candidates_.functions.size(); ++j) {
      const bool asked =
          std::ranges::find(answers_, j, &DialogueAnswer::function) != answers_.end();
      if (!asked && usefulness.mean[j] >= options_.usefulness) others.push_back(j);
    }
    std::ranges::stable_sort(others, std::greater{}, [&](std::size_t j) {
      return (2 * usefulness.mean[j] - 1) * candidates_.coverage[j];
    });
    others.resize(std::min(others.size(), options_.unverified));
    chosen.insert(chosen.end(), others.begin(), others.end());
  }
  std::ranges::sort(chosen);
  return chosen;
}

std::string Dialogue::save() const {
  nlohmann::json answers = nlohmann::json::array();
  for (const DialogueAnswer& one : answers_) {
    answers.push_back({{"function", one.function}, {"useful", one.useful}});
  }
  return nlohmann::json{{"version", 1},
                        {"options", options_json(options_, candidates_)},
                        {"answers", std::move(answers)}}
      .dump(2);
}

void Dialogue::restore(std::string_view state, const std::string& where) {
  const nlohmann::json json = nlohmann::json::parse(state, nullptr, false);
  const auto damaged = [&](const char* what) {
    return InputError("{}: the state of the dialogue is damaged: {}", where, what);
  };
  if (!json.is_object()) throw damaged("it is no JSON object");
  if (json.value("version", nlohmann::json()) != 1) {
    throw InputError("{}: not the state of a dialogue of version 1", where);
  }
  const nlohmann::json expected = options_json(options_, candidates_);
  const nlohmann::json options = json.value("options", nlohmann::json());
  if (!options.is_object()) throw damaged("'options' is no object");
  for (const auto& [key, value] : expected.items()) {
    if (options.value(key, nlohmann::json()) == value) continue;
    throw InputError("{}: the state of another dialogue: its '{}' is {}, but this one's {}", where,
                     key, options.value(key, nlohmann::json()).dump(), value.dump());
  }
  const nlohmann::json list = json.value("answers", nlohmann::json());
  if (!list.is_array()) throw damaged("'answers' is no list");
  std::vector<DialogueAnswer> answers;
  for (const nlohmann::json& one : list) {
    if (!one.is_object() || !one.value("useful", nlohmann::json()).is_boolean() ||
        !one.value("function", nlohmann::json()).is_number_unsigned()) {
      throw damaged("an answer is not {function, useful}");
    }
    const auto function = one["function"].get<std::uint64_t>();
    const bool again =
        std::ranges::find(answers, function, &DialogueAnswer::function) != answers.end() ||
        std::ranges::find(seeds_, function) != seeds_.end();
    if (function >= candidates_.functions.size() || again) {
      throw InputError("{}: an answer about function {}; expected one of {} that is not known yet",
                       where, function, candidates_.functions.size());
    }
    answers.push_back({static_cast<std::size_t>(function), one["useful"].get<bool>()});
  }
  if (answers.size() > options_.queries) throw damaged("there are more answers than queries");
  answers_ = std::move(answers);
  pending_.reset();
}

void hold(Dialogue& dialogue, const std::function<bool(std::size_t function)>& oracle) {
  while (const std::optional<std::size_t> function = dialogue.next()) {
    check_interrupt();
    dialogue.answer(oracle(*function));
  }
}

std::function<bool(std::size_t function)> labelled_oracle(const FunctionCandidates& candidates,
                                                          double threshold) {
  return [&candidates, threshold](std::size_t function) {
    return candidates.accuracy[function] > threshold;
  };
}

}  // namespace amalgam::labels

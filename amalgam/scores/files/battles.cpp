#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"
#include "amalgam/scores/files/readers.hpp"

namespace amalgam::scores {
namespace {

constexpr double kLargestCovariate = 1e30;  // so that differences are finite

bool equal_in_any_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::ranges::equal(text, lower, [](char a, char b) { return lower_case(a) == b; });
}

std::optional<std::int8_t> outcome_of_word(std::string_view text) {
  struct Word {
    std::string_view text;
    std::int8_t outcome;
  };
  constexpr std::array<Word, 15> kWords{{{"model_a", 1},
                                         {"model_b", -1},
                                         {"tie", 0},
                                         {"tie (bothbad)", 0},
                                         {"a", 1},
                                         {"b", -1},
                                         {"left", 1},
                                         {"right", -1},
                                         {"both", 0},
                                         {"draw", 0},
                                         {"both_bad", 0},
                                         {"bothbad", 0},
                                         {"both bad", 0},
                                         {"tied", 0},
                                         {"equal", 0}}};
  for (const Word& word : kWords) {
    if (equal_in_any_case(text, word.text)) return word.outcome;
  }
  return std::nullopt;
}

bool is_false(std::string_view text) { return equal_in_any_case(text, "false") || text == "0"; }

// The outcome of a row: one column that names the winner, or three of which one is 1.
class Winner {
 public:
  Winner(Records& records, const ScoreFormat& format) : records_(records) {
    if (format.winner.empty() && records.find("winner") == Records::npos) {
      first_ = records.find("winner_model_a");
      second_ = records.find("winner_model_b");
      if (first_ != Records::npos && second_ != Records::npos) {
        tie_ = records.find("winner_tie");
        return;
      }
    }
    winner_ = records.choose(format.winner, {"winner"}, true);
  }

  std::int8_t outcome(std::string_view first, std::string_view second) {
    if (winner_ == Records::npos) return of_flags();
    const std::string_view text = records_.text(winner_);
    if (text == first) return 1;
    if (text == second) return -1;
    if (known_ && text == last_) return last_outcome_;
    const std::optional<std::int8_t> found = outcome_of_word(text);
    if (!found) {
      throw InputError(
          "{}: the winner is '{}'; expected model_a, model_b, tie or the name of one of both "
          "systems",
          records_.place(winner_), printable(text));
    }
    known_ = true;
    last_ = text;
    last_outcome_ = *found;
    return *found;
  }

 private:
  bool flag(std::size_t column) const {
    if (column == Records::npos) return false;
    const std::optional<double> value = number_of(records_, column, "flag of the winner");
    if (!value || (*value != 0 && *value != 1)) {
      throw InputError("{}: the flag of the winner is '{}'; expected 0 or 1",
                       records_.place(column), printable(records_.text(column)));
    }
    return *value == 1;
  }

  std::int8_t of_flags() const {
    const int count = static_cast<int>(flag(first_)) + static_cast<int>(flag(second_)) +
                      static_cast<int>(flag(tie_));
    if (count > 1 || (count == 0 && tie_ != Records::npos)) {
      throw InputError("{}: {} of the flags of the winner are 1; expected one",
                       records_.place(first_), count);
    }
    if (flag(first_)) return 1;
    return flag(second_) ? std::int8_t{-1} : std::int8_t{0};
  }

  Records& records_;
  std::size_t winner_ = Records::npos;
  std::size_t first_ = Records::npos;
  std::size_t second_ = Records::npos;
  std::size_t tie_ = Records::npos;
  std::string last_;
  std::int8_t last_outcome_ = 0;
  bool known_ = false;
};

// One covariate: a column of differences, or one for each side.
class Covariate {
 public:
  Covariate(Records& records, const std::string& name, bool relative)
      : records_(records), relative_(relative) {
    first_ = records.find(name);
    if (first_ != Records::npos) return;
    for (const auto& [a, b] : sides(name)) {
      first_ = records.find(a);
      second_ = records.find(b);
      if (first_ != Records::npos && second_ != Records::npos) return;
    }
    first_ = records.need(name);
  }

  float value() const {
    const double a = number(first_);
    if (second_ == Records::npos) return static_cast<float>(a);
    const double b = number(second_);
    if (!relative_) return static_cast<float>(a - b);
    if (a < 0 || b < 0) {
      throw InputError("{}: a covariate that is relative is negative; expected counts or lengths",
                       records_.place(a < 0 ? first_ : second_));
    }
    return a + b == 0 ? 0.0F : static_cast<float>((a - b) / (a + b));
  }

 private:
  static std::vector<std::pair<std::string, std::string>> sides(const std::string& name) {
    std::vector<std::pair<std::string, std::string>> pairs{{name + "_a", name + "_b"}};
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kArena{
        {{"tokens", "sum_assistant_{}_tokens"},
         {"headers", "header_count_{}"},
         {"lists", "list_count_{}"},
         {"bold", "bold_count_{}"}}};
    for (const auto& [word, key] : kArena) {
      if (name != word) continue;
      for (const std::string_view prefix : {"conv_metadata.", ""}) {
        const std::string whole = std::string(prefix) + std::string(key);
        pairs.emplace_back(fmt::format(fmt::runtime(whole), 'a'),
                           fmt::format(fmt::runtime(whole), 'b'));
      }
    }
    return pairs;
  }

  double number(std::size_t column) const {
    const std::optional<double> value = number_of(records_, column, "covariate");
    if (!value || std::abs(*value) > kLargestCovariate) {
      throw InputError("{}: the covariate is '{}'; expected a number of at most {:g}",
                       records_.place(column), printable(records_.text(column)), kLargestCovariate);
    }
    return *value;
  }

  const Records& records_;
  bool relative_;
  std::size_t first_ = Records::npos;
  std::size_t second_ = Records::npos;
};

class BattleReader {
 public:
  BattleReader(Records& records, bool arena, Measurements& into)
      : records_(records), into_(into), winner_(records, into.format()) {
    const ScoreFormat& format = into.format();
    first_ = records.choose(format.first, {"model_a"}, true);
    second_ = records.choose(format.second, {"model_b"}, true);
    weight_ = records.choose(format.weight, {"weight"}, false);
    cluster_ = records.choose(format.cluster, {"cluster"}, false);
    time_ = records.choose(format.time, {"tstamp", "timestamp"}, false);
    if (arena) {
      anonymous_ = records.find("anony");
      sampled_ = records.find("dedup_tag.sampled");
    }
    for (const std::string& name : format.covariates) {
      covariates_.emplace_back(records, name, format.relative_covariates);
    }
    check_that_files_agree();
  }

  void read() {
    bool any = false;
    for (; records_.next(); any = true) {
      if (does_not_count()) {
        ++into_.notes().dropped;
      } else {
        read_row();
      }
    }
    if (!any) throw InputError("{}: it has a header but no rows", records_.where());
  }

 private:
  // Columns of comparisons are there for all of them or for none.
  void check_that_files_agree() const {
    const Comparisons& before = into_.comparisons();
    if (before.empty()) {
      into_.comparisons().covariate_names = into_.format().covariates;
      return;
    }
    const auto check = [&](bool had, bool has, std::string_view column) {
      if (had != has) {
        throw InputError("{}: it has {} column of {}, but the files before it have {}",
                         records_.where(), has ? "a" : "no", column, had ? "one" : "none");
      }
    };
    check(!before.weights.empty(), weight_ != Records::npos, "weights");
    check(!before.clusters.empty(), cluster_ != Records::npos, "clusters");
  }

  bool does_not_count() const {
    return (anonymous_ != Records::npos && is_false(records_.text(anonymous_))) ||
           (sampled_ != Records::npos && is_false(records_.text(sampled_)));
  }

  System system(std::size_t column) {
    return into_.system(records_.text(column), [&] { return records_.place(column); });
  }

  void read_row() {
    const System first = system(first_);
    const System second = system(second_);
    const std::int8_t outcome = winner_.outcome(records_.text(first_), records_.text(second_));
    float weight = 1;
    if (weight_ != Records::npos) {
      weight = static_cast<float>(weight_of_text(records_.text(weight_), records_.place(weight_)));
    }
    if (first == second) {
      ++into_.notes().dropped;
      return;
    }
    Comparisons& into = into_.comparisons();
    into.first.push_back(first);
    into.second.push_back(second);
    into.outcomes.push_back(outcome);
    if (weight_ != Records::npos) into.weights.push_back(weight);
    if (cluster_ != Records::npos) into.clusters.push_back(into_.cluster(records_.text(cluster_)));
    into_.comparison_times().push_back(time());
    for (const Covariate& covariate : covariates_) into.covariates.push_back(covariate.value());
  }

  // Seconds; other ways to write times only count as far as they are asked for, and are refused.
  double time() const {
    if (time_ == Records::npos) return NAN;
    const std::optional<double> time = cell_number(records_.text(time_));
    if (time && std::isfinite(*time)) return *time;
    if (into_.format().time.empty()) return NAN;
    throw InputError("{}: the time is '{}'; expected a number of seconds", records_.place(time_),
                     printable(records_.text(time_)));
  }

  Records& records_;
  Measurements& into_;
  Winner winner_;
  std::size_t first_;
  std::size_t second_;
  std::size_t weight_;
  std::size_t cluster_;
  std::size_t time_;
  std::size_t anonymous_ = Records::npos;
  std::size_t sampled_ = Records::npos;
  std::vector<Covariate> covariates_;
};

}  // namespace

void read_battles(Records& records, bool arena, Measurements& into) {
  BattleReader(records, arena, into).read();
}

}  // namespace amalgam::scores

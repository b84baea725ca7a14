#include "amalgam/scores/studies/decision_reference.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/line_reader.hpp"

namespace amalgam::scores {
namespace {

constexpr std::array kSources{ReferenceSource::prng, ReferenceSource::human,
                              ReferenceSource::system};

// Uniform on [0, 1) from the operating system.
class SystemEntropy {
 public:
  double uniform() {
    if (used_ == words_.size()) refill();
    return static_cast<double>(words_[used_++] >> 11U) * 0x1p-53;
  }

 private:
  void refill() {
    if (getentropy(words_.data(), sizeof words_) != 0) {
      throw Error("the operating system gives no entropy (error {})", errno);
    }
    used_ = 0;
  }

  std::array<std::uint64_t, 32> words_{};
  std::size_t used_ = words_.size();
};

void check(ReferenceSource source, const ReferenceOptions& options) {
  if (!(options.yes > 0 && options.yes < 1)) {
    throw InputError("a share of yes of {}; expected one between 0 and 1", options.yes);
  }
  const double most = 2 * std::min(options.yes, 1 - options.yes);
  if (source == ReferenceSource::human &&
      !(options.switch_rate > 0 && options.switch_rate <= most)) {
    throw InputError("a switch rate of {}; with a share of yes of {} it is above 0 and at most {}",
                     options.switch_rate, options.yes, most);
  }
}

// A chain whose chance of yes after no and after yes is `after`.
template <class Uniform>
std::vector<std::int8_t> draw_chain(std::uint64_t length, double yes,
                                    const std::array<double, 2>& after, Uniform& random) {
  std::vector<std::int8_t> answers;
  answers.reserve(length);
  double chance = yes;
  for (std::uint64_t i = 0; i < length; ++i) {
    const bool is_yes = random.uniform() < chance;
    answers.push_back(is_yes ? kYes : kNo);
    chance = after[is_yes ? 1 : 0];
  }
  return answers;
}

}  // namespace

ReferenceSource parse_reference(std::string_view text) {
  std::vector<std::string> names;
  for (const ReferenceSource source : kSources) {
    if (reference_name(source) == text) return source;
    names.emplace_back(reference_name(source));
  }
  throw InputError("no reference '{}'{}; there are {}", text,
                   did_you_mean(std::string(text), names), join(names, ", "));
}

std::string_view reference_name(ReferenceSource source) {
  switch (source) {
    case ReferenceSource::prng:
      return "prng";
    case ReferenceSource::human:
      return "human";
    case ReferenceSource::system:
      return "system";
  }
  return "";
}

DecisionGroup make_reference(ReferenceSource source, const std::vector<std::uint64_t>& lengths,
                             const ReferenceOptions& options) {
  check(source, options);
  const std::string name(reference_name(source));
  DecisionGroup group{.name = "reference: " + name, .setting = "reference: " + name};
  std::array<double, 2> after{options.yes, options.yes};
  if (source == ReferenceSource::human) {
    after = {options.switch_rate / (2 * (1 - options.yes)),
             1 - options.switch_rate / (2 * options.yes)};
  }
  RandomStream random(options.seed, "reference " + name);
  SystemEntropy entropy;
  for (const std::uint64_t length : lengths) {
    DecisionSeries series{.name = fmt::format("{}", group.series.size() + 1)};
    series.answers = source == ReferenceSource::system
                         ? draw_chain(length, options.yes, after, entropy)
                         : draw_chain(length, options.yes, after, random);
    group.series.push_back(std::move(series));
  }
  return group;
}

Proportion corpus_frequency(const std::filesystem::path& path, const AnswerWords& words) {
  LineReader reader(path);
  Proportion found;
  const auto is_letter = [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return code >= 0x80 || (code >= 'a' && code <= 'z') || (code >= '0' && code <= '9');
  };
  std::string word;
  const auto finish = [&] {
    const bool yes = std::ranges::find(words.yes, word) != words.yes.end();
    const bool no = std::ranges::find(words.no, word) != words.no.end();
    if (yes || no) ++found.trials;
    if (yes) ++found.successes;
    word.clear();
  };
  while (reader.next()) {
    for (const char letter : reader.line()) {
      const char c = lower_case(letter);
      if (is_letter(c)) {
        word += c;
      } else {
        finish();
      }
    }
    finish();
  }
  return found;
}

}  // namespace amalgam::scores

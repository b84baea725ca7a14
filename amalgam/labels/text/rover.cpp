#include "amalgam/labels/text/rover.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::labels {
namespace {

/// A place in the text to be: what was said there, in the order in which it came. An empty word is
/// that nothing was said.
struct Place {
  struct Votes {
    std::string_view word;
    std::uint32_t count = 0;
  };
  std::vector<Votes> said;

  bool has(std::string_view word) const {
    return std::ranges::any_of(said, [&](const Votes& votes) { return votes.word == word; });
  }
  void add(std::string_view word, std::uint32_t count = 1) {
    for (Votes& votes : said) {
      if (votes.word != word) continue;
      votes.count += count;
      return;
    }
    said.push_back({word, count});
  }
  const Votes& winner() const {
    return *std::ranges::max_element(said, {}, &Votes::count);  // the first of equal ones
  }
};

enum Step : std::uint8_t { kSame, kSkipPlace, kNewPlace };

/// The cheapest way through places and words, from the end to the start.
std::vector<Step> align(const std::vector<Place>& places,
                        const std::vector<std::string_view>& words) {
  constexpr std::uint64_t kMostSteps = 100'000'000;
  const std::size_t width = words.size() + 1;
  if (static_cast<std::uint64_t>(places.size() + 1) * width > kMostSteps) {
    throw InputError(
        "a text of {} words and one of {} are too long to be aligned; expected a "
        "product of at most {}",
        places.size(), words.size(), kMostSteps);
  }
  check_interrupt();
  std::vector<Step> steps((places.size() + 1) * width, kNewPlace);
  std::vector<std::uint32_t> above(width);
  std::vector<std::uint32_t> current(width);
  for (std::size_t j = 0; j < width; ++j) above[j] = static_cast<std::uint32_t>(j);
  for (std::size_t i = 1; i <= places.size(); ++i) {
    const std::uint32_t skip = places[i - 1].has({}) ? 0 : 1;
    current[0] = above[0] + skip;
    steps[i * width] = kSkipPlace;
    for (std::size_t j = 1; j < width; ++j) {
      const std::uint32_t same = above[j - 1] + (places[i - 1].has(words[j - 1]) ? 0 : 1);
      const std::uint32_t skipped = above[j] + skip;
      const std::uint32_t added = current[j - 1] + 1;
      current[j] = std::min({same, skipped, added});
      steps[i * width + j] = current[j] == same      ? kSame
                             : current[j] == skipped ? kSkipPlace
                                                     : kNewPlace;
    }
    above.swap(current);
  }
  std::vector<Step> way;
  std::size_t i = places.size();
  std::size_t j = words.size();
  while (i > 0 || j > 0) {
    way.push_back(steps[i * width + j]);
    if (way.back() != kNewPlace) --i;
    if (way.back() != kSkipPlace) --j;
  }
  return way;
}

// `texts_before`: how many have been aligned; they said nothing at a new place.
std::vector<Place> merged(std::vector<Place>&& places, const std::vector<std::string_view>& words,
                          std::uint32_t texts_before) {
  const std::vector<Step> way = align(places, words);
  std::vector<Place> all;
  all.reserve(way.size());
  std::size_t i = 0;
  std::size_t j = 0;
  for (auto step = way.rbegin(); step != way.rend(); ++step) {
    if (*step == kNewPlace) {
      Place place;
      if (texts_before > 0) place.add({}, texts_before);
      place.add(words[j++]);
      all.push_back(std::move(place));
      continue;
    }
    all.push_back(std::move(places[i++]));
    all.back().add(*step == kSame ? words[j++] : std::string_view());
  }
  return all;
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  std::vector<std::string_view> words;
  std::size_t begin = text.find_first_not_of(kBlanks);
  while (begin != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kBlanks, end);
  }
  return words;
}

Transcription rover(std::span<const std::string_view> texts) {
  if (texts.empty()) throw InputError("rover: there is no text; expected at least one");
  std::vector<Place> places;
  std::uint32_t before = 0;
  for (const std::string_view text : texts)
    places = merged(std::move(places), words_of(text), before++);
  Transcription result;
  double votes = 0;
  for (const Place& place : places) {
    const Place::Votes& winner = place.winner();
    votes += winner.count;
    if (winner.word.empty()) continue;
    if (!result.text.empty()) result.text += ' ';
    result.text += winner.word;
  }
  if (!places.empty()) {
    result.agreement =
        votes / static_cast<double>(places.size()) / static_cast<double>(texts.size());
  }
  return result;
}

}  // namespace amalgam::labels

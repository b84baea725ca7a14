// TextCutter: the pieces that no token crosses.
#include "amalgam/checkpoint/text_cutter.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/characters.hpp"
#include "amalgam/checkpoint/text_pattern.hpp"
#include "amalgam/checkpoint/text_settings.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {

struct TextCutter::Step {
  std::function<std::vector<std::string>(std::string piece, bool is_beginning)> cut;
};

namespace {

using nlohmann::json;
using Step = TextCutter::Step;
using Pieces = std::vector<std::string>;

// The expression of GPT-2, which ByteLevel cuts by.
constexpr const char* kWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr const char* kWhiteSpace = R"(\p{White_Space})";
constexpr const char* kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";
// What Whitespace keeps: words (UTS 18, annex C), and what else is not white space.
constexpr const char* kWordsOrOthers =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)"
    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\p{White_Space}]+)";

enum class Behaviour { removed, isolated, with_previous, with_next, contiguous };

// The text as ranges that are matches or what lies between them.
struct Part {
  TextRange range;
  bool is_match = false;
};

std::vector<Part> parts_of(std::string_view text, const TextPattern& pattern) {
  std::vector<Part> parts;
  std::size_t from = 0;
  for (const TextRange& match : pattern.find_all(text)) {
    if (match.begin > from) parts.push_back({{from, match.begin}, false});
    parts.push_back({match, true});
    from = match.end;
  }
  if (from < text.size()) parts.push_back({{from, text.size()}, false});
  return parts;
}

// Whether a part goes with the one before it.
bool joins(Behaviour behaviour, const Part& before, const Part& part) {
  switch (behaviour) {
    case Behaviour::with_previous:
      return part.is_match && !before.is_match;
    case Behaviour::with_next:
      return before.is_match && !part.is_match;
    case Behaviour::contiguous:
      return before.is_match == part.is_match;
    default:
      return false;
  }
}

Pieces cut_by(const std::string& text, const TextPattern& pattern, Behaviour behaviour,
              bool inverted) {
  std::vector<Part> parts = parts_of(text, pattern);
  for (Part& part : parts) part.is_match = part.is_match != inverted;
  Pieces pieces;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (behaviour == Behaviour::removed && parts[i].is_match) {
      if (i == 0) pieces.emplace_back();  // so that the next one is not taken for the beginning
      continue;
    }
    const std::string piece =
        text.substr(parts[i].range.begin, parts[i].range.end - parts[i].range.begin);
    if (i > 0 && joins(behaviour, parts[i - 1], parts[i])) {
      pieces.back() += piece;
    } else {
      pieces.push_back(piece);
    }
  }
  return pieces;
}

Step byte_level(const json& settings, std::string_view where) {
  const bool adds_space = flag_setting(settings, "add_prefix_space", true);
  std::vector<TextPattern> words;
  if (flag_setting(settings, "use_regex", true)) {
    words.push_back(TextPattern::expression(kWords, where));
  }
  return {[adds_space, words](std::string piece, bool) {
    if (adds_space && !piece.starts_with(' ')) piece.insert(0, 1, ' ');
    Pieces pieces = words.empty() ? Pieces{std::move(piece)}
                                  : cut_by(piece, words.front(), Behaviour::isolated, false);
    for (std::string& one : pieces) one = bytes_as_letters(one);
    return pieces;
  }};
}

Behaviour behaviour_setting(const json& settings, std::string_view where) {
  static const std::array<std::pair<const char*, Behaviour>, 5> kBehaviours = {
      {{"Removed", Behaviour::removed},
       {"Isolated", Behaviour::isolated},
       {"MergedWithPrevious", Behaviour::with_previous},
       {"MergedWithNext", Behaviour::with_next},
       {"Contiguous", Behaviour::contiguous}}};
  const std::string name = text_setting(settings, "behavior", where);
  const auto found = std::find_if(kBehaviours.begin(), kBehaviours.end(),
                                  [&](const auto& one) { return one.first == name; });
  if (found == kBehaviours.end()) {
    throw InputError("{}: the behaviour '{}' of a pre-tokenizer is not known", where, name);
  }
  return found->second;
}

Step cutting_by(TextPattern pattern, Behaviour behaviour, bool inverted = false) {
  return {[pattern = std::move(pattern), behaviour, inverted](const std::string& piece, bool) {
    return cut_by(piece, pattern, behaviour, inverted);
  }};
}

Step split(const json& settings, std::string_view where) {
  return cutting_by(pattern_setting(settings, where), behaviour_setting(settings, where),
                    flag_setting(settings, "invert", false));
}

Step punctuation(const json& settings, std::string_view where) {
  const Behaviour behaviour =
      settings.contains("behavior") ? behaviour_setting(settings, where) : Behaviour::isolated;
  return cutting_by(TextPattern::expression(kPunctuation, where), behaviour);
}

Step bert(std::string_view where) {
  return {
      [white_space = TextPattern::expression(kWhiteSpace, where),
       punctuation = TextPattern::expression(kPunctuation, where)](const std::string& piece, bool) {
        Pieces pieces;
        for (const std::string& word : cut_by(piece, white_space, Behaviour::removed, false)) {
          Pieces parts = cut_by(word, punctuation, Behaviour::isolated, false);
          if (parts.empty()) parts.emplace_back();  // where white space was the beginning
          std::move(parts.begin(), parts.end(), std::back_inserter(pieces));
        }
        return pieces;
      }};
}

Step metaspace(const json& settings, std::string_view where) {
  const std::string mark = text_setting(settings, "replacement", where);
  std::string scheme = flag_setting(settings, "add_prefix_space", true) ? "always" : "never";
  if (settings.contains("prepend_scheme")) scheme = text_setting(settings, "prepend_scheme", where);
  const bool splits = flag_setting(settings, "split", true);
  return {[mark, scheme, splits, pattern = TextPattern::literal(mark)](const std::string& piece,
                                                                       bool is_beginning) {
    const auto spaces = static_cast<std::size_t>(std::count(piece.begin(), piece.end(), ' '));
    check_text_size(piece.size() + (spaces + 1) * mark.size());
    std::string text;
    for (const char c : piece) {
      if (c == ' ') {
        text += mark;
      } else {
        text += c;
      }
    }
    const bool prepends = scheme == "always" || (scheme == "first" && is_beginning);
    if (prepends && !text.starts_with(mark)) text.insert(0, mark);
    return splits ? cut_by(text, pattern, Behaviour::with_next, false) : Pieces{std::move(text)};
  }};
}

Step digits(const json& settings, std::string_view where) {
  const auto behaviour = flag_setting(settings, "individual_digits", false) ? Behaviour::isolated
                                                                            : Behaviour::contiguous;
  return cutting_by(TextPattern::expression(R"(\p{N})", where), behaviour);
}

Step make_step(const json& settings, const std::string& type, std::string_view where) {
  if (type == "ByteLevel") return byte_level(settings, where);
  if (type == "Split") return split(settings, where);
  if (type == "Metaspace") return metaspace(settings, where);
  if (type == "Digits") return digits(settings, where);
  if (type == "Punctuation") return punctuation(settings, where);
  if (type == "BertPreTokenizer") return bert(where);
  if (type == "Whitespace") {
    return cutting_by(TextPattern::expression(kWordsOrOthers, where), Behaviour::removed, true);
  }
  if (type == "WhitespaceSplit") {
    return cutting_by(TextPattern::expression(kWhiteSpace, where), Behaviour::removed);
  }
  if (type == "CharDelimiterSplit") {
    return cutting_by(TextPattern::literal(text_setting(settings, "delimiter", where)),
                      Behaviour::removed);
  }
  throw InputError(
      "{}: the pre-tokenizer '{}' is not known; expected BertPreTokenizer, ByteLevel, "
      "CharDelimiterSplit, Digits, Metaspace, Punctuation, Split, Whitespace, WhitespaceSplit or a "
      "Sequence of them",
      where, type);
}

}  // namespace

std::string bytes_as_letters(std::string_view bytes) {
  static const std::array<std::string, 256> kLetters = [] {
    std::array<std::string, 256> letters;
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool is_shown =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      append_character(letters[byte], is_shown ? byte : next++);
    }
    return letters;
  }();
  std::string result;
  result.reserve(2 * bytes.size());
  for (const char byte : bytes) result += kLetters[static_cast<unsigned char>(byte)];
  return result;
}

TextCutter::TextCutter(const json& settings, std::string_view where) {
  for_each_step(settings, "pretokenizers", where, [&](const json& one, const std::string& type) {
    steps_.push_back(std::make_shared<const Step>(make_step(one, type, where)));
  });
}

TextCutter::~TextCutter() = default;

std::vector<std::string> TextCutter::cut(std::string text, bool is_beginning) const {
  Pieces pieces;
  if (!text.empty()) pieces.push_back(std::move(text));
  for (const auto& step : steps_) {
    Pieces cut_further;
    std::size_t bytes = 0;
    const bool was_beginning = is_beginning;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      Pieces parts = step->cut(std::move(pieces[i]), was_beginning && i == 0);
      if (i == 0) is_beginning = was_beginning && !parts.empty() && !parts.front().empty();
      for (std::string& one : parts) {
        check_text_size(bytes += one.size());
        if (!one.empty()) cut_further.push_back(std::move(one));
      }
    }
    pieces = std::move(cut_further);
  }
  return pieces;
}

}  // namespace amalgam

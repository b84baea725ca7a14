#include "amalgam/scores/files/json_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/input_file.hpp"

namespace amalgam::scores {
namespace {

constexpr int kEnd = -1;
constexpr std::size_t kDeepest =
    200;  // the parser has a limit of its own; this is for what is skipped
constexpr std::size_t kLongestKey = 1U << 16U;
constexpr JsonLimits kLimits{.depth = 64, .values = 20'000'000};

bool is_space(int c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// `text` with null for every NaN outside of strings.
std::string without_nan(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 16);
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!in_string && text.substr(i).starts_with("NaN")) {
      result += "null";
      i += 2;
      continue;
    }
    result += text[i];
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      result += text[++i];
    } else if (text[i] == '"') {
      in_string = !in_string;
    }
  }
  return result;
}

}  // namespace

nlohmann::json parse_written_json(std::string_view text, std::string_view where) {
  if (text.find("NaN") == std::string_view::npos) return parse_json(text, where, kLimits);
  return parse_json(without_nan(text), where, kLimits);
}

JsonParts::JsonParts(Source source, std::string where, JsonPartOptions options)
    : source_(std::move(source)),
      where_(std::move(where)),
      options_(std::move(options)),
      buffer_(1U << 16U) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  peek();
  if (std::string_view(buffer_.data(), filled_).starts_with(kByteOrderMark)) {
    at_ = kByteOrderMark.size();
  }
  const int c = peek_past_spaces();
  if (c != '[' && c != '{') fail("a list or an object");
  take();
  close_ = c == '[' ? ']' : '}';
}

JsonParts JsonParts::open(const std::filesystem::path& path, JsonPartOptions options) {
  auto file = std::make_shared<std::ifstream>(open_for_reading(path, "a JSON file"));
  const auto read = [file, path, report = options.on_bytes](std::span<char> out) -> std::size_t {
    const std::size_t got = read_some(*file, out, path);
    if (report) report(got);
    return got;
  };
  return {read, path.string(), std::move(options)};
}

JsonParts JsonParts::of_text(std::string_view text, std::string where, JsonPartOptions options) {
  const auto rest = std::make_shared<std::string_view>(text);
  const auto read = [rest](std::span<char> out) {
    const std::size_t count = std::min(out.size(), rest->size());
    std::memcpy(out.data(), rest->data(), count);
    rest->remove_prefix(count);
    return count;
  };
  return {read, std::move(where), std::move(options)};
}

int JsonParts::peek() {
  if (at_ == filled_) {
    before_ += filled_;
    filled_ = source_(buffer_);
    at_ = 0;
    if (filled_ == 0) return kEnd;
  }
  return static_cast<unsigned char>(buffer_[at_]);
}

int JsonParts::take() {
  const int c = peek();
  if (c != kEnd) ++at_;
  return c;
}

int JsonParts::peek_past_spaces() {
  int c = peek();
  for (; is_space(c); c = peek()) ++at_;
  return c;
}

void JsonParts::fail(std::string_view expected) {
  const int c = peek();
  const std::string found =
      c == kEnd ? "it ends" : fmt::format("'{}'", printable(std::string(1, static_cast<char>(c))));
  throw InputError("{}: byte {}: {}, but expected {}", where_, before_ + at_ + 1, found, expected);
}

void JsonParts::expect(char c) {
  if (peek_past_spaces() != c) fail(fmt::format("'{}'", c));
  take();
}

void JsonParts::keep_char(char c, bool keep) {
  if (!keep) return;
  if (text_.size() >= options_.longest) {
    throw InputError("{}: more than {} bytes are too many for one part", place(), options_.longest);
  }
  text_ += c;
}

// From the opening quote to the closing one.
void JsonParts::take_string(bool keep) {
  keep_char(static_cast<char>(take()), keep);
  while (true) {
    const int c = take();
    if (c == kEnd) fail("a string to be closed");
    keep_char(static_cast<char>(c), keep);
    if (c == '"') return;
    if (c == '\\') {
      const int escaped = take();
      if (escaped == kEnd) fail("a string to be closed");
      keep_char(static_cast<char>(escaped), keep);
    }
  }
}

// One value of any kind, as it is written. Whether brackets are of one kind is the parser's
// business.
void JsonParts::take_value(bool keep) {
  std::size_t depth = 0;
  const int begin = peek_past_spaces();
  if (begin == kEnd || begin == ',' || begin == ']' || begin == '}' || begin == ':') {
    fail("a value");
  }
  while (true) {
    const int c = peek();
    if (c == '"') {
      take_string(keep);
      if (depth == 0) return;
      continue;
    }
    if (c == kEnd) {
      if (depth == 0) return;
      fail("the value to be closed");
    }
    if (depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c))) return;
    keep_char(static_cast<char>(take()), keep);
    if (c == '[' || c == '{') {
      if (++depth > kDeepest) fail(fmt::format("at most {} values inside each other", kDeepest));
    } else if (c == ']' || c == '}') {
      if (--depth == 0) return;
    }
  }
}

std::string JsonParts::take_key() {
  if (peek_past_spaces() != '"') fail("a key in quotes");
  text_.clear();
  const std::size_t longest = std::exchange(options_.longest, kLongestKey);
  take_string(true);
  options_.longest = longest;
  return parse_json(text_, where_, kLimits).get<std::string>();
}

// Moves to the element after a comma or at the beginning; false at `close`, which is taken.
bool JsonParts::next_element(char close) {
  bool& first = in_opened_ ? first_in_opened_ : first_;
  const int c = peek_past_spaces();
  if (c == close) {
    take();
    return false;
  }
  if (!first) {
    expect(',');
  }
  first = false;
  return true;
}

bool JsonParts::next() {
  while (!ended_) {
    if (in_opened_) {
      if (next_element(']')) {
        ++item_;
        text_.clear();
        take_value(true);
        return true;
      }
      in_opened_ = false;
    }
    if (!next_element(close_)) {
      ended_ = true;
      if (peek_past_spaces() != kEnd) fail("nothing more");
      break;
    }
    if (is_list()) {
      ++item_;
    } else {
      key_ = take_key();
      item_ = 0;
      expect(':');
      const auto among = [this](const std::vector<std::string>& keys) {
        return std::ranges::find(keys, key_) != keys.end();
      };
      if (!options_.wanted.empty() && !among(options_.wanted)) {
        take_value(false);
        continue;
      }
      if (among(options_.opened) && peek_past_spaces() == '[') {
        take();
        in_opened_ = true;
        first_in_opened_ = true;
        continue;
      }
    }
    text_.clear();
    take_value(true);
    return true;
  }
  return false;
}

nlohmann::json JsonParts::value() const { return parse_written_json(text_, place()); }

std::string JsonParts::place() const {
  std::string place = where_ + ":";
  if (!key_.empty()) place += fmt::format(" '{}'", printable(key_));
  if (item_ > 0) place += fmt::format("{} item {}", key_.empty() ? "" : ",", item_);
  return place;
}

}  // namespace amalgam::scores

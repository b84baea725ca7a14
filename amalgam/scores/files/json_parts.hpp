#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam::scores {

/// As parse_json, for what programs in Python write: NaN without quotes is null.
nlohmann::json parse_written_json(std::string_view text, std::string_view where);

/// Which parts of a JSON text are handed out, and how.
struct JsonPartOptions {
  /// Of an object: the members that are handed out; the others are passed over, without a look
  /// whether they are well-formed. Empty: all.
  std::vector<std::string> wanted = {};
  /// Members that are lists, to be handed out element by element.
  std::vector<std::string> opened = {};
  std::size_t longest = std::size_t{256} << 20U;  ///< bytes of one part
  std::function<void(std::uint64_t bytes)> on_bytes = {};
};

/// Splits a JSON text that is too large to be parsed as a whole: a list into its elements, an
/// object into its members. Memory is that of the longest part.
class JsonParts {
 public:
  using Source = std::function<std::size_t(std::span<char>)>;

  /// `where`: what places in errors begin with, usually the path. InputError if the text does not
  /// begin with a list or an object.
  JsonParts(Source source, std::string where, JsonPartOptions options = {});
  /// InputError if the file cannot be opened.
  static JsonParts open(const std::filesystem::path& path, JsonPartOptions options = {});
  /// `text` must live as long.
  static JsonParts of_text(std::string_view text, std::string where, JsonPartOptions options = {});

  /// Whether the whole text is a list.
  bool is_list() const { return close_ == ']'; }

  /// Goes on to the next part; false at the end. InputError naming the byte where the text is cut
  /// off, is no JSON, or a part is too long.
  bool next();
  /// The member's name; of an element of an opened list, the list's; of the whole list, "".
  const std::string& key() const { return key_; }
  /// Whether the part is an element of an opened list.
  bool is_element() const { return in_opened_; }
  /// The part as it is written.
  std::string_view text() const { return text_; }
  nlohmann::json value() const;
  /// "file.json: 'samples', item 3".
  std::string place() const;

 private:
  int peek();
  int take();
  int peek_past_spaces();
  void expect(char c);
  void take_value(bool keep);
  void take_string(bool keep);
  void keep_char(char c, bool keep);
  bool next_element(char close);
  std::string take_key();
  [[noreturn]] void fail(std::string_view expected);

  Source source_;
  std::string where_;
  JsonPartOptions options_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t before_ = 0;  // bytes in front of the buffer
  char close_ = ']';
  bool first_ = true;  // no part of the whole was taken yet
  bool in_opened_ = false;
  bool first_in_opened_ = false;
  bool ended_ = false;
  std::uint64_t item_ = 0;  // of the list, from 1
  std::string key_;
  std::string text_;
};

}  // namespace amalgam::scores

#include <cctype>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/adapter_config.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

// One character of a pattern and how often it may come.
struct PatternItem {
  enum class What { literal, any, digit } what = What::literal;
  char literal = 0;
  bool optional = false;
  bool repeated = false;

  bool matches(char c) const {
    switch (what) {
      case What::literal:
        return c == literal;
      case What::any:
        return true;
      case What::digit:
        return c >= '0' && c <= '9';
    }
    return false;
  }
};

[[noreturn]] void refuse(std::string_view key) {
  throw InputError(
      "adapter_config.json: the pattern '{}' is a regular expression beyond what is read (names, "
      "'.', '\\.', '\\d', '*' and '+'); write the names of the modules instead",
      key);
}

std::vector<PatternItem> parse_pattern(std::string_view key) {
  std::string_view rest = key;
  if (rest.starts_with('^')) rest.remove_prefix(1);
  if (rest.ends_with('$')) rest.remove_suffix(1);
  std::vector<PatternItem> items;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    PatternItem item;
    if (c == '\\') {
      if (++i == rest.size()) refuse(key);
      if (std::isalnum(static_cast<unsigned char>(rest[i])) != 0 && rest[i] != 'd') refuse(key);
      item.what = rest[i] == 'd' ? PatternItem::What::digit : PatternItem::What::literal;
      item.literal = rest[i];
    } else if (c == '.') {
      item.what = PatternItem::What::any;
    } else if (std::string_view("*+?[](){}|^$").find(c) != std::string_view::npos) {
      refuse(key);
    } else {
      item.literal = c;
    }
    if (i + 1 < rest.size() && (rest[i + 1] == '*' || rest[i + 1] == '+')) {
      item.repeated = true;
      item.optional = rest[++i] == '*';
    }
    items.push_back(item);
  }
  return items;
}

// Which beginnings of the items match what was read so far: bit k for the first k of them.
class PatternState {
 public:
  explicit PatternState(const std::vector<PatternItem>& items)
      : items_(items), reached_(items.size() + 1) {}

  void start() {
    reached_[0] = true;
    skip_optional();
  }
  void read(char c) {
    for (std::size_t k = items_.size(); k > 0; --k) {
      const PatternItem& item = items_[k - 1];
      reached_[k] = item.matches(c) && (reached_[k - 1] || (item.repeated && reached_[k]));
    }
    reached_[0] = false;
    skip_optional();
  }
  bool complete() const { return reached_.back(); }

 private:
  void skip_optional() {
    for (std::size_t k = 1; k < reached_.size(); ++k) {
      if (reached_[k - 1] && items_[k - 1].optional) reached_[k] = true;
    }
  }
  const std::vector<PatternItem>& items_;
  std::vector<bool> reached_;
};

}  // namespace

bool module_matches(std::string_view key, std::string_view module) {
  const std::vector<PatternItem> items = parse_pattern(key);
  const bool whole = key.starts_with('^');
  PatternState state(items);
  state.start();
  for (std::size_t i = 0; i < module.size(); ++i) {
    state.read(module[i]);
    if (module[i] == '.' && !whole) state.start();
  }
  return state.complete();
}

}  // namespace amalgam

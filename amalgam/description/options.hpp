#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace amalgam::learning {

/// Reads the keys of a JSON object that a person wrote (a network description, a training recipe),
/// with clear errors: "recipe.yml: optimizer.learning_rate is "fast"; expected a number in (0,
/// 10]". Every accessor names a key that is known; finish() refuses the others.
class Options {
 public:
  /// `where`: what errors begin with; `prefix`: the path of `object` in it, "" or "optimizer.".
  Options(nlohmann::json object, std::string where, std::string prefix = "");

  bool has(const std::string& key);
  /// A number with low <= value <= high.
  double number(const std::string& key, double fallback, double low, double high);
  /// A whole number with low <= value <= high.
  std::uint64_t count(const std::string& key, std::uint64_t fallback, std::uint64_t low,
                      std::uint64_t high);
  bool flag(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& choices);
  /// A list of at most `most` whole numbers in [low, high].
  std::vector<std::int64_t> counts(const std::string& key, std::vector<std::int64_t> fallback,
                                   std::int64_t low, std::int64_t high, std::size_t most);
  std::vector<double> numbers(const std::string& key, std::vector<double> fallback,
                              std::size_t most);
  std::vector<std::string> texts(const std::string& key, std::size_t most);
  /// The same, of which whole numbers from 0 are some, as text.
  std::vector<std::string> names(const std::string& key, std::size_t most);
  /// The options inside `key`, which is an object; empty if the key is missing.
  Options section(const std::string& key);
  /// InputError naming the first key that no accessor asked for, and the nearest that one did.
  void finish() const;

  /// InputError: "WHERE: PREFIXkey is VALUE; expected EXPECTED".
  [[noreturn]] void refuse(const std::string& key, std::string_view expected) const;

 private:
  const nlohmann::json* find(const std::string& key);

  nlohmann::json object_;
  std::string where_;
  std::string prefix_;
  std::set<std::string> known_;
};

}  // namespace amalgam::learning

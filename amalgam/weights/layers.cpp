#include "amalgam/weights/layers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <unordered_map>

namespace amalgam {
namespace {

// Names nest a handful of numbers; a hostile one could nest thousands.
constexpr std::size_t kMostNumbers = 8;
constexpr std::size_t kMostDigits = 7;

bool is_separator(char c) { return c == '.' || c == '/'; }

// The number at the start of `text`, if a whole component that another one follows.
struct Number {
  std::size_t value = 0;
  std::size_t digits = 0;
};
std::optional<Number> leading_number(std::string_view text) {
  Number number;
  while (number.digits < text.size() && text[number.digits] >= '0' && text[number.digits] <= '9') {
    ++number.digits;
  }
  if (number.digits == 0 || number.digits > kMostDigits || number.digits == text.size() ||
      !is_separator(text[number.digits]) || (number.digits > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  std::from_chars(text.data(), text.data() + number.digits, number.value);
  return number;
}

struct Candidate {
  std::string_view prefix;
  std::vector<std::size_t> numbers;  // ascending
  std::size_t tensors = 0;
  std::size_t repeated = 0;  // tensors whose rest of the name exists under another number too

  bool contiguous() const { return numbers.back() + 1 == numbers.size(); }
  bool half_repeated() const { return numbers.size() >= 2 && 2 * repeated >= tensors; }
  bool is_blocks() const {
    return contiguous() && half_repeated() && tensors >= 2 * numbers.size();
  }
};

// What stands before numbers in names, and after them.
struct Seen {
  std::map<std::size_t, std::size_t> numbers;
  std::unordered_map<std::string_view, std::size_t> rests;
};

std::map<std::string_view, Seen> find_numbers(std::span<const std::string_view> names) {
  std::map<std::string_view, Seen> seen;
  for (const std::string_view name : names) {
    std::size_t found = 0;
    for (std::size_t at = 0; at < name.size() && found < kMostNumbers; ++at) {
      if (at > 0 && !is_separator(name[at - 1])) continue;
      const auto number = leading_number(name.substr(at));
      if (!number) continue;
      ++found;
      Seen& under = seen[name.substr(0, at)];
      ++under.numbers[number->value];
      ++under.rests[name.substr(at + number->digits)];
    }
  }
  return seen;
}

std::vector<Candidate> find_candidates(std::span<const std::string_view> names) {
  std::vector<Candidate> candidates;
  for (const auto& [prefix, under] : find_numbers(names)) {
    Candidate candidate{.prefix = prefix, .numbers = {}};
    for (const auto& [number, tensors] : under.numbers) {
      candidate.numbers.push_back(number);
      candidate.tensors += tensors;
    }
    for (const auto& [rest, count] : under.rests) {
      if (count > 1) candidate.repeated += count;
    }
    candidates.push_back(std::move(candidate));
  }
  // Outer ones first.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.prefix.size() < b.prefix.size(); });
  return candidates;
}

// Whether the candidate is inside a layer of `outer`.
bool is_inside(std::string_view prefix, std::string_view outer) {
  return prefix.starts_with(outer) && leading_number(prefix.substr(outer.size())).has_value();
}

// What lists of layers are called.
bool names_layers(std::string_view prefix) {
  static constexpr std::array<std::string_view, 6> kLists = {"layers", "layer", "h",
                                                             "blocks", "block", "blk"};
  if (prefix.empty()) return false;
  prefix.remove_suffix(1);
  const std::size_t before = prefix.find_last_of("./");
  if (before != std::string_view::npos) prefix.remove_prefix(before + 1);
  return std::find(kLists.begin(), kLists.end(), prefix) != kLists.end();
}

// The one list of a single layer, if there is no other that is not inside it.
const Candidate* sole_single_layer(const std::vector<Candidate>& candidates) {
  const Candidate* found = nullptr;
  for (const Candidate& candidate : candidates) {  // outer ones come first
    const bool is_single = candidate.numbers.size() == 1 && candidate.contiguous();
    if (!is_single || !names_layers(candidate.prefix)) continue;
    if (found != nullptr && is_inside(candidate.prefix, found->prefix)) continue;
    if (found != nullptr) return nullptr;
    found = &candidate;
  }
  return found;
}

// Those that satisfy `wanted` and are not inside a layer of one chosen before.
template <class Wanted>
std::vector<LayerStack> choose(const std::vector<Candidate>& candidates, const Wanted& wanted) {
  std::vector<LayerStack> chosen;
  for (const Candidate& candidate : candidates) {
    if (!wanted(candidate)) continue;
    const bool inside = std::any_of(chosen.begin(), chosen.end(), [&](const LayerStack& outer) {
      return is_inside(candidate.prefix, outer.prefix);
    });
    if (!inside) chosen.push_back({std::string(candidate.prefix), candidate.numbers});
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const LayerStack& a, const LayerStack& b) { return a.prefix < b.prefix; });
  return chosen;
}

bool has_component(std::string_view name, std::string_view component) {
  for (std::size_t at = name.find(component); at != std::string_view::npos;
       at = name.find(component, at + 1)) {
    const std::size_t end = at + component.size();
    if ((at == 0 || is_separator(name[at - 1])) &&
        (end == name.size() || is_separator(name[end]))) {
      return true;
    }
  }
  return false;
}

template <std::size_t N>
bool has_any_component(std::string_view name, const std::array<std::string_view, N>& components) {
  return std::any_of(components.begin(), components.end(),
                     [&](std::string_view component) { return has_component(name, component); });
}

template <std::size_t N>
bool has_any_text(std::string_view name, const std::array<std::string_view, N>& words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return name.find(word) != std::string_view::npos;
  });
}

}  // namespace

std::optional<std::size_t> LayerStack::position(std::size_t number) const {
  const auto found = std::lower_bound(numbers.begin(), numbers.end(), number);
  if (found == numbers.end() || *found != number) return std::nullopt;
  return static_cast<std::size_t>(found - numbers.begin());
}

std::optional<LayerPlace> Layers::locate(std::string_view name) const {
  for (std::size_t stack = 0; stack < stacks_.size(); ++stack) {
    const std::string& prefix = stacks_[stack].prefix;
    if (!name.starts_with(prefix)) continue;
    const auto number = leading_number(name.substr(prefix.size()));
    if (!number) continue;
    if (const auto rank = stacks_[stack].position(number->value)) {
      return LayerPlace{stack, number->value, *rank, name.substr(prefix.size() + number->digits)};
    }
  }
  return std::nullopt;
}

Layers find_layers(std::span<const std::string_view> names,
                   std::span<const std::size_t> stated_counts) {
  const std::vector<Candidate> candidates = find_candidates(names);
  const auto is_stated = [&](const Candidate& candidate) {
    return candidate.contiguous() && std::find(stated_counts.begin(), stated_counts.end(),
                                               candidate.numbers.size()) != stated_counts.end();
  };
  std::vector<LayerStack> stacks = choose(candidates, [&](const Candidate& candidate) {
    return is_stated(candidate) && candidate.is_blocks();
  });
  if (stacks.empty()) stacks = choose(candidates, is_stated);
  if (!stacks.empty()) return Layers(std::move(stacks));
  stacks = choose(candidates, [](const auto& c) { return c.is_blocks(); });
  if (stacks.empty()) stacks = choose(candidates, [](const auto& c) { return c.half_repeated(); });
  const Candidate* single = sole_single_layer(candidates);
  if (single != nullptr && std::all_of(stacks.begin(), stacks.end(), [&](const LayerStack& stack) {
        return is_inside(stack.prefix, single->prefix);
      })) {
    stacks = {{std::string(single->prefix), single->numbers}};
  }
  return Layers(std::move(stacks));
}

bool is_head_name(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kHeads = {"lm_head", "embed_out", "output",
                                                             "output_embeddings", "output_layer"};
  return has_any_component(name, kHeads) ||
         name.find("predictions.decoder") != std::string_view::npos;
}

bool is_vocabulary_name(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kTokens = {"embed_tokens", "token_emb",
                                                              "tok_emb", "word_emb", "embed_in"};
  static constexpr std::array<std::string_view, 4> kNames = {"wte", "shared", "embedding", "embed"};
  return is_head_name(name) || has_any_text(name, kTokens) || has_any_component(name, kNames);
}

bool comes_before_layers(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kWords = {"embed", "embd",   "tok_emb",
                                                             "patch", "rotary", "rope"};
  static constexpr std::array<std::string_view, 7> kNames = {
      "wte", "wpe", "shared", "stem", "conv1", "ln_pre", "pre_layrnorm"};
  return !is_head_name(name) && (has_any_text(name, kWords) || has_any_component(name, kNames));
}

}  // namespace amalgam

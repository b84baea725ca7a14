#include "amalgam/checkpoint/torch_tensors.hpp"

#include <array>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kDeepest = 64;
constexpr std::size_t kLongestName = 4096;
constexpr std::size_t kMostNameBytes = std::size_t{64} << 20;  // of all names together
// Values that are part of several others are met more than once, but not often: a limit in
// proportion to their number keeps a small file from unfolding into millions of names.
constexpr std::size_t kMostStepsPerValue = 16;
constexpr std::size_t kStepsForAll = 10'000;
// Where training scripts put the weights, beside the epoch and the optimiser's state.
constexpr std::array<std::string_view, 3> kRoots = {"state_dict", "model", "module"};

class Walk {
 public:
  Walk(const PickleTree& tree, std::string_view where)
      : tree_(tree),
        where_(where),
        most_steps_(kStepsForAll + tree.values.size() * kMostStepsPerValue) {}

  void visit(PickleId id, std::size_t depth) {
    check(depth);
    const PickleValue& value = tree_.at(id);
    if (const auto* tensor = std::get_if<PickleTensorRef>(&value)) {
      if (name_.empty()) name_ = "tensor";
      found.tensors.push_back({checked_name(), tensor->index});
    } else if (const auto* dict = std::get_if<PickleDict>(&value)) {
      for (const auto& [key, item] : dict->items) {
        if (const auto text = key_text(key)) {
          step_into(*text, item, depth);
        } else {
          found.ignored.push_back(checked_name() + "[" + std::string(pickle_kind(tree_.at(key))) +
                                  " as a key]");
        }
      }
    } else if (const auto* list = std::get_if<PickleList>(&value)) {
      visit_items(list->items, depth);
    } else if (const auto* tuple = std::get_if<PickleTuple>(&value)) {
      visit_items(tuple->items, depth);
    } else {
      found.ignored.push_back(checked_name());
    }
  }

  NamedTensors found;

 private:
  void check(std::size_t depth) {
    if (depth > kDeepest) {
      throw InputError("{}: containers are nested deeper than {}", where_, kDeepest);
    }
    if (++steps_ > most_steps_) {
      throw InputError("{}: its {} values unfold into more than {} because they share parts",
                       where_, tree_.values.size(), most_steps_);
    }
  }

  std::string checked_name() {
    name_bytes_ += name_.size();
    if (name_.size() > kLongestName || name_bytes_ > kMostNameBytes) {
      throw InputError("{}: names are too long, such as '{}'", where_, printable(name_));
    }
    return name_;
  }

  std::optional<std::string> key_text(PickleId key) const {
    if (const auto* text = std::get_if<std::string>(&tree_.at(key))) {
      if (text->size() > kLongestName || !is_utf8(*text)) {
        throw InputError("{}: the name '{}' is too long or not UTF-8", where_, printable(*text));
      }
      return *text;
    }
    if (const auto* number = std::get_if<std::int64_t>(&tree_.at(key))) {
      return std::to_string(*number);
    }
    return std::nullopt;
  }

  void step_into(std::string_view part, PickleId item, std::size_t depth) {
    const std::size_t length = name_.size();
    if (length > 0) name_ += '.';
    name_ += part;
    visit(item, depth + 1);
    name_.resize(length);
  }

  void visit_items(const std::vector<PickleId>& items, std::size_t depth) {
    for (std::size_t i = 0; i < items.size(); ++i) step_into(std::to_string(i), items[i], depth);
  }

  const PickleTree& tree_;
  std::string_view where_;
  std::string name_;
  std::size_t name_bytes_ = 0;
  std::size_t steps_ = 0;
  std::size_t most_steps_;
};

// The dict under `key` of the outermost dict.
std::optional<PickleId> find_root(const PickleTree& tree, std::string_view key) {
  const auto* outermost = std::get_if<PickleDict>(&tree.at(tree.root));
  if (outermost == nullptr) return std::nullopt;
  for (const auto& [name, value] : outermost->items) {
    const auto* text = std::get_if<std::string>(&tree.at(name));
    if (text != nullptr && *text == key && std::holds_alternative<PickleDict>(tree.at(value))) {
      return value;
    }
  }
  return std::nullopt;
}

void ignore_others(const PickleTree& tree, NamedTensors& found) {
  for (const auto& [name, value] : std::get<PickleDict>(tree.at(tree.root)).items) {
    const auto* text = std::get_if<std::string>(&tree.at(name));
    if (text == nullptr || *text == found.root) continue;
    found.ignored.push_back(printable(*text));
  }
}

}  // namespace

NamedTensors find_named_tensors(const PickleTree& tree, std::string_view where) {
  for (const std::string_view key : kRoots) {
    const std::optional<PickleId> root = find_root(tree, key);
    if (!root) continue;
    Walk walk(tree, where);
    walk.visit(*root, 1);
    if (walk.found.tensors.empty()) continue;
    walk.found.root = key;
    ignore_others(tree, walk.found);
    return std::move(walk.found);
  }
  Walk walk(tree, where);
  walk.visit(tree.root, 0);
  if (walk.found.tensors.empty()) throw InputError("{}: there is no tensor in it", where);
  return std::move(walk.found);
}

}  // namespace amalgam

#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "amalgam/checkpoint/pickle_input.hpp"
#include "amalgam/checkpoint/restricted_pickle.hpp"

namespace amalgam {

/// The stack of the machine that a pickle is a program for, with its marks and its memo. Every
/// error is an InputError that names the opcode's place; `input` outlives it.
class PickleStack {
 public:
  /// At most `most_values` values, marks and memorised values each.
  PickleStack(const PickleInput& input, std::uint64_t most_values)
      : input_(input), most_values_(most_values) {}

  /// InputError if there are as many of anything already as there may be.
  void check_limit(std::size_t size) const {
    if (size >= most_values_) {
      throw InputError("{}: the pickle makes more than {} values", input_.where(), most_values_);
    }
  }

  std::size_t size() const { return stack_.size(); }
  bool has_marks() const { return !marks_.empty(); }

  void push(PickleId id) {
    check_limit(stack_.size());
    stack_.push_back(id);
  }

  void mark() {
    check_limit(marks_.size());
    marks_.push_back(stack_.size());
  }

  /// Values above the last mark.
  std::size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleId top() const {
    if (available() == 0) input_.fail_malformed("nothing on the stack");
    return stack_.back();
  }

  PickleId pop() {
    const PickleId id = top();
    stack_.pop_back();
    return id;
  }

  /// The values above the last mark, which goes too.
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) input_.fail_malformed("no mark on the stack");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleId> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }

  void memoize(std::uint64_t key) {
    check_limit(memo_.size());
    memo_[key] = top();
  }

  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) input_.fail_malformed("it recalls what it never memorised");
    push(found->second);
  }

  /// The `size` values on top, the last one topmost.
  std::vector<PickleId> pop_values(std::size_t size) {
    if (available() < size) input_.fail_malformed("nothing on the stack");
    std::vector<PickleId> values(stack_.end() - static_cast<std::ptrdiff_t>(size), stack_.end());
    stack_.resize(stack_.size() - size);
    return values;
  }

  /// The value on top, or a mark.
  void pop_one() {
    if (!marks_.empty() && available() == 0) {
      marks_.pop_back();
    } else {
      pop();
    }
  }

  /// Memorises the value on top under the next key.
  void memoize_next() { memoize(memo_.size()); }

 private:
  const PickleInput& input_;
  std::uint64_t most_values_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack when a mark was set
  std::unordered_map<std::uint64_t, PickleId> memo_;
};

}  // namespace amalgam

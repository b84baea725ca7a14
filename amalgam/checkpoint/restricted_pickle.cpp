#include "amalgam/checkpoint/restricted_pickle.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>

#include "amalgam/checkpoint/pickle_globals.hpp"
#include "amalgam/checkpoint/pickle_opcodes.hpp"
#include "amalgam/checkpoint/pickle_rebuild.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kLongestGlobal = 1000;
constexpr std::size_t kMostArguments = 8;

class Unpickler {
 public:
  Unpickler(std::string_view pickle, std::string_view where, const PickleLimits& limits)
      : input_(pickle), where_(where), limits_(limits) {}

  PickleTree run() {
    if (input_.size() > limits_.bytes) {
      throw InputError("{}: the pickle has {} bytes, at most {} are read", where_, input_.size(),
                       limits_.bytes);
    }
    if (input_.size() < 2 || static_cast<unsigned char>(input_[0]) != kProto) {
      throw InputError("{}: not a pickle of protocol 2 to 5", where_);
    }
    const auto protocol = static_cast<unsigned char>(input_[1]);
    if (protocol < 2 || protocol > 5) {
      throw InputError("{}: a pickle of protocol {}, but 2 to 5 are read", where_, protocol);
    }
    at_ = 2;
    while (true) {
      opcode_at_ = at_;
      const auto opcode = number<unsigned char>();
      if (opcode == kStop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) {
      throw InputError("{}: the pickle ends with {} values on its stack, expected 1", where_,
                       stack_.size());
    }
    if (at_ != input_.size()) {
      throw InputError("{}: {} bytes follow the end of the pickle", where_, input_.size() - at_);
    }
    tree_.root = stack_.back();
    return std::move(tree_);
  }

 private:
  // --- input

  std::string_view take(std::uint64_t bytes) {
    if (bytes > input_.size() - at_) {
      throw InputError("{}: the pickle is truncated: {} bytes wanted at byte {}, {} left", where_,
                       bytes, at_, input_.size() - at_);
    }
    const std::string_view taken = input_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }

  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  template <class Length>
  std::string counted() {
    return std::string(take(number<Length>()));
  }

  std::string_view line() {
    const std::size_t end = input_.find('\n', at_);
    if (end == std::string_view::npos || end - at_ > kLongestGlobal) {
      throw InputError("{}: the pickle has an unfinished name at byte {}", where_, at_);
    }
    const std::string_view text = input_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  // --- stack

  [[noreturn]] void throw_malformed(std::string_view why) const {
    throw InputError("{}: the pickle is malformed at byte {}: {}", where_, opcode_at_, why);
  }

  void check_limit(std::size_t size) const {
    if (size >= limits_.values) {
      throw InputError("{}: the pickle makes more than {} values", where_, limits_.values);
    }
  }

  void push(PickleId id) {
    check_limit(stack_.size());
    stack_.push_back(id);
  }

  void push_value(PickleValue value) {
    check_limit(tree_.values.size());
    tree_.values.push_back(std::move(value));
    push(static_cast<PickleId>(tree_.values.size() - 1));
  }

  // The stack above the last mark.
  std::size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleId top() const {
    if (available() == 0) throw_malformed("nothing on the stack");
    return stack_.back();
  }

  PickleId pop() {
    const PickleId id = top();
    stack_.pop_back();
    return id;
  }

  // The values above the last mark, which goes too.
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) throw_malformed("no mark on the stack");
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
    if (found == memo_.end()) throw_malformed("it recalls what it never memorised");
    push(found->second);
  }

  template <class T>
  T& top_as(std::string_view what) {
    auto* value = std::get_if<T>(&tree_.values[top()]);
    if (value == nullptr) throw_malformed(what);
    return *value;
  }

  // --- opcodes

  void push_tuple(std::size_t size) {
    if (available() < size) throw_malformed("nothing on the stack");
    PickleTuple tuple{{stack_.end() - static_cast<std::ptrdiff_t>(size), stack_.end()}};
    stack_.resize(stack_.size() - size);
    push_value(std::move(tuple));
  }

  // Two's complement, little-endian, any length.
  void push_long(std::string_view bytes) {
    if (bytes.size() > sizeof(std::int64_t)) {
      push_value(PickleBigInteger{});
      return;
    }
    std::uint64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
      value = value << 8 | static_cast<unsigned char>(*byte);
    }
    push_value(static_cast<std::int64_t>(value));
  }

  void push_float() {
    std::uint64_t bits = 0;  // the one big-endian number of the format
    for (const char byte : take(sizeof(double)))
      bits = bits << 8 | static_cast<unsigned char>(byte);
    push_value(std::bit_cast<double>(bits));
  }

  void push_global(std::string_view module, std::string_view name) {
    std::optional<PickleValue> known = find_pickle_global(module, name);
    if (!known) {
      if (module == "torch" && name.ends_with("Storage")) {
        throw InputError("{}: tensors in a '{}' are not read; convert them to another type first",
                         where_, printable(name));
      }
      throw InputError(
          "{}: pickle asks for '{}.{}', which is not a tensor, dict, list, number or string; "
          "refusing",
          where_, printable(module), printable(name));
    }
    push_value(std::move(*known));
  }

  void push_stack_global() {
    const PickleId name_id = pop();
    const PickleId module_id = pop();
    const auto* name = std::get_if<std::string>(&tree_.at(name_id));
    const auto* module = std::get_if<std::string>(&tree_.at(module_id));
    if (name == nullptr || module == nullptr) throw_malformed("a name is not a string");
    const std::string module_copy = *module;  // the tree grows
    const std::string name_copy = *name;
    push_global(module_copy, name_copy);
  }

  void reduce() {
    const PickleId arguments_id = pop();
    const PickleId function_id = pop();
    const auto* arguments = std::get_if<PickleTuple>(&tree_.at(arguments_id));
    if (arguments == nullptr) throw_malformed("the arguments of a call are not a tuple");
    const auto* function = std::get_if<PickleGlobal>(&tree_.at(function_id));
    if (function == nullptr) {
      throw InputError("{}: pickle calls {}, which is data; refusing", where_,
                       pickle_kind(tree_.at(function_id)));
    }
    check_limit(tree_.values.size());
    if (arguments->items.size() > kMostArguments) throw_malformed("a call with many arguments");
    const PickleTuple copy = *arguments;  // the tree grows
    push(rebuild_pickle_value(tree_, *function, copy, where_));
    if (std::holds_alternative<PickleTensorRef>(tree_.at(stack_.back()))) {
      // A memorised shape costs its maker a few bytes however long it is.
      dimensions_ += tree_.tensors.back().shape.size();
      check_limit(dimensions_);
    }
  }

  void push_storage() {
    const PickleId id = pop();
    tree_.storages.push_back(read_persistent_id(tree_, id, where_));
    push_value(PickleStorageRef{static_cast<std::uint32_t>(tree_.storages.size() - 1)});
  }

  void set_items(std::span<const PickleId> keys_and_values) {
    auto& dict = top_as<PickleDict>("keys are set in what is not a dict");
    if (keys_and_values.size() % 2 != 0) throw_malformed("a key without a value");
    for (std::size_t i = 0; i < keys_and_values.size(); i += 2) {
      dict.items.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
    }
  }

  void append_items(const std::vector<PickleId>& items) {
    auto& list = top_as<PickleList>("values are appended to what is not a list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }

  void pop_one() {
    if (!marks_.empty() && available() == 0) {
      marks_.pop_back();
    } else {
      pop();
    }
  }

  void skip_frame() {
    const auto length = number<std::uint64_t>();
    if (length > input_.size() - at_) throw_malformed("a frame is longer than the pickle");
  }

  // Attributes of a container (a state dict's _metadata) are dropped.
  void build() {
    const PickleId state = pop();
    (void)top_as<PickleDict>("attributes are set on what is not a dict");
    if (!std::holds_alternative<PickleDict>(tree_.at(state))) {
      throw_malformed("attributes that are not a dict");
    }
  }

  void step(unsigned char opcode) {
    if (push_plain(opcode) || change_stack(opcode) || fill_container(opcode)) return;
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = line();
        push_global(module, line());
        break;
      }
      case kStackGlobal:
        push_stack_global();
        break;
      case kReduce:
        reduce();
        break;
      case kBinPersId:
        push_storage();
        break;
      case kBuild:
        build();
        break;
      case kFrame:
        skip_frame();
        break;
      default:
        refuse(opcode);
    }
  }

  [[noreturn]] void refuse(unsigned char opcode) const {
    for (const RefusedOpcode& refused : kRefusedOpcodes) {
      if (refused.code == opcode) {
        throw InputError(
            "{}: the pickle uses {} at byte {}, which archives of tensors do not need; "
            "refusing",
            where_, refused.name, opcode_at_);
      }
    }
    throw InputError("{}: the pickle uses the opcode 0x{:02x} at byte {}, which is not read",
                     where_, opcode, opcode_at_);
  }

  // Opcodes that push one plain value; false if `opcode` is none of them.
  bool push_plain(unsigned char opcode) {
    switch (opcode) {
      case kNone:
        push_value(PickleNone{});
        return true;
      case kNewTrue:
      case kNewFalse:
        push_value(opcode == kNewTrue);
        return true;
      case kBinInt:
        push_value(std::int64_t{number<std::int32_t>()});
        return true;
      case kBinInt1:
        push_value(std::int64_t{number<std::uint8_t>()});
        return true;
      case kBinInt2:
        push_value(std::int64_t{number<std::uint16_t>()});
        return true;
      case kLong1:
        push_long(take(number<std::uint8_t>()));
        return true;
      case kLong4: {
        const auto length = number<std::int32_t>();
        if (length < 0) throw_malformed("an integer of negative length");
        push_long(take(static_cast<std::uint64_t>(length)));
        return true;
      }
      case kBinFloat:
        push_float();
        return true;
      case kShortBinString:
      case kShortBinUnicode:
        push_value(counted<std::uint8_t>());
        return true;
      case kBinString:
      case kBinUnicode:
        push_value(counted<std::uint32_t>());
        return true;
      case kBinUnicode8:
        push_value(counted<std::uint64_t>());
        return true;
      case kShortBinBytes:
        take(number<std::uint8_t>());
        push_value(PickleBytes{});
        return true;
      case kBinBytes:
        take(number<std::uint32_t>());
        push_value(PickleBytes{});
        return true;
      case kBinBytes8:
        take(number<std::uint64_t>());
        push_value(PickleBytes{});
        return true;
      default:
        return false;
    }
  }

  // Opcodes of the stack and the memo.
  bool change_stack(unsigned char opcode) {
    switch (opcode) {
      case kMark:
        check_limit(marks_.size());
        marks_.push_back(stack_.size());
        return true;
      case kPop:
        pop_one();
        return true;
      case kPopMark:
        pop_to_mark();
        return true;
      case kDup:
        push(top());
        return true;
      case kBinPut:
        memoize(number<std::uint8_t>());
        return true;
      case kLongBinPut:
        memoize(number<std::uint32_t>());
        return true;
      case kMemoize:
        memoize(memo_.size());
        return true;
      case kBinGet:
        recall(number<std::uint8_t>());
        return true;
      case kLongBinGet:
        recall(number<std::uint32_t>());
        return true;
      default:
        return false;
    }
  }

  // Opcodes that make or fill a list, tuple or dict.
  bool fill_container(unsigned char opcode) {
    switch (opcode) {
      case kEmptyList:
        push_value(PickleList{});
        return true;
      case kEmptyDict:
        push_value(PickleDict{});
        return true;
      case kEmptyTuple:
        push_value(PickleTuple{});
        return true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push_tuple(opcode - kTuple1 + 1U);
        return true;
      case kTuple:
        push_value(PickleTuple{pop_to_mark()});
        return true;
      case kList:
        push_value(PickleList{pop_to_mark()});
        return true;
      case kDict: {
        const std::vector<PickleId> items = pop_to_mark();
        push_value(PickleDict{});
        set_items(items);
        return true;
      }
      case kAppend: {
        const PickleId item = pop();
        append_items({item});
        return true;
      }
      case kAppends:
        append_items(pop_to_mark());
        return true;
      case kSetItem: {
        const PickleId value = pop();
        const PickleId key = pop();
        set_items(std::array{key, value});
        return true;
      }
      case kSetItems:
        set_items(pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  std::string_view input_;
  std::string_view where_;
  PickleLimits limits_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
  PickleTree tree_;
  std::size_t dimensions_ = 0;  // of all tensors
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack when a mark was set
  std::unordered_map<std::uint64_t, PickleId> memo_;
};

}  // namespace

std::string_view pickle_kind(const PickleValue& value) {
  constexpr std::array<std::string_view, std::variant_size_v<PickleValue>> kNames = {
      "None",      "a bool",   "an integer", "an integer of more than 64 bits",
      "a float",   "a string", "bytes",      "a list",
      "a tuple",   "a dict",   "a function", "a type",
      "a storage", "a tensor"};
  return kNames.at(value.index());
}

PickleTree read_restricted_pickle(std::string_view pickle, std::string_view where,
                                  const PickleLimits& limits) {
  return Unpickler(pickle, where, limits).run();
}

}  // namespace amalgam

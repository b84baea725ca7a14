#include "amalgam/checkpoint/restricted_pickle.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <optional>
#include <span>

#include "amalgam/checkpoint/pickle_globals.hpp"
#include "amalgam/checkpoint/pickle_input.hpp"
#include "amalgam/checkpoint/pickle_opcodes.hpp"
#include "amalgam/checkpoint/pickle_rebuild.hpp"
#include "amalgam/checkpoint/pickle_stack.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kMostArguments = 8;

class Unpickler {
 public:
  Unpickler(std::string_view pickle, std::string_view where, const PickleLimits& limits)
      : pickle_(pickle),
        where_(where),
        limits_(limits),
        input_(pickle, where),
        stack_(input_, limits.values) {}

  PickleTree run() {
    if (pickle_.size() > limits_.bytes) {
      throw InputError("{}: the pickle has {} bytes, at most {} are read", where_, pickle_.size(),
                       limits_.bytes);
    }
    if (pickle_.size() < 2 || input_.opcode() != kProto) {
      throw InputError("{}: not a pickle of protocol 2 to 5", where_);
    }
    const auto protocol = input_.number<unsigned char>();
    if (protocol < 2 || protocol > 5) {
      throw InputError("{}: a pickle of protocol {}, but 2 to 5 are read", where_, protocol);
    }
    while (true) {
      const unsigned char opcode = input_.opcode();
      if (opcode == kStop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || stack_.has_marks()) {
      throw InputError("{}: the pickle ends with {} values on its stack, expected 1", where_,
                       stack_.size());
    }
    if (input_.left() > 0) {
      throw InputError("{}: {} bytes follow the end of the pickle", where_, input_.left());
    }
    tree_.root = stack_.top();
    return std::move(tree_);
  }

 private:
  void push_value(PickleValue value) {
    stack_.check_limit(tree_.values.size());
    tree_.values.push_back(std::move(value));
    stack_.push(static_cast<PickleId>(tree_.values.size() - 1));
  }

  template <class T>
  T& top_as(std::string_view what) {
    auto* value = std::get_if<T>(&tree_.values[stack_.top()]);
    if (value == nullptr) input_.fail_malformed(what);
    return *value;
  }

  void push_tuple(std::size_t size) { push_value(PickleTuple{stack_.pop_values(size)}); }

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
    for (const char byte : input_.take(sizeof(double)))
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
    const PickleId name_id = stack_.pop();
    const PickleId module_id = stack_.pop();
    const auto* name = std::get_if<std::string>(&tree_.at(name_id));
    const auto* module = std::get_if<std::string>(&tree_.at(module_id));
    if (name == nullptr || module == nullptr) input_.fail_malformed("a name is not a string");
    const std::string module_copy = *module;  // the tree grows
    const std::string name_copy = *name;
    push_global(module_copy, name_copy);
  }

  void reduce() {
    const PickleId arguments_id = stack_.pop();
    const PickleId function_id = stack_.pop();
    const auto* arguments = std::get_if<PickleTuple>(&tree_.at(arguments_id));
    if (arguments == nullptr) input_.fail_malformed("the arguments of a call are not a tuple");
    const auto* function = std::get_if<PickleGlobal>(&tree_.at(function_id));
    if (function == nullptr) {
      throw InputError("{}: pickle calls {}, which is data; refusing", where_,
                       pickle_kind(tree_.at(function_id)));
    }
    stack_.check_limit(tree_.values.size());
    if (arguments->items.size() > kMostArguments)
      input_.fail_malformed("a call with many arguments");
    const PickleTuple copy = *arguments;  // the tree grows
    stack_.push(rebuild_pickle_value(tree_, *function, copy, where_));
    if (std::holds_alternative<PickleTensorRef>(tree_.at(stack_.top()))) {
      // A memorised shape costs its maker a few bytes however long it is.
      dimensions_ += tree_.tensors.back().shape.size();
      stack_.check_limit(dimensions_);
    }
  }

  void push_storage() {
    const PickleId id = stack_.pop();
    tree_.storages.push_back(read_persistent_id(tree_, id, where_));
    push_value(PickleStorageRef{static_cast<std::uint32_t>(tree_.storages.size() - 1)});
  }

  void set_items(std::span<const PickleId> keys_and_values) {
    auto& dict = top_as<PickleDict>("keys are set in what is not a dict");
    if (keys_and_values.size() % 2 != 0) input_.fail_malformed("a key without a value");
    for (std::size_t i = 0; i < keys_and_values.size(); i += 2) {
      dict.items.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
    }
  }

  void append_items(const std::vector<PickleId>& items) {
    auto& list = top_as<PickleList>("values are appended to what is not a list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }

  void skip_frame() {
    const auto length = input_.number<std::uint64_t>();
    if (length > input_.left()) input_.fail_malformed("a frame is longer than the pickle");
  }

  // Attributes of a container (a state dict's _metadata) are dropped.
  void build() {
    const PickleId state = stack_.pop();
    (void)top_as<PickleDict>("attributes are set on what is not a dict");
    if (!std::holds_alternative<PickleDict>(tree_.at(state))) {
      input_.fail_malformed("attributes that are not a dict");
    }
  }

  void step(unsigned char opcode) {
    if (push_plain(opcode) || change_stack(opcode) || fill_container(opcode)) return;
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = input_.line();
        push_global(module, input_.line());
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
            where_, refused.name, input_.opcode_at());
      }
    }
    throw InputError("{}: the pickle uses the opcode 0x{:02x} at byte {}, which is not read",
                     where_, opcode, input_.opcode_at());
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
        push_value(std::int64_t{input_.number<std::int32_t>()});
        return true;
      case kBinInt1:
        push_value(std::int64_t{input_.number<std::uint8_t>()});
        return true;
      case kBinInt2:
        push_value(std::int64_t{input_.number<std::uint16_t>()});
        return true;
      case kLong1:
        push_long(input_.take(input_.number<std::uint8_t>()));
        return true;
      case kLong4: {
        const auto length = input_.number<std::int32_t>();
        if (length < 0) input_.fail_malformed("an integer of negative length");
        push_long(input_.take(static_cast<std::uint64_t>(length)));
        return true;
      }
      case kBinFloat:
        push_float();
        return true;
      case kShortBinString:
      case kShortBinUnicode:
        push_value(input_.counted<std::uint8_t>());
        return true;
      case kBinString:
      case kBinUnicode:
        push_value(input_.counted<std::uint32_t>());
        return true;
      case kBinUnicode8:
        push_value(input_.counted<std::uint64_t>());
        return true;
      case kShortBinBytes:
        input_.take(input_.number<std::uint8_t>());
        push_value(PickleBytes{});
        return true;
      case kBinBytes:
        input_.take(input_.number<std::uint32_t>());
        push_value(PickleBytes{});
        return true;
      case kBinBytes8:
        input_.take(input_.number<std::uint64_t>());
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
        stack_.mark();
        return true;
      case kPop:
        stack_.pop_one();
        return true;
      case kPopMark:
        stack_.pop_to_mark();
        return true;
      case kDup:
        stack_.push(stack_.top());
        return true;
      case kBinPut:
        stack_.memoize(input_.number<std::uint8_t>());
        return true;
      case kLongBinPut:
        stack_.memoize(input_.number<std::uint32_t>());
        return true;
      case kMemoize:
        stack_.memoize_next();
        return true;
      case kBinGet:
        stack_.recall(input_.number<std::uint8_t>());
        return true;
      case kLongBinGet:
        stack_.recall(input_.number<std::uint32_t>());
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
        push_value(PickleTuple{stack_.pop_to_mark()});
        return true;
      case kList:
        push_value(PickleList{stack_.pop_to_mark()});
        return true;
      case kDict: {
        const std::vector<PickleId> items = stack_.pop_to_mark();
        push_value(PickleDict{});
        set_items(items);
        return true;
      }
      case kAppend: {
        const PickleId item = stack_.pop();
        append_items({item});
        return true;
      }
      case kAppends:
        append_items(stack_.pop_to_mark());
        return true;
      case kSetItem: {
        const PickleId value = stack_.pop();
        const PickleId key = stack_.pop();
        set_items(std::array{key, value});
        return true;
      }
      case kSetItems:
        set_items(stack_.pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  std::string_view pickle_;
  std::string_view where_;
  PickleLimits limits_;
  PickleInput input_;
  PickleStack stack_;
  PickleTree tree_;
  std::size_t dimensions_ = 0;  // of all tensors
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

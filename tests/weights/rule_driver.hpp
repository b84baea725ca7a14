#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/fold.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/weights/rule.hpp"

// Runs a merge rule over tensors in memory, block by block and leaf by leaf as the engine does, so
// that a rule can be tested by itself.
namespace amalgam::testing {

using Assignments = std::vector<std::pair<std::string, ParameterValue>>;

/// One output tensor and its inputs. Values are rounded to float unless DriverOptions::as_double.
struct DriverTensor {
  std::string name = "w";
  Shape shape;
  std::vector<std::vector<double>> members = {};
  std::optional<std::vector<double>> base = std::nullopt;
  std::vector<std::vector<double>> auxiliary = {};
  std::vector<Assignments> member_parameters = {};  ///< per member; empty: defaults only
  Assignments parameters = {};                      ///< rule-level
  bool tied = false;
};

struct DriverOptions {
  bool as_double = false;  ///< hand blocks of double to the rule
  /// Tensors (by index) handed over as double though as_double is false: units of mixed types.
  std::vector<std::size_t> double_tensors = {};
  std::size_t threads = 1;
  std::uint64_t seed = 0;
  std::uint64_t statistics_memory = MergeUnit{}.statistics_memory;
  /// How many reductions the last unit took (set by run_rule).
  std::size_t* passes = nullptr;
};

/// Fills in defaults and refuses names the rule does not have. A flag may be given for a choice
/// that has "true"/"false", as in recipes.
inline Parameters rule_parameters(const RuleInfo& info, const Assignments& given, bool per_member) {
  Parameters parameters;
  for (const ParameterInfo& parameter : info.parameters) {
    if (parameter.per_member == per_member && parameter.default_value) {
      parameters.set(parameter.name, *parameter.default_value);
    }
  }
  for (const auto& [name, value] : given) {
    const auto found = std::find_if(info.parameters.begin(), info.parameters.end(),
                                    [&, n = name](const ParameterInfo& p) {
                                      return p.name == n && p.per_member == per_member;
                                    });
    if (found == info.parameters.end()) {
      throw Error("{} has no {} parameter '{}'", info.name, per_member ? "member" : "rule", name);
    }
    ParameterValue resolved = value;
    if (found->kind == ParameterInfo::Kind::choice) {
      if (const bool* flag = std::get_if<bool>(&value)) {
        resolved = std::string(*flag ? "true" : "false");
      }
      const std::string& text = std::get<std::string>(resolved);
      if (std::find(found->choices.begin(), found->choices.end(), text) == found->choices.end()) {
        throw Error("{}: '{}' is no choice of '{}'", info.name, text, name);
      }
    }
    parameters.set(name, resolved);
  }
  return parameters;
}

namespace driver_detail {

template <class T>
struct TensorData {
  std::vector<std::vector<T>> members;
  std::vector<T> base;
  std::vector<std::vector<T>> auxiliary;
};

template <class T>
std::vector<T> cast(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

template <class T>
TensorData<T> load(const DriverTensor& tensor) {
  TensorData<T> data;
  for (const auto& member : tensor.members) data.members.push_back(cast<T>(member));
  if (tensor.base) data.base = cast<T>(*tensor.base);
  for (const auto& auxiliary : tensor.auxiliary) data.auxiliary.push_back(cast<T>(auxiliary));
  return data;
}

// A block's place; blocks are numbered over the unit's tensors in order.
struct Place {
  std::size_t tensor;
  std::uint64_t first;
  std::size_t count;
};

// Leaves of at most kLeafBlocks consecutive blocks of one tensor.
inline std::vector<std::vector<Place>> leaves_of(const std::vector<DriverTensor>& tensors,
                                                 std::span<const std::uint64_t> elements,
                                                 bool whole_rows) {
  std::vector<std::vector<Place>> leaves;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    std::uint64_t step = kBlockElements;
    if (whole_rows) {
      const std::uint64_t row = std::max<std::uint64_t>(1, row_length(tensors[t].shape));
      step = row * std::max<std::uint64_t>(1, kBlockElements / row);
    }
    std::size_t in_leaf = 0;
    for (std::uint64_t first = 0; first < elements[t]; first += step) {
      if (in_leaf % kLeafBlocks == 0) leaves.emplace_back();
      ++in_leaf;
      const auto count = static_cast<std::size_t>(std::min(step, elements[t] - first));
      leaves.back().push_back({t, first, count});
    }
  }
  return leaves;
}

template <class T, class Use>
void with_block(const TensorData<T>& data, const Place& place, const Use& use) {
  std::vector<const T*> members;
  members.reserve(data.members.size());
  for (const auto& member : data.members) members.push_back(member.data() + place.first);
  std::vector<const T*> auxiliary;
  auxiliary.reserve(data.auxiliary.size());
  for (const auto& values : data.auxiliary) auxiliary.push_back(values.data() + place.first);
  Block<T> block;
  block.tensor = place.tensor;
  block.first = place.first;
  block.count = place.count;
  block.members = members;
  block.base = data.base.empty() ? nullptr : data.base.data() + place.first;
  block.auxiliary = auxiliary;
  use(block);
}

struct LeafState {
  std::unique_ptr<Statistic> statistic;
  void combine(LeafState&& right) const { statistic->combine(*right.statistic); }
};

inline std::vector<std::vector<double>> run_unit(const MergeRule& rule,
                                                 const std::vector<DriverTensor>& tensors,
                                                 const DriverOptions& options) {
  MergeUnit unit;
  unit.seed = options.seed;
  unit.statistics_memory = options.statistics_memory;
  std::vector<std::uint64_t> elements;
  std::vector<bool> as_double;
  std::vector<TensorData<float>> floats(tensors.size());
  std::vector<TensorData<double>> doubles(tensors.size());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const DriverTensor& tensor = tensors[t];
    unit.member_count = tensor.members.size();
    TensorView view;
    view.name = tensor.name;
    view.shape = tensor.shape;
    view.elements = element_count(tensor.shape, tensor.name);
    elements.push_back(view.elements);
    view.has_base = tensor.base.has_value();
    view.tied = tensor.tied;
    view.rule = rule_parameters(rule.info(), tensor.parameters, false);
    for (std::size_t m = 0; m < tensor.members.size(); ++m) {
      if (tensor.members[m].size() != view.elements) throw Error("driver: member of wrong size");
      view.members.push_back(rule_parameters(
          rule.info(),
          m < tensor.member_parameters.size() ? tensor.member_parameters[m] : Assignments{}, true));
    }
    if (tensor.base && tensor.base->size() != view.elements) {
      throw Error("driver: base of wrong size");
    }
    unit.tensors.push_back(std::move(view));
    as_double.push_back(options.as_double ||
                        std::find(options.double_tensors.begin(), options.double_tensors.end(),
                                  t) != options.double_tensors.end());
    if (as_double[t]) {
      doubles[t] = load<double>(tensor);
    } else {
      floats[t] = load<float>(tensor);
    }
  }
  const auto at = [&](const Place& place, const auto& use) {
    if (as_double[place.tensor]) {
      with_block(doubles[place.tensor], place, use);
    } else {
      with_block(floats[place.tensor], place, use);
    }
  };

  const Parallel parallel{options.threads,
                          options.threads == 1 ? Runner::sequential : Runner::std_thread};
  const auto leaves = leaves_of(
      tensors, elements, !unit.tensors.empty() && rule.whole_rows(unit.tensors.front().rule));
  const std::unique_ptr<UnitMerge> merge = rule.begin(unit);
  std::size_t passes = 0;
  while (merge->needs_pass()) {
    if (++passes > 100) throw Error("driver: the rule never stops asking for passes");
    auto total = fold(parallel, leaves.size(), [&](std::size_t leaf, std::size_t) {
      LeafState state{merge->make_statistic()};
      for (const Place& place : leaves[leaf]) {
        if (unit.tensors[place.tensor].tied) continue;
        if (!merge->wants_block(place.tensor, place.first)) continue;
        at(place, [&](const auto& block) { state.statistic->absorb(block); });
      }
      return state;
    });
    merge->solve(total ? std::move(total->statistic) : nullptr);
  }
  if (options.passes != nullptr) *options.passes = passes;

  std::vector<std::vector<double>> outputs;
  outputs.reserve(elements.size());
  for (const std::uint64_t count : elements) outputs.emplace_back(count);
  parallel_for(parallel, leaves.size(), [&](std::size_t leaf, std::size_t) {
    for (const Place& place : leaves[leaf]) {
      at(place, [&](const auto& block) {
        merge->apply(block, std::span(outputs[place.tensor]).subspan(place.first, place.count));
      });
    }
  });
  return outputs;
}

}  // namespace driver_detail

/// The merged values of every tensor, before rounding to an output type. Rules of layer and model
/// scope see all tensors as one unit, the others one tensor at a time.
inline std::vector<std::vector<double>> run_rule(const MergeRule& rule,
                                                 const std::vector<DriverTensor>& tensors,
                                                 const DriverOptions& options = {}) {
  if (tensors.empty()) return {};
  const Scope scope =
      rule.scope(rule_parameters(rule.info(), tensors.front().parameters, /*per_member=*/false));
  if (scope == Scope::layer || scope == Scope::model) {
    return driver_detail::run_unit(rule, tensors, options);
  }
  std::vector<std::vector<double>> outputs;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    DriverOptions one = options;
    one.as_double = options.as_double ||
                    std::find(options.double_tensors.begin(), options.double_tensors.end(), t) !=
                        options.double_tensors.end();
    one.double_tensors.clear();
    outputs.push_back(driver_detail::run_unit(rule, {tensors[t]}, one).front());
  }
  return outputs;
}

/// The same for one tensor.
inline std::vector<double> run_rule(const MergeRule& rule, const DriverTensor& tensor,
                                    const DriverOptions& options = {}) {
  return run_rule(rule, std::vector<DriverTensor>{tensor}, options).front();
}

}  // namespace amalgam::testing

#include <algorithm>
#include <cmath>
#include <map>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/adapter_methods.hpp"
#include "amalgam/weights/low_rank.hpp"
#include "amalgam/weights/planner.hpp"
#include "amalgam/weights/recipe_arguments.hpp"

namespace amalgam {
namespace {

// Below this share of the largest singular value is what rounding leaves of zero.
constexpr double kLeastSingular = 1e-7;
constexpr const char* kZeroBase = "no change";

// Weights of zero: applied to them, an adapter is its change.
class ZeroSource final : public TensorSource {
 public:
  ZeroSource(const std::string& name, const Shape& shape) {
    set_tensors(kZeroBase, {make_tensor_info(name, DType::f32, shape, kZeroBase)});
  }
  void read_bytes(std::size_t, std::uint64_t, std::span<std::byte> out) const override {
    std::ranges::fill(out, std::byte{0});
  }
};

// A module, with the part of every adapter that changes it.
struct Group {
  Shape weight;
  bool is_embedding = false;
  std::vector<const AdapterModule*> parts;  // in the order of the adapters; null where it has none
};

class Merger {
 public:
  Merger(const std::vector<Adapter>& adapters, const AdapterMergeOptions& options)
      : adapters_(adapters), options_(options), weights_(options.weights) {
    if (adapters_.size() < 2)
      throw InputError("{} adapter; expected at least two", adapters_.size());
    if (weights_.empty()) weights_.assign(adapters_.size(), 1.0);
    if (weights_.size() != adapters_.size()) {
      throw InputError("{} weights for {} adapters", weights_.size(), adapters_.size());
    }
    is_sum_ = options.method == "cat" || options.method == "exact" || options.method == "svd";
    if (options.method == "svd" && !options.keep.rank && !options.keep.energy) {
      throw InputError("method svd: give the rank or the share of energy to keep");
    }
    if (!is_sum_) rule_ = &find_merge_rule(options.method);
  }

  AdapterResult run() {
    for (const Adapter& adapter : adapters_) check(adapter);
    find_groups();
    result_.adapter.base_model = adapters_.front().config.base_model;
    result_.adapter.task_type = adapters_.front().config.task_type;
    result_.adapter.transposed = adapters_.front().config.transposed;
    for (const auto& [name, group] : groups_) {
      check_interrupt();
      merge(name, group);
      if (options_.progress != nullptr) options_.progress->advance(1);
    }
    take_saved();
    return std::move(result_);
  }

 private:
  void check(const Adapter& adapter) const {
    if (adapter.config.kind != AdapterConfig::Kind::lora) {
      throw InputError(
          "{}: an IA3 adapter rescales its base, so there is no change to merge; apply "
          "it and merge the models",
          adapter.label);
    }
    if (adapter.config.transposed != adapters_.front().config.transposed) {
      throw InputError("{}: 'fan_in_fan_out' differs from that of {}", adapter.label,
                       adapters_.front().label);
    }
    for (const AdapterModule& module : adapter.modules) {
      if (module.magnitude || module.bias) {
        throw InputError(
            "{}: module '{}' has {}; apply the adapter, and 'amalgam lora extract' the change",
            adapter.label, module.name,
            module.magnitude ? "a magnitude (DoRA), whose effect depends on the base" : "a bias");
      }
    }
  }

  void find_groups() {
    for (std::size_t i = 0; i < adapters_.size(); ++i) {
      for (const AdapterModule& module : adapters_[i].modules) {
        const Shape shape = adapters_[i].weight_shape(module);
        Group& group = groups_[module.name];
        if (group.parts.empty()) {
          group.parts.resize(adapters_.size());
          group.weight = shape;
          group.is_embedding = module.is_embedding;
        }
        if (group.weight != shape || group.is_embedding != module.is_embedding) {
          throw InputError(
              "{}: module '{}' changes a weight of shape {}, but another adapter one of {}; "
              "expected "
              "adapters of one base",
              adapters_[i].label, module.name, format_shape(shape), format_shape(group.weight));
        }
        group.parts[i] = &module;
      }
    }
  }

  void merge(const std::string& name, const Group& group) {
    NewAdapterModule module{.name = name,
                            .weight = group.weight,
                            .is_embedding = group.is_embedding,
                            .left = {},
                            .right = {}};
    if (is_sum_) {
      side_by_side(group, module);
      if (options_.method != "cat") return recompress(module);
      result_.modules.push_back({name, module.rank, 1.0});
      result_.adapter.modules.push_back(std::move(module));
      return;
    }
    const std::vector<double> change = merged_change(name, group);
    const std::size_t rows = group.weight[0];
    const std::size_t columns = change.size() / rows;
    const std::size_t most = std::min(rows, columns);
    std::size_t ranks = 0;
    for (const AdapterModule* part : group.parts) ranks += part == nullptr ? 0 : part->rank;
    const std::size_t wanted = options_.keep.rank.value_or(options_.keep.energy ? most : ranks);
    keep(truncated_svd(change, rows, columns, std::min(wanted, most),
                       {.seed = options_.engine.seed}),
         squares_of(change), std::move(module));
  }

  // [w1 B1, w2 B2, ...] and [A1; A2; ...].
  void side_by_side(const Group& group, NewAdapterModule& module) const {
    std::vector<LowRankFactors<double>> factors(adapters_.size());
    for (std::size_t i = 0; i < adapters_.size(); ++i) {
      if (group.parts[i] == nullptr) continue;
      factors[i] = adapters_[i].factors<double>(*group.parts[i]);
      check_finite(adapters_[i], module.name, factors[i].left);
      check_finite(adapters_[i], module.name, factors[i].right);
      module.rank += factors[i].rank;
      module.right.insert(module.right.end(), factors[i].right.begin(), factors[i].right.end());
    }
    for (std::size_t row = 0; row < group.weight[0]; ++row) {
      for (std::size_t i = 0; i < adapters_.size(); ++i) {
        for (std::size_t k = 0; k < factors[i].rank; ++k) {
          module.left.push_back(weights_[i] * factors[i].left[row * factors[i].rank + k]);
        }
      }
    }
  }

  static void check_finite(const Adapter& adapter, const std::string& module,
                           const std::vector<double>& factor) {
    const auto bad = std::ranges::find_if(factor, [](double x) { return !std::isfinite(x); });
    if (bad == factor.end()) return;
    throw InputError("{}: module '{}' has {} in a factor; expected finite numbers", adapter.label,
                     module, *bad);
  }

  void recompress(NewAdapterModule& module) {
    const std::size_t rows = module.weight[0];
    const std::size_t columns = module.right.size() / module.rank;
    LowRank svd = product_svd(module.left, module.right, rows, columns,
                              std::min({module.rank, rows, columns}));
    const double squares = squares_of(svd.singular);
    if (options_.method == "svd" && options_.keep.rank) truncate(svd, *options_.keep.rank);
    if (options_.method == "exact") {
      const double least = kLeastSingular * svd.singular.front();
      truncate(svd, static_cast<std::size_t>(std::ranges::count_if(
                        svd.singular, [&](double one) { return one > least; })));
    }
    keep(svd, squares, std::move(module));
  }

  static void truncate(LowRank& svd, std::size_t rank) {
    rank = std::max<std::size_t>(rank, 1);
    if (rank >= svd.rank) return;
    std::vector<double> left(svd.rows * rank);
    for (std::size_t i = 0; i < svd.rows; ++i) {
      std::copy_n(svd.left.begin() + static_cast<std::ptrdiff_t>(i * svd.rank), rank,
                  left.begin() + static_cast<std::ptrdiff_t>(i * rank));
    }
    svd.left = std::move(left);
    svd.right.resize(rank * svd.columns);
    svd.singular.resize(rank);
    svd.rank = rank;
  }

  void keep(const LowRank& svd, double squares, NewAdapterModule module) {
    CompressionOptions wanted = options_.keep;
    if (options_.method == "exact") wanted = {};
    result_.modules.push_back(compress(svd, squares, wanted, module));
    result_.adapter.modules.push_back(std::move(module));
  }

  static double squares_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return sum;
  }

  // What the rule makes of the changes of one weight, over a base of zero.
  std::vector<double> merged_change(const std::string& name, const Group& group) const {
    const std::string tensor = name + ".weight";
    const auto zero = std::make_shared<ZeroSource>(tensor, group.weight);
    std::vector<std::string> members;
    std::map<std::string, SharedSource> sources = {{kZeroBase, zero}};
    for (std::size_t i = 0; i < adapters_.size(); ++i) {
      members.push_back("adapter " + std::to_string(i + 1));
      SharedSource& change = sources[members.back()];
      change = zero;
      if (group.parts[i] == nullptr) continue;
      Adapter part = adapters_[i];
      part.modules = {*group.parts[i]};
      part.saved.clear();
      change = apply_adapter(zero, std::move(part));
    }
    const RuleInfo& info = rule_->info();
    const Recipe recipe = recipe_from_arguments(
        info, {.base = info.base == BaseUse::ignored && !info.base_is_member ? "" : kZeroBase,
               .members = members,
               .parameters = options_.parameters});
    const MergePlan plan = plan_merge(
        recipe,
        [&](const ModelReference& reference) -> OpenedModel { return sources.at(reference.path); },
        {.compare_copied = false});
    MemorySink sink(outputs_of(plan));
    run_merge(plan, sink, options_.engine);
    return values_of(*sink.take(name), tensor);
  }

  void take_saved() {
    std::map<std::string, std::pair<MemoryTensor, const Adapter*>> taken;
    for (const Adapter& adapter : adapters_) {
      for (const auto& [name, index] : adapter.saved) {
        MemoryTensor tensor{adapter.tensors->tensors()[index], {}};
        tensor.bytes.resize(tensor.info.bytes);
        adapter.tensors->read_bytes(index, 0, tensor.bytes);
        tensor.info.name = name;
        const auto [place, is_new] = taken.try_emplace(name, tensor, &adapter);
        const MemoryTensor& old = place->second.first;
        if (is_new || (old.bytes == tensor.bytes && old.info.shape == tensor.info.shape)) continue;
        throw InputError(
            "{}: saves '{}' whole, and {} another one; apply the adapters and merge the models",
            adapter.label, name, place->second.second->label);
      }
    }
    for (auto& entry : taken) result_.adapter.saved.push_back(std::move(entry.second.first));
  }

  const std::vector<Adapter>& adapters_;
  const AdapterMergeOptions& options_;
  std::vector<double> weights_;
  bool is_sum_ = false;
  const MergeRule* rule_ = nullptr;
  std::map<std::string, Group> groups_;
  AdapterResult result_;
};

}  // namespace

AdapterResult merge_adapters(std::vector<Adapter> adapters, const AdapterMergeOptions& options) {
  return Merger(adapters, options).run();
}

}  // namespace amalgam

#include <string>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/rules/combination.hpp"
#include "amalgam/weights/rules/flag_subspace.hpp"
#include "amalgam/weights/rules/registry.hpp"
#include "amalgam/weights/rules/robust.hpp"

namespace amalgam::rules {
namespace {

std::string format_numbers(std::span<const double> values) {
  std::string text;
  for (const double value : values) text += fmt::format("{}{:.3g}", text.empty() ? "" : " ", value);
  return text;
}

FlagOptions read_options(const MergeUnit& unit) {
  const Parameters& parameters = unit.tensors.front().rule;
  const std::string& scaling = parameters.text("scaling");
  FlagOptions options{.subspace = (unit.member_count + 2) / 2,
                      .lambda = parameters.number("lambda"),
                      .raw_pairs = parameters.flag("raw_pairs"),
                      .iterations = static_cast<std::size_t>(parameters.number("iterations")),
                      .scaling = scaling == "raw"      ? FlagScaling::raw
                                 : scaling == "unit_m" ? FlagScaling::unit_m
                                                       : FlagScaling::unit};
  if (parameters.has("m")) options.subspace = static_cast<std::size_t>(parameters.number("m"));
  if (options.subspace > unit.member_count) {
    throw InputError(
        "flag: a subspace of m = {} dimensions needs as many members, but there are {}",
        options.subspace, unit.member_count);
  }
  return options;
}

Combination flag_combination(const SmallMatrix& products, const FlagOptions& options,
                             const std::string& what, log::Level level) {
  const FlagResult result = flag_aggregate(products, options);
  for (const std::size_t member : result.excluded) {
    log::warn("flag: member {} of {} is not finite and was left out", member + 1, what);
  }
  if (result.excluded.size() == products.size()) {
    throw InputError("flag: no member of {} is finite", what);
  }
  log::write(level, fmt::format("flag: share of each member of {} in the subspace: {}; singular"
                                " values: {}",
                                what, format_numbers(result.explained),
                                format_numbers(result.singular_values)));
  return {.weights = result.weights, .relative = true};
}

class Flag final : public MergeRule {
 public:
  const RuleInfo& info() const override {
    static const RuleInfo kInfo{
        .name = "flag",
        .summary =
            "The task vectors' mean projected on the low-dimensional subspace that most of"
            " them share.",
        .source = "Almasi et al. 2024, Flag Aggregator (arXiv 2302.05865)",
        .base = BaseUse::required,
        .min_members = 1,
        .parameters =
            {{.name = "m",
              .kind = ParameterInfo::Kind::integer,
              .doc = "Dimension of the subspace, at most the number of members p.",
              .optional = true,
              .default_text = "ceil((p + 1) / 2)",
              .low = 1,
              .high = 1e6},
             {.name = "lambda",
              .doc = "Weight of keeping the distances between members.",
              .default_value = 0.0,
              .low = 0},
             {.name = "iterations",
              .kind = ParameterInfo::Kind::integer,
              .doc = "Most reweighted fits; 1 is plain singular vectors.",
              .default_value = 5.0,
              .low = 1,
              .high = 1e6},
             {.name = "scaling",
              .kind = ParameterInfo::Kind::choice,
              .doc =
                  "unit: unit vectors, then the members' median norm; unit_m: unit vectors over m"
                  " (the authors' code); raw: the members as they are (the paper's algorithm, not"
                  " safe against large members).",
              .default_value = std::string("unit"),
              .choices = {"unit", "unit_m", "raw"}},
             {.name = "raw_pairs",
              .kind = ParameterInfo::Kind::flag,
              .doc =
                  "With lambda: differences of the members as they are, not of their directions.",
              .default_value = false},
             robust_scope_parameter()},
        .robust = true,
    };
    return kInfo;
  }
  Scope scope(const Parameters& parameters) const override { return robust_scope(parameters); }
  std::vector<std::string> passes(const Parameters&) const override {
    return {"reduce: products of all pairs of task vectors", "apply: weighted sum"};
  }
  std::unique_ptr<UnitMerge> begin(const MergeUnit& unit) const override {
    require_common_parameters(unit, "flag");
    const TensorView& first = unit.tensors.front();
    const bool whole_model = robust_scope(first.rule) == Scope::model;
    std::string what = whole_model                ? std::string("the model")
                       : unit.tensors.size() == 1 ? fmt::format("tensor '{}'", first.name)
                                                  : fmt::format("the layer of '{}'", first.name);
    const log::Level level = whole_model ? log::Level::info : log::Level::debug;
    return std::make_unique<CombinationMerge>(
        unit, PairSums::difference_products,
        [options = read_options(unit), what = std::move(what), level](const SmallMatrix& products) {
          return flag_combination(products, options, what, level);
        });
  }
};

}  // namespace

const MergeRule& flag() {
  static const Flag kRule;
  return kRule;
}

}  // namespace amalgam::rules

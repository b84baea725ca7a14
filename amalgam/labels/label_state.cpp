#include "amalgam/labels/label_state.hpp"

#include "amalgam/core/error.hpp"
#include "amalgam/labels/hard_label_state.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/whole_fit_state.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kHard = "fast-dawid-skene";

// What a state of the method looks at again in an update.
enum class Kind { expectation_maximisation, hard_labels, everything };

Kind kind_of(const StateHead& head) {
  if (head.method == kHard) return Kind::hard_labels;
  if (head.method == "one-coin-dawid-skene" || head.method == "zencrowd") {
    return Kind::expectation_maximisation;
  }
  if (head.method != "dawid-skene") return Kind::everything;
  return abstentions_of(head) == "ignored" ? Kind::expectation_maximisation : Kind::everything;
}

}  // namespace

bool holds_gold(std::string_view method) {
  return method != "dawid-skene" && kind_of({std::string(method), {}}) == Kind::everything;
}

std::unique_ptr<LabelState> make_label_state(const AnnotationTable& table,
                                             const std::string& method,
                                             std::span<const std::string> parameters,
                                             const FitContext& context) {
  find_label_model(method);
  if (context.gold != nullptr && !holds_gold(method)) {
    throw InputError("a state of '{}' cannot hold gold labels as known", method);
  }
  switch (kind_of({method, {parameters.begin(), parameters.end()}})) {
    case Kind::hard_labels:
      return std::make_unique<HardLabelState>(table, parameters, context);
    case Kind::expectation_maximisation:
      return std::make_unique<IncrementalFit>(table, method, parameters, context);
    case Kind::everything:
      break;
  }
  return std::make_unique<WholeFitState>(table, method, parameters, context);
}

std::unique_ptr<LabelState> load_label_state(const std::filesystem::path& path) {
  return load_label_state(ColumnReader(path));
}

std::unique_ptr<LabelState> load_label_state(const ColumnReader& reader) {
  const StateHead head = read_state_head(reader);
  switch (reader.checked([&] { return kind_of(head); })) {
    case Kind::hard_labels:
      return std::make_unique<HardLabelState>(reader);
    case Kind::expectation_maximisation:
      return std::make_unique<IncrementalFit>(reader);
    case Kind::everything:
      break;
  }
  return std::make_unique<WholeFitState>(reader);
}

}  // namespace amalgam::labels

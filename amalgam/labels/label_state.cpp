#include "amalgam/labels/label_state.hpp"

#include "amalgam/core/error.hpp"
#include "amalgam/labels/counting_state.hpp"
#include "amalgam/labels/hard_label_state.hpp"
#include "amalgam/labels/incremental.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kHard = "fast-dawid-skene";

bool is_expectation_maximisation(std::string_view method) {
  return method == "dawid-skene" || method == "one-coin-dawid-skene" || method == "zencrowd";
}

}  // namespace

std::unique_ptr<LabelState> make_label_state(const AnnotationTable& table,
                                             const std::string& method,
                                             std::span<const std::string> parameters,
                                             const FitContext& context) {
  if (CountingState::is_method(method)) {
    return std::make_unique<CountingState>(table, method, parameters, context);
  }
  if (method == kHard) return std::make_unique<HardLabelState>(table, parameters, context);
  if (is_expectation_maximisation(method)) {
    return std::make_unique<IncrementalFit>(table, method, parameters, context);
  }
  find_label_model(method);
  throw InputError(
      "method '{}' cannot take in annotations later; expected dawid-skene, one-coin-dawid-skene, "
      "zencrowd, fast-dawid-skene, or one that counts votes (majority-vote, standard, softmax, "
      "weighted-majority, wawa, zero-based-skill)",
      method);
}

std::unique_ptr<LabelState> load_label_state(const std::filesystem::path& path) {
  const ColumnReader reader(path);
  const StateHead head = read_state_head(reader);
  if (CountingState::is_method(head.method)) return std::make_unique<CountingState>(reader);
  if (head.method == kHard) return std::make_unique<HardLabelState>(reader);
  return std::make_unique<IncrementalFit>(IncrementalFit::load(path));
}

}  // namespace amalgam::labels

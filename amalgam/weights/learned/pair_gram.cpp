#include "amalgam/weights/learned/pair_gram.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"

namespace amalgam::learned {
namespace {

using learning::LayerRecord;
using learning::LayerTrace;

PairGram products(const LayerRecord& left_record, const LayerRecord& right_record) {
  const torch::Tensor left = rows_with_one(left_record);
  const torch::Tensor right = rows_with_one(right_record);
  PairGram sums;
  const auto* convolution = dynamic_cast<const learning::Convolution*>(left_record.layer);
  if (convolution != nullptr) sums.taps = convolution->weight[0][0].numel();
  sums.rows = static_cast<std::uint64_t>(left.size(0));
  sums.left = left.t().mm(left);
  // The first layers see the same image.
  const bool same = torch::equal(left, right);
  sums.cross = same ? sums.left.clone() : left.t().mm(right);
  sums.right = same ? sums.left.clone() : right.t().mm(right);
  return sums;
}

bool same_head(const learning::Head& a, const learning::Head& b) {
  return a.name == b.name && a.classes == b.classes;
}

// Whether a tensor of either network has one row per class of its own, and the same behind.
bool is_of_own_outputs(const torch::Tensor& left, const torch::Tensor& right,
                       const learning::NetworkDescription& a,
                       const learning::NetworkDescription& b) {
  return left.dim() > 0 && left.dim() == right.dim() && left.size(0) == a.classes() &&
         right.size(0) == b.classes() && left.sizes().slice(1) == right.sizes().slice(1);
}

}  // namespace

torch::Tensor rows_with_one(const LayerRecord& record) {
  const torch::Tensor rows = learning::input_rows(*record.layer, record.input).to(torch::kDouble);
  if (!rows.isfinite().all().item<bool>()) {
    throw InputError("layer '{}': what goes into it is not finite", record.name);
  }
  return torch::cat({rows, torch::ones({rows.size(0), 1}, torch::kDouble)}, 1);
}

void PairGram::combine(const PairGram& more) {
  if (!left.defined()) {
    *this = {more.left.clone(), more.right.clone(), more.cross.clone(), more.taps, more.rows};
    return;
  }
  if (left.sizes() != more.left.sizes() || taps != more.taps) {
    throw InputError("Gram sums of {} and of {} inputs cannot be added", left.size(0) - 1,
                     more.left.size(0) - 1);
  }
  left += more.left;
  right += more.right;
  cross += more.cross;
  rows += more.rows;
}

void combine(PairGrams& sums, const PairGrams& more) {
  for (const auto& [name, sum] : more) {
    if (!sums.empty() && sums.size() == more.size() && !sums.contains(name)) {
      throw InputError("Gram sums of different layers cannot be added: '{}'", name);
    }
  }
  for (const auto& [name, sum] : more) sums[name].combine(sum);
}

PairGrams pair_grams(Network& left, Network& right, const learning::Dataset& data,
                     std::int64_t batch) {
  check_pair(left, right, /*own_outputs=*/true);
  learning::check_fits(left, data);
  if (data.count() == 0) throw InputError("{}: no examples for Gram matrices", data.source);
  const torch::NoGradGuard no_grad;
  const bool left_was_training = left.is_training();
  const bool right_was_training = right.is_training();
  left.eval();
  right.eval();
  PairGrams sums;
  for (std::int64_t first = 0; first < data.count(); first += batch) {
    check_interrupt();
    const torch::Tensor images =
        data.inputs.narrow(0, first, std::min(batch, data.count() - first));
    const LayerTrace left_trace(left, images);
    const LayerTrace right_trace(right, images);
    for (std::size_t i = 0; i < left_trace.layers().size(); ++i) {
      const LayerRecord& record = left_trace.layers()[i];
      sums[record.name].combine(products(record, right_trace.layers()[i]));
    }
  }
  left.train(left_was_training);
  right.train(right_was_training);
  return sums;
}

void check_pair(const Network& left, const Network& right, bool own_outputs) {
  const learning::NetworkDescription& a = left.description();
  const learning::NetworkDescription& b = right.description();
  if (own_outputs && !(a.heads.empty() && b.heads.empty()) &&
      !std::ranges::equal(a.heads, b.heads, same_head)) {
    throw InputError("the networks have different heads; expected the same, or one output each");
  }
  const NamedTensors ours = learning::state_of(left);
  const NamedTensors theirs = learning::state_of(right);
  for (const auto& [name, tensor] : ours) {
    const torch::Tensor& other = tensor_named(theirs, name, "the second network");
    const bool same_shape =
        tensor.sizes() == other.sizes() || (own_outputs && is_of_own_outputs(tensor, other, a, b));
    if (!same_shape || tensor.scalar_type() != other.scalar_type()) {
      throw InputError("tensor '{}' is {} {} in one network and {} {} in the other", name,
                       c10::str(tensor.sizes()), c10::str(tensor.scalar_type()),
                       c10::str(other.sizes()), c10::str(other.scalar_type()));
    }
    if (!tensor.isfinite().all().item<bool>() || !other.isfinite().all().item<bool>()) {
      throw InputError("tensor '{}' is not finite", name);
    }
  }
  for (const auto& [name, tensor] : theirs) tensor_named(ours, name, "the first network");
  if (a.architecture != b.architecture) {
    throw InputError("one network is an '{}', the other an '{}'", a.architecture, b.architecture);
  }
  if (a.input_shape != b.input_shape || a.input_mean != b.input_mean ||
      a.input_deviation != b.input_deviation) {
    throw InputError(
        "the networks standardise their inputs differently; expected equal shape,"
        " mean and deviation");
  }
  if (own_outputs) return;
  if (a.class_names != b.class_names || !std::ranges::equal(a.heads, b.heads, same_head)) {
    throw InputError("the networks tell different classes apart; expected the same in one order");
  }
}

}  // namespace amalgam::learned

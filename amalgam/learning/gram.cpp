#include "amalgam/learning/gram.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/learning/layer_gradients.hpp"

namespace amalgam::learning {
namespace {

constexpr const char* kGram = ".gram";
constexpr const char* kRows = ".rows";

}  // namespace

void GramSum::combine(const GramSum& right) {
  if (!products.defined()) {
    *this = {right.products.clone(), right.rows};
    return;
  }
  if (products.sizes() != right.products.sizes()) {
    throw InputError("Gram sums of {} and of {} inputs cannot be added", products.size(0),
                     right.products.size(0));
  }
  products += right.products;
  rows += right.rows;
}

torch::Tensor GramSum::mean() const { return products / static_cast<double>(rows); }

torch::Tensor input_rows(const Layer& layer, const torch::Tensor& input) {
  if (dynamic_cast<const Linear*>(&layer) != nullptr) return input.flatten(0, -2);
  if (const auto* convolution = dynamic_cast<const Convolution*>(&layer)) {
    return convolution->patches(input).transpose(1, 2).flatten(0, 1);
  }
  throw Error("a layer whose inputs are not known as rows");
}

GramSums gram_sums(Network& network, const Dataset& data, std::int64_t batch) {
  check_fits(network, data);
  if (data.count() == 0) throw InputError("{}: no examples for Gram matrices", data.source);
  const torch::NoGradGuard no_grad;
  const bool was_training = network.is_training();
  network.eval();
  GramSums sums;
  for (std::int64_t first = 0; first < data.count(); first += batch) {
    check_interrupt();
    const std::int64_t count = std::min(batch, data.count() - first);
    const LayerTrace trace(network, data.inputs.narrow(0, first, count));
    for (const LayerRecord& record : trace.layers()) {
      const torch::Tensor rows = input_rows(*record.layer, record.input).to(torch::kDouble);
      sums[record.name].combine({rows.t().mm(rows), static_cast<std::uint64_t>(rows.size(0))});
    }
  }
  network.train(was_training);
  return sums;
}

NamedTensors to_tensors(const GramSums& sums) {
  NamedTensors tensors;
  for (const auto& [layer, sum] : sums) {
    tensors.emplace_back(layer + kGram, sum.products);
    tensors.emplace_back(layer + kRows,
                         torch::full({1}, static_cast<double>(sum.rows), torch::kDouble));
  }
  return tensors;
}

GramSums gram_sums_from(const NamedTensors& tensors, const std::string& where) {
  GramSums sums;
  const auto find = [&](const std::string& name) {
    const auto found = std::ranges::find(tensors, name, &NamedTensors::value_type::first);
    if (found == tensors.end()) throw InputError("{}: no tensor '{}'", where, name);
    return found->second;
  };
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with(kGram)) continue;
    const std::string layer = name.substr(0, name.size() - std::string_view(kGram).size());
    const double rows = find(layer + kRows).sum().item<double>();
    if (tensor.dim() != 2 || tensor.size(0) != tensor.size(1) || !(rows >= 1 && rows < 0x1p53)) {
      throw InputError("{}: '{}' is no Gram sum; expected a square matrix and a number of rows",
                       where, name);
    }
    sums[layer] = {tensor.to(torch::kDouble), static_cast<std::uint64_t>(rows)};
  }
  if (sums.empty()) throw InputError("{}: holds no Gram sums", where);
  return sums;
}

}  // namespace amalgam::learning

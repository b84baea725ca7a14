#include "amalgam/weights/learned/coefficients.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

torch::Tensor find_tensor(const NamedTensors& tensors, const std::string& name,
                          torch::IntArrayRef shape) {
  const auto found = std::ranges::find(tensors, name, &NamedTensors::value_type::first);
  if (found == tensors.end()) throw InputError("tensor '{}' is missing from a member", name);
  if (found->second.sizes() != shape) {
    throw InputError("tensor '{}' has shape {} in a member; expected {}", name,
                     found->second.sizes().vec(), shape.vec());
  }
  return found->second;
}

}  // namespace

MergedPoint::MergedPoint(const learning::Network& network, const NamedTensors* origin,
                         const std::vector<NamedTensors>& directions, Granularity granularity)
    : network_(learning::network_with(network, learning::state_of(network))),
      count_(static_cast<std::int64_t>(directions.size())),
      granularity_(granularity) {
  if (directions.empty()) throw InputError("nothing to learn coefficients of: no members");
  for (const auto& parameter : network_->named_parameters()) {
    Row row{.name = parameter.key(), .parameter = parameter.value()};
    const auto shape = row.parameter.sizes();
    row.origin = origin == nullptr
                     ? torch::zeros({row.parameter.numel()}, torch::kDouble)
                     : find_tensor(*origin, row.name, shape).flatten().to(torch::kDouble);
    std::vector<torch::Tensor> flat;
    for (const NamedTensors& direction : directions) {
      flat.push_back(find_tensor(direction, row.name, shape).flatten().to(row.parameter.dtype()));
    }
    row.directions = torch::stack(flat);
    tensors_.push_back(std::move(row));
  }
  network_->eval();
}

std::int64_t MergedPoint::rows() const {
  return granularity_ == Granularity::whole ? 1 : static_cast<std::int64_t>(tensors_.size());
}

std::vector<std::string> MergedPoint::row_names() const {
  if (granularity_ == Granularity::whole) return {""};
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const Row& row : tensors_) names.push_back(row.name);
  return names;
}

void MergedPoint::move_to(const torch::Tensor& coefficients) {
  const torch::NoGradGuard no_grad;
  for (std::size_t l = 0; l < tensors_.size(); ++l) {
    Row& row = tensors_[l];
    const torch::Tensor mine =
        coefficients[granularity_ == Granularity::whole ? 0 : static_cast<std::int64_t>(l)];
    const torch::Tensor moved =
        row.origin + torch::mv(row.directions.to(torch::kDouble).t(), mine.to(torch::kDouble));
    row.parameter.copy_(moved.view_as(row.parameter));
    if (row.parameter.grad().defined()) row.parameter.mutable_grad().zero_();
  }
}

torch::Tensor MergedPoint::gradient() const {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> rows;
  rows.reserve(tensors_.size());
  for (const Row& row : tensors_) {
    if (!row.parameter.grad().defined()) throw Error("tensor '{}' has no gradient", row.name);
    rows.push_back(torch::mv(row.directions.to(torch::kDouble),
                             row.parameter.grad().flatten().to(torch::kDouble)));
  }
  const torch::Tensor all = torch::stack(rows);
  return granularity_ == Granularity::whole ? all.sum(0, /*keepdim=*/true) : all;
}

NamedTensors MergedPoint::state() const {
  NamedTensors state;
  state.reserve(tensors_.size());
  for (const Row& row : tensors_) state.emplace_back(row.name, row.parameter.detach().clone());
  for (const auto& buffer : network_->named_buffers()) {
    state.emplace_back(buffer.key(), buffer.value().detach().clone());
  }
  return state;
}

NamedTensors subtract(const NamedTensors& a, const NamedTensors& b) {
  NamedTensors result;
  result.reserve(a.size());
  for (const auto& [name, tensor] : a) {
    result.emplace_back(name, tensor.detach() - find_tensor(b, name, tensor.sizes()).detach());
  }
  return result;
}

}  // namespace amalgam::learned

#include "amalgam/learning/number_evaluation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/description/encoding.hpp"

namespace amalgam::learning {

TargetScale target_scale(const Dataset& data) {
  const TableLayout layout = parse_table_layout(data.encoding, data.class_names, data.source);
  return layout.target.value_or(TargetScale{});
}

NumberFigures judge_numbers(const torch::Tensor& outputs, const Dataset& data) {
  if (!data.predicts_numbers() || data.count() == 0) {
    throw InputError("{}: no numbers that could be predicted", data.source);
  }
  const torch::NoGradGuard no_grad;
  const TargetScale scale = target_scale(data);
  const torch::Tensor truth = data.targets.to(torch::kDouble);
  const torch::Tensor errors = outputs.flatten().to(torch::kDouble) - truth;
  const torch::Tensor squares = (errors * scale.deviation).square().contiguous();
  NumberFigures figures;
  figures.examples = static_cast<std::uint64_t>(data.count());
  figures.scaled_mse = errors.square().mean().item<double>();
  figures.mse = squares.mean().item<double>();
  figures.mae = (errors * scale.deviation).abs().mean().item<double>();
  const double variance = truth.var(/*unbiased=*/false).item<double>();
  figures.r2 =
      variance > 0 ? 1 - figures.scaled_mse / variance : std::numeric_limits<double>::quiet_NaN();
  const auto* first = squares.data_ptr<double>();
  figures.squared_errors.assign(first, first + squares.numel());
  figures.mse_interval = {figures.mse, figures.mse};
  if (figures.squared_errors.size() > 1) {
    figures.mse_interval = mean_interval(figures.squared_errors).interval;
  }
  return figures;
}

std::string r2_text(double r2) { return std::isnan(r2) ? "-" : fmt::format("{:.4f}", r2); }

}  // namespace amalgam::learning

#include "amalgam/weights/learned/reparameterisation.hpp"

#include <cmath>

#include "amalgam/core/error.hpp"

namespace amalgam::learned {
namespace {

// Per row of a weight, [outputs] -> [outputs, 1, ...].
torch::Tensor by_row(const torch::Tensor& rows, const torch::Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[0] = like.size(0);
  return rows.view(shape);
}

class SoftThreshold final : public Reparameterisation {
 public:
  explicit SoftThreshold(double initial) : initial_(initial) {}

  torch::Tensor beside(const torch::Tensor& dense) const override {
    return torch::full({1}, initial_, dense.options());
  }
  torch::Tensor effective(const torch::Tensor& dense, torch::Tensor& beside) const override {
    return dense.sign() * torch::relu(dense.abs() - beside.sigmoid());
  }
  WeightGradients gradients(const torch::Tensor& dense, const torch::Tensor& beside,
                            const torch::Tensor& gradient) const override {
    const torch::Tensor passed = gradient * kept(dense, beside);
    const torch::Tensor threshold = beside.sigmoid();
    return {passed, -(passed * dense.sign()).sum() * threshold * (1 - threshold)};
  }
  torch::Tensor kept(const torch::Tensor& dense, const torch::Tensor& beside) const override {
    return dense.abs() > beside.sigmoid();
  }
  bool decays() const override { return true; }

 private:
  double initial_;
};

class Continuous final : public Reparameterisation {
 public:
  Continuous(double initial, double penalty, double final_beta)
      : initial_(initial),
        penalty_(penalty),
        final_beta_(final_beta),
        scale_(1 + std::exp(-initial)) {}

  torch::Tensor beside(const torch::Tensor& dense) const override {
    return torch::full_like(dense, initial_);
  }
  torch::Tensor effective(const torch::Tensor& dense, torch::Tensor& beside) const override {
    return scale_ * dense * (beta_ * beside).sigmoid();
  }
  WeightGradients gradients(const torch::Tensor& dense, const torch::Tensor& beside,
                            const torch::Tensor& gradient) const override {
    const torch::Tensor gate = (beta_ * beside).sigmoid();
    const torch::Tensor slope = beta_ * gate * (1 - gate);
    return {scale_ * gradient * gate, (scale_ * gradient * dense + penalty_) * slope};
  }
  torch::Tensor kept(const torch::Tensor& /*dense*/, const torch::Tensor& beside) const override {
    return beside > 0;
  }
  void advance(std::uint64_t step, std::uint64_t steps) override {
    beta_ = std::pow(final_beta_, static_cast<double>(step) / static_cast<double>(steps));
  }

 private:
  double initial_;
  double penalty_;
  double final_beta_;
  double scale_;
  double beta_ = 1;
};

class UnitThreshold final : public Reparameterisation {
 public:
  explicit UnitThreshold(double penalty) : penalty_(penalty) {}

  torch::Tensor beside(const torch::Tensor& dense) const override {
    return torch::zeros({dense.size(0)}, dense.options());
  }
  torch::Tensor effective(const torch::Tensor& dense, torch::Tensor& beside) const override {
    constexpr double kLeastShare = .01;
    if (kept(dense, beside).to(torch::kDouble).mean().item<double>() <= kLeastShare) {
      beside.zero_();
    }
    return dense * kept(dense, beside);
  }
  WeightGradients gradients(const torch::Tensor& dense, const torch::Tensor& beside,
                            const torch::Tensor& gradient) const override {
    const torch::Tensor distance = (dense.abs() - by_row(beside, dense)).abs();
    // The estimate of the derivative of a step: 2 - 4 |x| up to 0.4, then 0.4 up to 1.
    const torch::Tensor tail =
        torch::where(distance <= 1, torch::full_like(distance, .4), torch::zeros_like(distance));
    const torch::Tensor slope = torch::where(distance <= .4, 2 - 4 * distance, tail);
    return {gradient * (kept(dense, beside) + dense.abs() * slope),
            -(gradient * dense * slope).flatten(1).sum(1) - penalty_ * (-beside).exp()};
  }
  torch::Tensor kept(const torch::Tensor& dense, const torch::Tensor& beside) const override {
    return dense.abs() > by_row(beside, dense);
  }

 private:
  double penalty_;
};

}  // namespace

std::unique_ptr<Reparameterisation> make_reparameterisation(const SparseTrainingOptions& options) {
  constexpr double kInitialThreshold = -5;
  constexpr double kContinuousPenalty = 1e-5;
  constexpr double kUnitPenalty = 5e-4;
  switch (options.method) {
    case SparseMethod::soft_threshold:
      return std::make_unique<SoftThreshold>(options.initial.value_or(kInitialThreshold));
    case SparseMethod::continuous:
      return std::make_unique<Continuous>(options.initial.value_or(0),
                                          options.penalty.value_or(kContinuousPenalty),
                                          options.final_beta);
    case SparseMethod::unit_threshold:
      return std::make_unique<UnitThreshold>(options.penalty.value_or(kUnitPenalty));
    default:
      throw Error("sparse training: the method has nothing beside its weights");
  }
}

}  // namespace amalgam::learned

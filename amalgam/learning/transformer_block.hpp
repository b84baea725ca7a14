#pragma once

#include <cstdint>
#include <memory>

#include "amalgam/learning/layers.hpp"

namespace amalgam::learning {

/// The variance gain of layers that write to the residual stream: small, so that the stream's
/// variance does not grow with the number of blocks.
inline double residual_gain(std::int64_t blocks) { return 0.5 / static_cast<double>(blocks); }

/// What the parts of a block are called in its network.
struct BlockNames {
  const char* attention_norm;
  const char* attention;
  const char* mlp_norm;
  const char* mlp;
};

/// A pre-norm block of a transformer: y = x + attention(norm(x)), and y + mlp(norm(y)).
template <class Norm, class Attention, class Mlp>
class TransformerBlock final : public torch::nn::Module {
 public:
  template <class Options>
  TransformerBlock(const BlockNames& names, std::int64_t width, double epsilon,
                   const Options& options)
      : attention_norm_(
            register_module(names.attention_norm, std::make_shared<Norm>(width, epsilon))),
        attention_(register_module(names.attention, std::make_shared<Attention>(options))),
        mlp_norm_(register_module(names.mlp_norm, std::make_shared<Norm>(width, epsilon))),
        mlp_(register_module(names.mlp, std::make_shared<Mlp>(options))) {}

  /// [batch, tokens, width] -> the same. `positions`: what else the attention takes.
  template <class... Positions>
  torch::Tensor forward(const torch::Tensor& x, const LayerObserver& observer,
                        Positions&... positions) const {
    const torch::Tensor y =
        x + attention_->forward(attention_norm_->forward(x, observer), observer, positions...);
    return y + mlp_->forward(mlp_norm_->forward(y, observer), observer);
  }

 private:
  std::shared_ptr<Norm> attention_norm_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Norm> mlp_norm_;
  std::shared_ptr<Mlp> mlp_;
};

}  // namespace amalgam::learning

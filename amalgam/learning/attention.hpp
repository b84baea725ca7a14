#pragma once

#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// Scaled dot-product attention (Vaswani et al. 2017): softmax(q k^T / sqrt(width)) v with q
/// [batch, heads, queries, width], k and v [batch, heads, keys, width]. `mask`, if defined, is
/// added to the scores: 0, or minus infinity for what a query must not see.
torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     const torch::Tensor& mask = {});

/// The mask [length, length] by which position t sees positions up to t only, in the type of
/// `like`.
torch::Tensor causal_mask(std::int64_t length, const torch::Tensor& like);

}  // namespace amalgam::learning

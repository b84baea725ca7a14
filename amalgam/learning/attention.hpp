#pragma once

#include "amalgam/learning/torch.hpp"

namespace amalgam::learning {

/// Scaled dot-product attention (Vaswani et al. 2017): softmax(q k^T / sqrt(width)) v with q
/// [batch, heads, queries, width], k and v [batch, key heads, keys, width], float or double; the
/// result is like q. Neighbouring heads of q share a head of k and v (heads are a multiple of key
/// heads; Ainslie et al. 2023). `causal`: query t sees keys 0 to t only (as many keys as queries).
///
/// One operation rather than the six of its formula, because matrices per head are small: libtorch
/// would call a matrix product for each of them. Gradients can be taken once, not twice. Heads are
/// independent of each other, so the bits do not depend on the number of threads.
torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     bool causal);

}  // namespace amalgam::learning

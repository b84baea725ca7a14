#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/weights/learned/exclusive_knowledge.hpp"
#include "amalgam/weights/learned/router.hpp"

namespace amalgam::learned {

/// A shared model, what each expert knows beyond it, and who tells which expert an input needs
/// (Twin-Merging, Lu et al. 2024, arXiv 2406.15479).
struct TwinModel {
  std::shared_ptr<learning::Network> shared;  ///< theta_s
  std::vector<std::string> tasks;             ///< their names, one per module
  /// The head that each task's inputs are for, if the network has several; else empty.
  std::vector<std::string> heads = {};
  std::vector<ExclusiveModule> modules;  ///< v_k
  std::shared_ptr<Router> router;        ///< null: shares have to be given
  double router_accuracy = 0;            ///< on held-out examples
  Routing routing;
};

/// Runs a TwinModel: every input by weights of its own, theta(x) = theta_s + sum_k w_k(x) v_k with
/// w from the router, without ever building them: a layer's output is linear in the layer's
/// weights, so each layer adds sum_k w_k U_k (S_k (V_k x)) to what the shared one gives. It is a
/// network like any other, in evaluation mode for good. Statistics of BatchNorm are the shared
/// model's.
class TwinNetwork final : public learning::Network {
 public:
  /// InputError if a module names a tensor that the shared model does not have or that has another
  /// shape there, or if the router is for another number of tasks or features.
  explicit TwinNetwork(TwinModel model);

  const TwinModel& model() const { return model_; }

  /// The router's shares [batch, tasks] of inputs, double. InputError without a router.
  torch::Tensor shares(const torch::Tensor& inputs);
  /// Logits of inputs by given shares [batch, tasks], which need not sum to 1.
  torch::Tensor forward_with(const torch::Tensor& inputs, const torch::Tensor& shares);
  /// From now on every input has these shares [tasks], whatever the router says; nothing: the
  /// router's again.
  void fix_shares(std::optional<torch::Tensor> shares) { fixed_ = std::move(shares); }
  /// Whether the router says what inputs get.
  bool routes() const { return model_.router != nullptr && !fixed_; }

  /// theta_s + sum_k shares[k] v_k, as weights of a network of the shared one's kind.
  NamedTensors materialised(const torch::Tensor& shares) const;

 protected:
  torch::Tensor compute(const torch::Tensor& inputs,
                        const learning::LayerObserver& observer) override;

 private:
  // What the modules change in one layer.
  struct Change {
    torch::Tensor down;                                         // [sum of ranks, columns], S V
    torch::Tensor up;                                           // [rows, sum of ranks], U
    torch::Tensor task_of_factor;                               // int64 [sum of ranks]
    std::vector<std::pair<std::int64_t, torch::Tensor>> whole;  // task and tensor
    bool empty() const { return !down.defined() && whole.empty(); }
  };

  Change change_of(const std::string& name) const;
  void add(const learning::Layer& layer, const torch::Tensor& input, const torch::Tensor& output,
           const torch::Tensor& shares) const;

  TwinModel model_;
  std::optional<torch::Tensor> fixed_;
  std::vector<std::pair<const void*, Change>> changes_;  // by the parameter they belong to
};

}  // namespace amalgam::learned

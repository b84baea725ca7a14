#include "amalgam/labels/learned/usefulness_ensemble.hpp"

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/torch.hpp"

namespace amalgam::labels {
namespace {

// All members' parameters in one row of numbers, so that a step of Adam is a few operations.
class Members {
 public:
  Members(std::int64_t inputs, const EnsembleOptions& options, std::uint64_t seed)
      : options_(options),
        count_(static_cast<std::int64_t>(options.members)),
        inputs_(inputs),
        hidden_(static_cast<std::int64_t>(options.hidden)) {
    const std::int64_t sizes[] = {inputs_ * hidden_, hidden_, hidden_ * hidden_,
                                  hidden_,           hidden_, 1};
    std::int64_t total = 0;
    for (const std::int64_t size : sizes) total += size * count_;
    values_ = torch::empty({total});
    RandomStream random(seed, "usefulness ensemble weights");
    float* at = values_.data_ptr<float>();
    // Uniform within 1 / sqrt(inputs of the layer), weights and biases alike.
    const double fan_in[] = {static_cast<double>(inputs_), static_cast<double>(inputs_),
                             static_cast<double>(hidden_), static_cast<double>(hidden_),
                             static_cast<double>(hidden_), static_cast<double>(hidden_)};
    for (std::size_t part = 0; part < std::size(sizes); ++part) {
      const double bound = 1 / std::sqrt(fan_in[part]);
      for (std::int64_t i = 0; i < sizes[part] * count_; ++i) {
        *at++ = static_cast<float>(bound * (2 * random.uniform() - 1));
      }
    }
    values_.set_requires_grad(true);
  }

  // [members, rows] logits of rows [rows, inputs].
  torch::Tensor logits(const torch::Tensor& rows) const {
    std::int64_t offset = 0;
    const auto part = [&](std::vector<std::int64_t> shape) {
      std::int64_t size = 1;
      for (const std::int64_t one : shape) size *= one;
      const torch::Tensor view = values_.narrow(0, offset, size).view(shape);
      offset += size;
      return view;
    };
    // The first layer of all members is one product.
    const torch::Tensor first = part({inputs_, count_ * hidden_});
    const torch::Tensor first_bias = part({count_ * hidden_});
    torch::Tensor state = torch::addmm(first_bias, rows, first)
                              .relu()
                              .view({rows.size(0), count_, hidden_})
                              .transpose(0, 1);
    const torch::Tensor second = part({count_, hidden_, hidden_});
    const torch::Tensor second_bias = part({count_, 1, hidden_});
    state = torch::baddbmm(second_bias, state, second).relu();
    const torch::Tensor last = part({count_, hidden_, 1});
    const torch::Tensor last_bias = part({count_, 1, 1});
    return torch::baddbmm(last_bias, state, last).squeeze(2);
  }

  // `weights` [members, rows]: how often each row is in each member's sample.
  void train(const torch::Tensor& rows, const torch::Tensor& targets,
             const torch::Tensor& weights) {
    torch::optim::Adam adam(
        {values_},
        torch::optim::AdamOptions(options_.learning_rate).weight_decay(options_.weight_decay));
    const torch::Tensor expanded = targets.expand_as(weights);
    for (std::size_t epoch = 0; epoch < options_.epochs; ++epoch) {
      adam.zero_grad();
      // The sum over members: their gradients do not meet.
      const torch::Tensor loss = torch::binary_cross_entropy_with_logits(
          logits(rows), expanded, weights, {}, torch::Reduction::Sum);
      (loss / static_cast<double>(rows.size(0))).backward();
      adam.step();
    }
  }

 private:
  EnsembleOptions options_;
  std::int64_t count_;
  std::int64_t inputs_;
  std::int64_t hidden_;
  torch::Tensor values_;
};

torch::Tensor as_tensor(const Features& features) {
  const torch::Tensor all = torch::empty(
      {static_cast<std::int64_t>(features.rows), static_cast<std::int64_t>(features.columns)});
  std::transform(features.values.begin(), features.values.end(), all.data_ptr<float>(),
                 [](double value) { return static_cast<float>(value); });
  return all;
}

torch::Tensor bootstrap_counts(std::size_t members, std::size_t rows, std::uint64_t seed) {
  const torch::Tensor counts =
      torch::zeros({static_cast<std::int64_t>(members), static_cast<std::int64_t>(rows)});
  float* at = counts.data_ptr<float>();
  RandomStream random(seed, "usefulness ensemble samples");
  for (std::size_t m = 0; m < members; ++m, at += rows) {
    for (std::size_t draw = 0; draw < rows; ++draw) at[random.below(rows)] += 1;
  }
  return counts;
}

}  // namespace

Usefulness usefulness_ensemble(const Features& features, std::span<const DialogueAnswer> answers,
                               std::uint64_t seed, const EnsembleOptions& options) {
  check_finite(features, "usefulness ensemble");
  if (answers.empty()) throw InputError("usefulness ensemble: there is no answer to learn from");
  if (options.members == 0 || options.hidden == 0) {
    throw InputError("usefulness ensemble: {} members of {} hidden units; expected 1 or more",
                     options.members, options.hidden);
  }
  std::vector<std::size_t> asked;
  const torch::Tensor targets = torch::empty({static_cast<std::int64_t>(answers.size())});
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].function >= features.rows) {
      throw InputError("usefulness ensemble: an answer about function {} of {}",
                       answers[i].function, features.rows);
    }
    asked.push_back(answers[i].function);
    targets[static_cast<std::int64_t>(i)] = answers[i].useful ? 1.0F : 0.0F;
  }
  Members members(static_cast<std::int64_t>(features.columns), options, seed);
  members.train(as_tensor(select_rows(features, asked)), targets,
                bootstrap_counts(options.members, answers.size(), seed));
  const torch::NoGradGuard no_grad;
  const torch::Tensor sure = members.logits(as_tensor(features)).to(torch::kDouble).sigmoid();
  const torch::Tensor mean = sure.mean(0).contiguous();
  const torch::Tensor deviation = sure.std(0, /*unbiased=*/false).contiguous();
  const auto numbers = [](const torch::Tensor& of) {
    return std::vector<double>(of.data_ptr<double>(), of.data_ptr<double>() + of.numel());
  };
  return {numbers(mean), numbers(deviation)};
}

UsefulnessModel ensemble_model(const EnsembleOptions& options) {
  return [options](const Features& features, std::span<const DialogueAnswer> answers,
                   std::uint64_t seed) {
    return usefulness_ensemble(features, answers, seed, options);
  };
}

}  // namespace amalgam::labels

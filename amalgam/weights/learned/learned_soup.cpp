#include "amalgam/weights/learned/learned_soup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam::learned {
namespace {

// d loss / d a through alpha = softmax(a), row by row: alpha_i (g_i - sum_j alpha_j g_j).
torch::Tensor through_softmax(const torch::Tensor& shares, const torch::Tensor& gradient) {
  return shares * (gradient - (shares * gradient).sum(1, /*keepdim=*/true));
}

}  // namespace

LearnedSoup learn_soup(const learning::Network& network, const std::vector<NamedTensors>& members,
                       const learning::Dataset& held_out, const LearnedSoupOptions& options) {
  learning::check_fits(network, held_out);
  if (held_out.count() == 0) throw InputError("learned_soup: no held-out examples");
  MergedPoint point(network, nullptr, members, options.granularity);
  torch::Tensor scores =
      torch::zeros({point.rows(), point.directions()}, torch::kDouble).requires_grad_(true);
  torch::Tensor beta = torch::ones({}, torch::kFloat).requires_grad_(true);
  torch::optim::AdamW optimizer(std::vector<torch::Tensor>{scores, beta},
                                torch::optim::AdamWOptions(options.learning_rate).weight_decay(0));

  LearnedSoup soup;
  const auto count = static_cast<std::size_t>(held_out.count());
  for (std::uint64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const std::vector<std::size_t> order =
        shuffled_indices(count, options.seed, fmt::format("learned soup {}", epoch));
    for (std::size_t first = 0; first < count; first += options.batch) {
      const auto size =
          static_cast<std::int64_t>(std::min<std::size_t>(options.batch, count - first));
      torch::Tensor chosen = torch::empty({size}, torch::kLong);
      std::copy_n(order.begin() + static_cast<std::ptrdiff_t>(first), size,
                  chosen.data_ptr<std::int64_t>());
      const torch::Tensor shares = torch::softmax(scores.detach(), 1);
      point.move_to(shares);
      optimizer.zero_grad();
      const torch::Tensor logits = learning::logits_of_head(
          point.network(), held_out,
          point.network().forward(held_out.inputs.index_select(0, chosen)));
      // Of text every token is an example.
      const torch::Tensor loss = torch::nn::functional::cross_entropy(
          beta * logits.flatten(0, -2), held_out.labels.index_select(0, chosen).flatten());
      soup.losses.push_back(loss.item<double>());
      if (!std::isfinite(soup.losses.back())) {
        throw Error("learned_soup: the loss of step {} is {}", soup.losses.size(),
                    soup.losses.back());
      }
      loss.backward();
      scores.mutable_grad() = through_softmax(shares, point.gradient());
      optimizer.step();
      if (options.on_step) options.on_step(soup.losses.size());
    }
  }
  soup.shares = torch::softmax(scores.detach(), 1);
  soup.row_names = point.row_names();
  soup.inverse_temperature = beta.item<double>();
  point.move_to(soup.shares);
  soup.state = point.state();
  return soup;
}

}  // namespace amalgam::learned

#include "amalgam/labels/learned/bag_network.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/learning/optimizer.hpp"
#include "amalgam/learning/schedule.hpp"

namespace amalgam::labels::learned {
namespace {

using learning::Network;
using torch::Tensor;

constexpr std::uint64_t kMostEpochs = 1'000'000;

void check_options(const BagTraining& options) {
  if (!std::isfinite(options.rho) || options.rho < 0) {
    throw InputError("rho is {}; expected a finite number >= 0", options.rho);
  }
  if (options.epochs < 1 || options.epochs > kMostEpochs || options.batch < 1) {
    throw InputError("{} epochs of {} bags per step; expected 1 to {} epochs and at least 1 bag",
                     options.epochs, options.batch, kMostEpochs);
  }
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate)) {
    throw InputError("the learning rate is {}; expected a finite number above 0",
                     options.learning_rate);
  }
}

Tensor as_rows(std::span<const double> x, std::int64_t features) {
  const auto rows = static_cast<std::int64_t>(x.size()) / features;
  // libtorch's interface takes no const memory; nothing is written.
  return torch::from_blob(const_cast<double*>(x.data()), {rows, features, 1, 1}, torch::kDouble)
      .to(torch::kFloat);
}

learning::NetworkDescription describe(const BagData& data, const BagTraining& options,
                                      std::vector<std::string> outputs) {
  learning::NetworkDescription description;
  description.architecture = "mlp";
  description.input_shape = {static_cast<std::int64_t>(data.features), 1, 1};
  description.class_names = std::move(outputs);
  description.options = {{"hidden", options.hidden}};
  const auto rows = static_cast<double>(data.rows());
  for (std::size_t j = 0; j < data.features; ++j) {
    double mean = 0;
    double square = 0;
    for (std::size_t row = 0; row < data.rows(); ++row) mean += data.row(row)[j] / rows;
    for (std::size_t row = 0; row < data.rows(); ++row) {
      const double distance = data.row(row)[j] - mean;
      square += distance * distance / rows;
    }
    description.input_mean.push_back(mean);
    description.input_deviation.push_back(square > 0 ? std::sqrt(square) : 1.0);
  }
  return description;
}

std::shared_ptr<Network> new_network(const learning::NetworkDescription& description,
                                     std::uint64_t seed) {
  auto network = learning::make_network(description, "network from bags");
  learning::initialise(*network, seed);
  return network;
}

// Whole bags as a step sees them.
struct BagBatch {
  Tensor inputs;   // [rows, features, 1, 1]
  Tensor bag;      // int64 [rows], the number of each row's bag within the batch
  Tensor size;     // [bags]
  Tensor targets;  // [bags, outputs]
};

class BagBatches {
 public:
  BagBatches(const BagData& data, const Tensor& targets)
      : bags_(data.bags),
        inputs_(as_rows(data.x, static_cast<std::int64_t>(data.features))),
        targets_(targets) {}

  BagBatch get(std::span<const std::size_t> chosen) const {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> bag_of;
    std::vector<std::int64_t> bags;
    std::vector<float> sizes;
    for (const std::size_t bag : chosen) {
      for (const std::size_t row : bags_.rows_of(bag)) {
        rows.push_back(static_cast<std::int64_t>(row));
        bag_of.push_back(static_cast<std::int64_t>(bags.size()));
      }
      bags.push_back(static_cast<std::int64_t>(bag));
      sizes.push_back(static_cast<float>(bags_.size(bag)));
    }
    return {inputs_.index_select(0, torch::tensor(rows)), torch::tensor(bag_of),
            torch::tensor(sizes), targets_.index_select(0, torch::tensor(bags))};
  }

 private:
  const Bags& bags_;
  Tensor inputs_;
  Tensor targets_;
};

// The mean over the rows of each bag: [rows, outputs] -> [bags, outputs].
Tensor bag_mean(const Tensor& values, const BagBatch& batch) {
  return torch::zeros({batch.size.size(0), values.size(1)}).index_add(0, batch.bag, values) /
         batch.size.unsqueeze(1);
}

// Losses of the bags of a batch, [bags].
using LossOfBags = std::function<Tensor(const Tensor& outputs, const BagBatch& batch)>;

Tensor squared_loss(const Tensor& outputs, const BagBatch& batch, double rho) {
  const Tensor mean = bag_mean(outputs, batch);
  const Tensor bag = (batch.targets - mean).square().squeeze(1);
  if (rho == 0) return bag;
  const Tensor spread = (outputs - mean.index_select(0, batch.bag)).square();
  return bag + rho * bag_mean(spread, batch).squeeze(1);
}

Tensor share_loss(const Tensor& logits, const BagBatch& batch, double rho) {
  const Tensor log_probabilities = logits.log_softmax(1);
  Tensor loss = torch::zeros({batch.size.size(0)});
  if (rho < 1) {
    const Tensor mean = bag_mean(log_probabilities.exp(), batch).clamp_min(1e-30);
    loss = loss - (1 - rho) * (batch.targets * mean.log()).sum(1);
  }
  if (rho > 0) loss = loss - rho * (batch.targets * bag_mean(log_probabilities, batch)).sum(1);
  return loss;
}

void fit(Network& network, const BagData& data, const Tensor& targets, const BagTraining& options,
         const LossOfBags& loss_of_bags) {
  const BagBatches batches(data, targets);
  const std::size_t count = data.bags.count();
  const std::size_t per_step = std::min<std::size_t>(options.batch, count);
  const std::uint64_t per_epoch = (count + per_step - 1) / per_step;
  const double mean_size = static_cast<double>(data.rows()) / static_cast<double>(count);
  learning::OptimizerOptions adam;
  adam.kind = learning::OptimizerOptions::Kind::adam;
  adam.learning_rate = options.learning_rate;
  adam.weight_decay = options.weight_decay;
  learning::Optimizer optimizer(network, adam);
  network.train();
  for (std::uint64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const auto order =
        shuffled_indices(count, options.seed, "bags of epoch " + std::to_string(epoch));
    for (std::uint64_t step = 0; step < per_epoch; ++step) {
      check_interrupt();
      const std::size_t first = step * per_step;
      const BagBatch batch =
          batches.get(std::span(order).subspan(first, std::min(per_step, count - first)));
      const Tensor loss =
          (loss_of_bags(network.forward(batch.inputs), batch) * batch.size).mean() / mean_size;
      if (!std::isfinite(loss.item<double>())) {
        throw Error("training from bags diverged in epoch {}; a lower learning rate may help",
                    epoch);
      }
      optimizer.zero_gradients();
      loss.backward();
      optimizer.step(
          learning::schedule_factor({}, epoch * per_epoch + step, options.epochs * per_epoch));
    }
  }
  network.eval();
}

// Makes outputs y of the last layer scale * y + shift.
void scale_outputs(Network& network, double scale, double shift) {
  const torch::NoGradGuard no_grad;
  Tensor weight;
  Tensor bias;
  for (const auto& one : network.named_parameters()) {
    (one.value().dim() == 2 ? weight : bias) = one.value();
  }
  weight.mul_(scale);
  bias.mul_(scale).add_(shift);
}

Tensor outputs_of(Network& network, std::span<const double> x) {
  const torch::NoGradGuard no_grad;
  const std::int64_t features = network.description().input_shape.front();
  if (x.size() % static_cast<std::size_t>(features) != 0) {
    throw InputError("{} values are no rows of {} features", x.size(), features);
  }
  return network.forward(as_rows(x, features)).to(torch::kDouble).contiguous();
}

std::vector<double> to_vector(const Tensor& values) {
  const auto* data = values.data_ptr<double>();
  return {data, data + values.numel()};
}

void check_shares(const Bags& bags, const ClassShares& shares) {
  const std::size_t classes = shares.class_names.size();
  if (classes < 2 || shares.values.size() != bags.count() * classes) {
    throw InputError("{} shares are no shares of {} classes (at least 2) in {} bags",
                     shares.values.size(), classes, bags.count());
  }
  for (std::size_t i = 0; i < shares.values.size(); ++i) {
    if (shares.values[i] >= 0 && shares.values[i] <= 1) continue;
    throw InputError("the share of class '{}' in bag {} is {}; expected 0 to 1",
                     shares.class_names[i % classes], i / classes, shares.values[i]);
  }
}

ClassShares select_shares(const ClassShares& shares, std::span<const std::size_t> bags) {
  const std::size_t classes = shares.class_names.size();
  ClassShares selected{.class_names = shares.class_names, .values = {}};
  for (const std::size_t bag : bags) {
    for (std::size_t k = 0; k < classes; ++k) {
      selected.values.push_back(shares.values[bag * classes + k]);
    }
  }
  return selected;
}

}  // namespace

std::shared_ptr<Network> train_bag_network(const BagData& data, const BagTraining& options) {
  check_bag_data(data);
  check_options(options);
  const auto rows = static_cast<double>(data.rows());
  double mean = 0;
  double square = 0;
  for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
    mean += static_cast<double>(data.bags.size(bag)) * data.responses[bag] / rows;
  }
  // Means of k rows have 1 / k of their variance.
  for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
    const double distance = static_cast<double>(data.bags.size(bag)) * (data.responses[bag] - mean);
    square += distance * distance / rows;
  }
  const double scale = square > 0 ? std::sqrt(square) : 1.0;
  std::vector<float> standardised;
  for (const double response : data.responses) {
    standardised.push_back(static_cast<float>((response - mean) / scale));
  }
  auto network = new_network(describe(data, options, {"response"}), options.seed);
  fit(*network, data, torch::tensor(standardised).unsqueeze(1), options,
      [&](const Tensor& outputs, const BagBatch& batch) {
        return squared_loss(outputs, batch, options.rho);
      });
  scale_outputs(*network, scale, mean);
  return network;
}

std::shared_ptr<Network> train_share_network(const BagData& data, const ClassShares& shares,
                                             const BagTraining& options) {
  check_bag_data(data);
  check_options(options);
  check_shares(data.bags, shares);
  if (options.rho > 1) {
    throw InputError("rho is {}; of class shares it is from 0 to 1", options.rho);
  }
  const std::vector<float> values(shares.values.begin(), shares.values.end());
  const Tensor targets =
      torch::tensor(values).view({-1, static_cast<std::int64_t>(shares.class_names.size())});
  auto network = new_network(describe(data, options, shares.class_names), options.seed);
  fit(*network, data, targets, options, [&](const Tensor& outputs, const BagBatch& batch) {
    return share_loss(outputs, batch, options.rho);
  });
  return network;
}

std::vector<double> predict_responses(Network& network, std::span<const double> x) {
  return to_vector(outputs_of(network, x));
}

std::vector<double> predict_probabilities(Network& network, std::span<const double> x) {
  return to_vector(outputs_of(network, x).softmax(1));
}

BagLosses share_losses(const Bags& bags, const ClassShares& shares,
                       std::span<const double> probabilities) {
  check_shares(bags, shares);
  const std::size_t classes = shares.class_names.size();
  if (probabilities.size() != bags.row_count() * classes) {
    throw InputError("{} probabilities for {} rows and {} classes", probabilities.size(),
                     bags.row_count(), classes);
  }
  constexpr double kLeast = 1e-300;  // of a probability whose logarithm is taken
  BagLosses losses;
  const auto rows = static_cast<double>(bags.row_count());
  for (std::size_t bag = 0; bag < bags.count(); ++bag) {
    for (std::size_t k = 0; k < classes; ++k) {
      const double share = shares.values[bag * classes + k];
      if (share == 0) continue;
      double sum = 0;
      for (const std::size_t row : bags.rows_of(bag)) {
        const double probability = probabilities[row * classes + k];
        sum += probability;
        losses.instance -= share * std::log(std::max(probability, kLeast)) / rows;
      }
      const auto size = static_cast<double>(bags.size(bag));
      losses.bag -= size * share * std::log(std::max(sum / size, kLeast)) / rows;
    }
  }
  return losses;
}

std::vector<double> cross_validate_rho(const BagData& data, const ClassShares* shares,
                                       const BagTraining& options, std::span<const double> rhos,
                                       std::size_t folds) {
  std::vector<double> scores(rhos.size());
  for (const auto& held_out : bag_folds(data.bags.count(), folds, options.seed)) {
    std::vector<std::size_t> others;
    for (std::size_t bag = 0; bag < data.bags.count(); ++bag) {
      if (!std::ranges::binary_search(held_out, bag)) others.push_back(bag);
    }
    const BagData seen = select_bags(data, others);
    const BagData judged = select_bags(data, held_out);
    const double weight = static_cast<double>(judged.rows()) / static_cast<double>(data.rows());
    for (std::size_t i = 0; i < rhos.size(); ++i) {
      BagTraining one = options;
      one.rho = rhos[i];
      double loss = 0;
      if (shares == nullptr) {
        const auto network = train_bag_network(seen, one);
        loss = bag_losses(judged.bags, judged.responses, predict_responses(*network, judged.x)).bag;
      } else {
        const auto network = train_share_network(seen, select_shares(*shares, others), one);
        loss = share_losses(judged.bags, select_shares(*shares, held_out),
                            predict_probabilities(*network, judged.x))
                   .bag;
      }
      scores[i] += weight * loss;
    }
  }
  return scores;
}

}  // namespace amalgam::labels::learned

#include "amalgam/scores/learned/table_transformer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/learning/torch.hpp"

namespace amalgam::scores::learned {
namespace {

constexpr std::int64_t kPadding = 0;
constexpr std::int64_t kClassToken = 1;
constexpr std::int64_t kSeparatorToken = 2;
constexpr std::int64_t kMasked = 3;
constexpr std::int64_t kSpecialTokens = 4;

// What the network sees of a table.
struct Tokens {
  SerialisedTable serialised;
  std::vector<std::int64_t> numbers;
};

Tokens number_tokens(const RelationalTable& table, std::int64_t vocabulary) {
  Tokens tokens{.serialised = serialise(table), .numbers = {}};
  const auto words = static_cast<std::uint64_t>(vocabulary - kSpecialTokens);
  for (std::size_t i = 0; i < tokens.serialised.tokens.size(); ++i) {
    const std::string& token = tokens.serialised.tokens[i];
    if (tokens.serialised.columns[i] == SerialisedTable::none) {
      tokens.numbers.push_back(kSeparatorToken);
    } else if (tokens.serialised.is_class(i)) {
      tokens.numbers.push_back(kClassToken);
    } else {
      const std::uint64_t hash = fnv1a64(token);
      tokens.numbers.push_back(kSpecialTokens +
                               static_cast<std::int64_t>((hash ^ (hash >> 32U)) % words));
    }
  }
  return tokens;
}

// [tables, longest], padded at the end.
torch::Tensor batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  std::size_t longest = 0;
  for (const auto& one : sequences) longest = std::max(longest, one.size());
  torch::Tensor batch =
      torch::full({static_cast<std::int64_t>(sequences.size()), static_cast<std::int64_t>(longest)},
                  kPadding, torch::kLong);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    std::ranges::copy(sequences[i], batch.data_ptr<std::int64_t>() + i * longest);
  }
  return batch;
}

void check_options(const TableTransformerOptions& options) {
  if (options.width < 1 || options.layers < 1 || options.heads < 1 ||
      options.width % options.heads != 0 || options.vocabulary <= kSpecialTokens ||
      options.most_tokens < 4 || options.batch == 0 || options.steps == 0) {
    throw InputError(
        "table transformer: width {}, {} layers, {} heads, {} tokens, {} positions, {} steps of {};"
        " expected a width that the heads divide, and some of everything",
        options.width, options.layers, options.heads, options.vocabulary, options.most_tokens,
        options.steps, options.batch);
  }
  if (!(options.masked > 0 && options.masked < 1) || !(options.learning_rate > 0) ||
      !std::isfinite(options.learning_rate)) {
    throw InputError(
        "table transformer: {} of the cells masked, learning rate {}; expected a share within"
        " (0, 1) and a finite rate above 0",
        options.masked, options.learning_rate);
  }
}

// The learning rate of step `step` as a share of the highest: up for a tenth, then half a cosine.
double rate_factor(std::size_t step, std::size_t steps) {
  const double done = static_cast<double>(step + 1) / static_cast<double>(steps);
  if (done <= 0.1) return done / 0.1;
  return 0.5 * (1 + std::cos(std::numbers::pi * (done - 0.1) / 0.9));
}

// Hides the tokens of randomly chosen cells, one or more; returns their places.
std::vector<std::int64_t> hide_cells(std::vector<std::int64_t>& numbers,
                                     const SerialisedTable& serialised, double share,
                                     RandomStream& random) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> cells;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (serialised.rows[i] == SerialisedTable::none) continue;
    const std::pair cell(serialised.columns[i], serialised.rows[i]);
    if (cells.empty() || cells.back() != cell) cells.push_back(cell);
  }
  if (cells.empty()) return {};
  std::vector<bool> hidden(cells.size());
  for (std::size_t c = 0; c < cells.size(); ++c) hidden[c] = random.uniform() < share;
  hidden[random.below(cells.size())] = true;
  std::vector<std::int64_t> places;
  std::size_t c = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (serialised.rows[i] == SerialisedTable::none) continue;
    while (cells[c] != std::pair(serialised.columns[i], serialised.rows[i])) ++c;
    if (!hidden[c]) continue;
    places.push_back(static_cast<std::int64_t>(i));
    numbers[i] = kMasked;
  }
  return places;
}

// A batch of tables some of whose cells are hidden.
struct HiddenCells {
  std::vector<std::vector<std::int64_t>> inputs;
  std::vector<std::int64_t> rows;     // of hidden tokens: which input
  std::vector<std::int64_t> places;   // in it
  std::vector<std::int64_t> targets;  // what was there
};

HiddenCells hide_some(const std::vector<Tokens>& known, const TableTransformerOptions& options,
                      std::size_t step) {
  RandomStream random(options.seed, fmt::format("tables of step {}", step));
  HiddenCells hidden;
  for (std::size_t b = 0; b < options.batch; ++b) {
    const Tokens& chosen = known[random.below(known.size())];
    hidden.inputs.push_back(chosen.numbers);
    for (const std::int64_t place :
         hide_cells(hidden.inputs.back(), chosen.serialised, options.masked, random)) {
      hidden.rows.push_back(static_cast<std::int64_t>(b));
      hidden.places.push_back(place);
      hidden.targets.push_back(chosen.numbers[static_cast<std::size_t>(place)]);
    }
  }
  return hidden;
}

// Sums of states, and how many.
class States {
 public:
  States(std::size_t count, std::size_t width) : sums_(count, width), counts_(count, 0) {}

  void add(std::size_t index, const float* state) {
    const std::span<float> sum = sums_.row(index);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += state[i];
    counts_[index] += 1;
  }
  // Means, zero where there was none; nothing if they are not wanted.
  Embeddings means(bool wanted) && {
    if (!wanted) return {};
    for (std::size_t i = 0; i < sums_.values.size(); ++i) {
      const float count = counts_[i / sums_.dimension];
      if (count > 0) sums_.values[i] /= count;
    }
    return std::move(sums_);
  }

 private:
  Embeddings sums_;
  std::vector<float> counts_;
};

// The embedding of a table from the states of its tokens, [tokens, width].
TableEmbedding pooled(const RelationalTable& table, const SerialisedTable& serialised,
                      const float* states, std::size_t width, const TableLevels& levels) {
  States columns(table.columns(), width);
  States rows(table.rows(), width);
  States whole(1, width);
  States cells(table.cells.size(), width);
  for (std::size_t i = 0; i < serialised.tokens.size(); ++i) {
    const std::uint32_t column = serialised.columns[i];
    if (column == SerialisedTable::none) continue;
    const float* const state = states + i * width;
    if (serialised.is_class(i)) {
      columns.add(column, state);
      whole.add(0, state);
    }
    const std::uint32_t row = serialised.rows[i];
    if (row == SerialisedTable::none) continue;
    rows.add(row, state);
    cells.add(row * table.columns() + column, state);
  }
  return {.columns = std::move(columns).means(levels.columns),
          .rows = std::move(rows).means(levels.rows),
          .table = std::move(whole).means(levels.table),
          .cells = std::move(cells).means(levels.cells)};
}

}  // namespace

struct TableTransformer::Encoder final : torch::nn::Module {
  explicit Encoder(const TableTransformerOptions& options)
      : tokens(register_module("tokens", torch::nn::Embedding(options.vocabulary, options.width))),
        positions(
            register_module("positions", torch::nn::Embedding(options.most_tokens, options.width))),
        layers(register_module("layers", torch::nn::ModuleList())) {
    for (std::int64_t i = 0; i < options.layers; ++i) {
      layers->push_back(torch::nn::TransformerEncoderLayer(
          torch::nn::TransformerEncoderLayerOptions(options.width, options.heads)
              .dim_feedforward(4 * options.width)
              .dropout(0)
              .activation(torch::kGELU)));
    }
    initialise(options.seed);
  }

  // Every tensor has a random stream of its own, so that libtorch's generator does not matter.
  void initialise(std::uint64_t seed) {
    const torch::NoGradGuard no_gradients;
    for (auto& item : named_parameters()) {
      torch::Tensor& parameter = item.value();
      const bool is_norm = item.key().find("norm") != std::string::npos;
      if (parameter.dim() < 2) {
        parameter.fill_(is_norm && item.key().ends_with("weight") ? 1 : 0);
        continue;
      }
      const bool is_table = item.key().starts_with("tokens") || item.key().starts_with("positions");
      const double deviation =
          is_table ? 0.1 : 1 / std::sqrt(static_cast<double>(parameter.size(1)));
      RandomStream random(seed, "initialise " + item.key());
      auto* const values = parameter.data_ptr<float>();
      for (std::int64_t i = 0; i < parameter.numel(); ++i) {
        values[i] = static_cast<float>(deviation * random.normal());
      }
    }
  }

  // [tables, length] -> [tables, length, width].
  torch::Tensor forward(const torch::Tensor& batch) {
    const torch::Tensor places = torch::arange(batch.size(1), torch::kLong);
    torch::Tensor x = tokens->forward(batch) + positions->forward(places).unsqueeze(0);
    const torch::Tensor padding = batch.eq(kPadding);
    x = x.transpose(0, 1);  // libtorch's layers want the length first
    for (const auto& layer : *layers) {
      x = layer->as<torch::nn::TransformerEncoderLayer>()->forward(x, {}, padding);
    }
    return x.transpose(0, 1);
  }

  // The mean cross-entropy of the hidden tokens; the table of tokens is also the output layer.
  torch::Tensor loss(const HiddenCells& hidden) {
    const torch::Tensor states = forward(batch_of(hidden.inputs));
    const torch::Tensor chosen = states.index(
        {torch::tensor(hidden.rows, torch::kLong), torch::tensor(hidden.places, torch::kLong)});
    return torch::nn::functional::cross_entropy(chosen.matmul(tokens->weight.t()),
                                                torch::tensor(hidden.targets, torch::kLong));
  }

  torch::nn::Embedding tokens;
  torch::nn::Embedding positions;
  torch::nn::ModuleList layers;
};

TableTransformer::~TableTransformer() = default;

TableTransformer::TableTransformer(std::span<const RelationalTable> tables,
                                   const TableTransformerOptions& options,
                                   const std::function<void(std::size_t, double)>& after_step)
    : options_(options) {
  check_options(options);
  encoder_ = std::make_shared<Encoder>(options);
  std::vector<Tokens> known;
  for (const RelationalTable& table : tables) {
    const RelationalTable fitting = truncated(*this, table);
    if (fitting.rows() > 0) known.push_back(number_tokens(fitting, options.vocabulary));
  }
  if (known.empty()) {
    throw InputError("table transformer: no row of {} tables fits into {} tokens", tables.size(),
                     options.most_tokens);
  }
  torch::optim::AdamW optimizer(
      encoder_->parameters(), torch::optim::AdamWOptions(options.learning_rate).weight_decay(0.01));
  const std::size_t last = std::max<std::size_t>(1, options.steps / 10);
  for (std::size_t step = 0; step < options.steps; ++step) {
    check_interrupt();
    const HiddenCells hidden = hide_some(known, options, step);
    if (hidden.targets.empty()) continue;  // tables of nothing but nulls
    const torch::Tensor loss = encoder_->loss(hidden);
    const auto value = loss.item<double>();
    if (!std::isfinite(value)) {
      throw Error("table transformer: the loss of step {} is {}", step, value);
    }
    optimizer.zero_grad();
    loss.backward();
    torch::nn::utils::clip_grad_norm_(encoder_->parameters(), 1.0);
    for (auto& group : optimizer.param_groups()) {
      static_cast<torch::optim::AdamWOptions&>(group.options())
          .lr(options.learning_rate * rate_factor(step, options.steps));
    }
    optimizer.step();
    if (step + last >= options.steps) final_loss_ += value / static_cast<double>(last);
    if (after_step) after_step(step + 1, value);
  }
  encoder_->eval();
}

std::size_t TableTransformer::tokens(const RelationalTable& table) const {
  return serialise(table).tokens.size();
}

std::vector<TableEmbedding> TableTransformer::embed(std::span<const RelationalTable> tables,
                                                    const TableLevels& levels) const {
  std::vector<TableEmbedding> embeddings(tables.size());
  if (tables.empty()) return embeddings;
  const torch::NoGradGuard no_gradients;
  std::vector<Tokens> known;
  std::vector<std::vector<std::int64_t>> inputs;
  for (const RelationalTable& table : tables) {
    known.push_back(number_tokens(table, options_.vocabulary));
    inputs.push_back(known.back().numbers);
    if (inputs.back().size() > most_tokens()) {
      throw InputError("trained table embedder: table '{}' has {} tokens; at most {} fit",
                       table.name, inputs.back().size(), most_tokens());
    }
  }
  const torch::Tensor states = encoder_->forward(batch_of(inputs)).contiguous();
  const std::size_t width = dimension();
  const std::size_t length = static_cast<std::size_t>(states.size(1)) * width;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const float* const of_table = states.data_ptr<float>() + t * length;
    embeddings[t] = pooled(tables[t], known[t].serialised, of_table, width, levels);
  }
  return embeddings;
}

}  // namespace amalgam::scores::learned

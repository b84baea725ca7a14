#include "amalgam/weights/learned/prune_recipe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/description/options.hpp"

namespace amalgam::learned {
namespace {

using learning::Options;
using learning::Retraining;
using Method = PruneRecipe::Method;

constexpr std::uint64_t kMostCopies = 999;
constexpr std::uint64_t kMostEpochs = 1'000'000;

learning::PruningOptions read_selection(Options& options, std::uint64_t seed) {
  using Selector = learning::PruningOptions::Selector;
  learning::PruningOptions pruning;
  const std::string selector =
      options.choice("selector", "global", {"global", "uniform", "random"});
  pruning.selector = selector == "global"    ? Selector::global
                     : selector == "uniform" ? Selector::uniform
                                             : Selector::random;
  pruning.min_per_tensor = options.count("min_per_tensor", 0, 0, 1'000'000'000);
  pruning.seed = seed;
  return pruning;
}

Retraining read_retraining(Options options) {
  using Kind = Retraining::Kind;
  Retraining retraining;
  const std::vector<std::pair<std::string, Kind>> kinds{
      {"constant", Kind::constant}, {"rewind", Kind::rewind}, {"compressed", Kind::compressed},
      {"cosine", Kind::cosine},     {"linear", Kind::linear}, {"budgeted", Kind::budgeted}};
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  const std::string chosen = options.choice("schedule", "linear", names);
  for (const auto& [name, kind] : kinds) {
    if (name == chosen) retraining.kind = kind;
  }
  retraining.epochs = options.count("epochs", retraining.epochs, 1, kMostEpochs);
  constexpr double kSmallestRate = 1e-12;
  if (options.has("learning_rate")) {
    retraining.learning_rate = options.number("learning_rate", 0, kSmallestRate, 100);
  }
  retraining.warmup = options.number("warmup", retraining.warmup, 0, 0.999999);
  options.finish();
  return retraining;
}

// One entry per copy: how it differs from the others.
std::vector<CopyVariation> read_variations(const nlohmann::json& list, const std::string& where) {
  if (!list.is_array() || list.empty() || list.size() > kMostCopies) {
    throw InputError(
        "{}: prune.vary is {}; expected a list with an entry for each of 1 to {} copies", where,
        list.dump(), kMostCopies);
  }
  std::vector<CopyVariation> copies;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Options options(list[i], where, fmt::format("prune.vary[{}].", i));
    CopyVariation copy;
    if (options.has("weight_decay")) copy.weight_decay = options.number("weight_decay", 0, 0, 100);
    if (options.has("epochs")) copy.epochs = options.count("epochs", 1, 1, kMostEpochs);
    if (options.has("learning_rate")) {
      copy.learning_rate = options.number("learning_rate", 0, 1e-12, 100);
    }
    options.finish();
    copies.push_back(copy);
  }
  return copies;
}

void read_soup(Options& options, const nlohmann::json& document, const std::string& where,
               SparseSoupOptions& soup) {
  soup.phases = options.count("phases", soup.phases, 1, 10'000);
  soup.greedy = options.flag("greedy", false);
  soup.batch_norm_share = options.number("batch_norm_share", soup.batch_norm_share, 1e-9, 1);
  const bool counted = options.has("copies");
  soup.copies.resize(options.count("copies", soup.copies.size(), 1, kMostCopies));
  if (!options.has("vary")) return;
  std::vector<CopyVariation> copies = read_variations(document.at("vary"), where);
  if (counted && copies.size() != soup.copies.size()) {
    options.refuse("copies", fmt::format("as many as the {} entries of prune.vary", copies.size()));
  }
  soup.copies = std::move(copies);
}

// By the method's place among sparse_method_names.
void read_sparse(Options& options, std::size_t method, SparseTrainingOptions& sparse) {
  constexpr double kMost = 1e9;
  sparse.method = static_cast<SparseMethod>(method);
  sparse.batch_norm_share = options.number("batch_norm_share", sparse.batch_norm_share, 1e-9, 1);
  const bool is_continuous = sparse.method == SparseMethod::continuous;
  if ((sparse.method == SparseMethod::soft_threshold || is_continuous) && options.has("initial")) {
    sparse.initial = options.number("initial", 0, -kMost, kMost);
  }
  if ((sparse.method == SparseMethod::unit_threshold || is_continuous) && options.has("penalty")) {
    sparse.penalty = options.number("penalty", 0, 0, kMost);
  }
  if (is_continuous) sparse.final_beta = options.number("final_beta", sparse.final_beta, 1, kMost);
}

Method method_of(const std::string& name) {
  if (name == "soup") return Method::soup;
  if (name == "gradual") return Method::gradual;
  if (name == "dynamic") return Method::dynamic;
  return name == "budgeted" ? Method::budgeted : Method::sparse;
}

void check_rest(const learning::TrainingRecipe& recipe, const std::string& where) {
  if (recipe.early_stop) {
    throw InputError("{}: early_stop does not go with prune: every copy trains all its epochs",
                     where);
  }
  if (recipe.average.kind != learning::AverageOptions::Kind::none) {
    throw InputError("{}: average does not go with prune, which averages copies", where);
  }
}

}  // namespace

std::optional<PruneRecipe> prune_recipe(const learning::TrainingRecipe& recipe,
                                        const std::string& where) {
  const auto found = recipe.document.find("prune");
  if (found == recipe.document.end() || found->is_null()) return std::nullopt;
  Options options(*found, where, "prune.");
  PruneRecipe prune;
  std::vector<std::string> methods{"soup", "gradual", "dynamic", "budgeted"};
  const std::vector<std::string> sparse_methods = sparse_method_names();
  methods.insert(methods.end(), sparse_methods.begin(), sparse_methods.end());
  const std::string method = options.choice("method", "soup", methods);
  prune.method = method_of(method);
  if (!options.has("sparsity")) options.refuse("sparsity", "a share from 0 to less than 1");
  const double sparsity = options.number("sparsity", 0, 0, 1);
  if (sparsity == 1) options.refuse("sparsity", "a share from 0 to less than 1");
  const learning::PruningOptions selection = read_selection(options, recipe.seed);
  if (prune.method == Method::sparse) {
    prune.sparse.sparsity = sparsity;
    prune.sparse.pruning = selection;
    const auto place = std::ranges::find(sparse_methods, method) - sparse_methods.begin();
    read_sparse(options, static_cast<std::size_t>(place), prune.sparse);
  } else if (prune.method == Method::gradual || prune.method == Method::dynamic) {
    prune.gradual.sparsity = sparsity;
    prune.gradual.pruning = selection;
    prune.gradual.copies = options.count("copies", 1, 1, kMostCopies);
    prune.gradual.batch_norm_share =
        options.number("batch_norm_share", prune.gradual.batch_norm_share, 1e-9, 1);
    prune.gradual.interval = options.count("interval", 1, 1, kMostEpochs);
    if (prune.method == Method::gradual) {
      prune.gradual.allow_recovering = options.flag("allow_recovering", false);
    } else {
      prune.gradual.refresh = options.count("refresh", prune.gradual.refresh, 1, 1'000'000'000);
    }
  } else {
    prune.soup.sparsity = sparsity;
    prune.soup.pruning = selection;
    prune.soup.seed = recipe.seed;
    read_soup(options, *found, where, prune.soup);
    if (prune.method == Method::soup) {
      prune.soup.retraining = read_retraining(options.section("retrain"));
    } else {
      if (!options.has("dense_epochs")) options.refuse("dense_epochs", "how many come first");
      prune.dense_epochs = options.count("dense_epochs", 1, 1, kMostEpochs);
    }
  }
  options.finish();
  check_rest(recipe, where);
  return prune;
}

}  // namespace amalgam::learned

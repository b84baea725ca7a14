#include "amalgam/learning/load_dataset.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <span>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/partition.hpp"
#include "amalgam/data/table.hpp"
#include "amalgam/data/text.hpp"
#include "amalgam/description/encoding.hpp"
#include "amalgam/learning/soft_targets.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;

enum class Kind { images, table, text };

const char* kind_name(Kind kind) {
  return kind == Kind::images ? "images" : kind == Kind::table ? "a table" : "a text";
}

Kind kind_of(const DataRecipe& recipe) {
  const std::string extension = fs::path(recipe.set).extension().string();
  if (extension == ".csv" || extension == ".tsv" || extension == ".tab") return Kind::table;
  if (extension == ".txt") return Kind::text;
  if (!names_file(recipe.set)) return Kind::images;
  if (!recipe.label.empty() || !recipe.target.empty()) return Kind::table;
  if (!recipe.tokens.empty()) return Kind::text;
  throw InputError(
      "{}: a file, of which its name does not say what it is; expected a table (.csv or .tsv, or "
      "any"
      " name with a label column), a text (.txt, or any name with tokens), or a folder of images",
      recipe.set);
}

// InputError for what only another kind of data has.
void check_kind(const DataRecipe& recipe, Kind kind) {
  const auto only_for = [&](bool given, const char* key, std::initializer_list<Kind> kinds) {
    if (!given || std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) return;
    throw InputError("{}: this is {}, for which there is no '{}'", recipe.set, kind_name(kind),
                     key);
  };
  only_for(!recipe.label.empty(), "label", {Kind::table});
  only_for(!recipe.target.empty(), "target", {Kind::table});
  only_for(!recipe.ignore.empty(), "ignore", {Kind::table});
  only_for(!recipe.categorical.empty(), "categorical", {Kind::table});
  only_for(!recipe.tokens.empty(), "tokens", {Kind::text});
  only_for(recipe.context > 0, "context", {Kind::text});
  only_for(recipe.soft.has_value(), "soft", {Kind::images, Kind::table});
  only_for(recipe.soft && !recipe.soft->task.empty(), "soft.task", {Kind::table});
  only_for(!recipe.corruption.empty(), "corrupt", {Kind::images});
  only_for(!recipe.classes.empty(), "classes", {Kind::images, Kind::table});
  // The classes of a table are those that its network knows.
  only_for(recipe.relabel, "relabel", {Kind::images});
  only_for(recipe.imbalance > 1, "imbalance", {Kind::images, Kind::table});
  only_for(recipe.partition && recipe.partition->alpha, "partition.alpha",
           {Kind::images, Kind::table});
  if (recipe.soft && !recipe.classes.empty()) {
    throw InputError("{}: 'classes' keeps examples by their labels; soft labels are of all classes",
                     recipe.set);
  }
}

// InputError for what examples with numbers to predict do not have.
void check_no_classes(const DataRecipe& recipe) {
  const std::pair<const char*, bool> of_classes[] = {
      {"classes", !recipe.classes.empty()},
      {"imbalance", recipe.imbalance > 1},
      {"partition.alpha", recipe.partition && recipe.partition->alpha},
      {"soft", recipe.soft.has_value()}};
  for (const auto& [key, given] : of_classes) {
    if (!given) continue;
    throw InputError("{}: there are no classes but numbers to predict, for which there is no '{}'",
                     recipe.set, key);
  }
}

std::vector<std::string> class_names_of(const NetworkDescription& network,
                                        const DataRecipe& recipe) {
  const Head head = network.head(recipe.head, recipe.set);
  const auto first = network.class_names.begin() + head.first;
  return {first, first + head.classes};
}

// The layout of a table that a new network will learn: by its label, or without one by the classes
// of soft labels.
TableLayout new_layout(const DataRecipe& recipe, const SoftTable* soft) {
  const bool number = !recipe.target.empty();
  if (recipe.label.empty() && !number && soft == nullptr) {
    throw InputError(
        "{}: a table needs a label: the name of the column that holds the class (or a target: of"
        " that which holds a number to predict)",
        recipe.set);
  }
  TableOptions options{.label = number ? recipe.target : recipe.label,
                       .label_is_number = number,
                       .ignore = recipe.ignore,
                       .categorical = recipe.categorical};
  if (recipe.soft && !recipe.soft->task.empty()) options.ignore.push_back(recipe.soft->task);
  TableLayout layout = learn_table_layout(recipe.set, options);
  if (options.label.empty()) layout.class_names = soft->class_names;
  return layout;
}

// A network's numbers have the scale of one column. InputError if those of another are to be
// learned, or a head is of another.
void check_is_of_column(const DataRecipe& recipe, const TableLayout& layout) {
  const bool is_target = recipe.target.empty() || recipe.target == layout.label;
  if (is_target && layout.class_names.front() == layout.label) return;
  throw InputError(
      "{}: numbers of '{}' are to be predicted, but the network has the scale of '{}', which no "
      "other"
      " column shares; train a new network for it",
      recipe.set, is_target ? layout.class_names.front() : recipe.target, layout.label);
}

Dataset load_table_data(const DataRecipe& recipe, Split split, const NetworkDescription* network,
                        const SoftTable* soft) {
  TableLayout layout;
  if (network != nullptr) {
    layout =
        parse_table_layout(network->input_encoding, class_names_of(*network, recipe), recipe.set);
  } else {
    layout = new_layout(recipe, soft);
  }
  Dataset data;
  data.encoding = to_json(layout);
  if (!recipe.target.empty() && !layout.target) {
    throw InputError("{}: '{}' is to be a number to predict, but the network predicts classes",
                     recipe.set, recipe.target);
  }
  if (layout.target) check_is_of_column(recipe, layout);
  if (layout.target && soft == nullptr) {
    if (!recipe.target.empty() || !recipe.label.empty()) {
      layout.label = recipe.target.empty() ? recipe.label : recipe.target;
    }
  } else if (!recipe.label.empty() || soft != nullptr) {
    layout.label = recipe.label;
  }
  if (layout.label.empty() && soft == nullptr) {
    throw InputError(
        "{}: the network was trained on soft labels of a table without a label; name the column"
        " that holds the class (--label)",
        recipe.set);
  }
  TableData table = load_table(recipe.set, layout, split);
  data.source = table.source;
  data.class_names = layout.class_names;
  data.inputs = torch::tensor(table.values)
                    .view({static_cast<std::int64_t>(table.count()),
                           static_cast<std::int64_t>(layout.width()), 1, 1});
  data.labels = torch::tensor(table.labels);
  if (layout.target) data.targets = torch::tensor(table.targets);
  return data;
}

Dataset load_text_data(const DataRecipe& recipe, Split split, const NetworkDescription* network) {
  constexpr std::uint64_t kContext = 128;
  TextTokens tokens;
  std::uint64_t context = recipe.context;
  if (network != nullptr) {
    tokens = parse_text_tokens(network->input_encoding, recipe.set);
    if (!recipe.tokens.empty() && recipe.tokens != token_kind_name(tokens.kind)) {
      throw InputError("{}: the network was trained on tokens '{}', not '{}'", recipe.set,
                       token_kind_name(tokens.kind), recipe.tokens);
    }
    if (context == 0 && network->takes_tokens()) {
      context = static_cast<std::uint64_t>(network->input_shape[0]);
    }
  } else {
    tokens = learn_tokens(recipe.set, recipe.tokens.empty() ? TextTokens::Kind::byte
                                                            : parse_token_kind(recipe.tokens));
  }
  if (context == 0) context = kContext;
  const TextData text = load_text(recipe.set, tokens, split);
  const auto width = static_cast<std::int64_t>(context);
  const std::int64_t count = (static_cast<std::int64_t>(text.tokens.size()) - 1) / width;
  if (count < 1) {
    throw InputError("{}: {} tokens in this split; an example of context {} needs {}", recipe.set,
                     text.tokens.size(), context, context + 1);
  }
  const torch::Tensor all = torch::tensor(text.tokens);
  Dataset data;
  data.source = text.source;
  data.class_names = token_names(tokens);
  data.inputs = all.narrow(0, 0, count * width).view({count, width}).clone();
  data.labels = all.narrow(0, 1, count * width).view({count, width}).clone();
  data.encoding = to_json(tokens);
  return data;
}

std::span<const std::int64_t> labels_of(const Dataset& data) {
  return {data.labels.data_ptr<std::int64_t>(), static_cast<std::size_t>(data.labels.numel())};
}

// The number of the class that a person calls `name`.
std::int64_t class_number(const Dataset& data, const std::string& name) {
  const auto found = std::find(data.class_names.begin(), data.class_names.end(), name);
  if (found != data.class_names.end()) return found - data.class_names.begin();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool whole = error == std::errc() && end == name.data() + name.size();
  if (whole && number >= 0 && number < static_cast<std::int64_t>(data.class_names.size())) {
    return number;
  }
  throw InputError("{}: no class '{}'{}; its {} classes are {}", data.source, name,
                   did_you_mean(name, data.class_names), data.class_names.size(),
                   join(data.class_names, ", "));
}

Dataset with_classes(const Dataset& data, const DataRecipe& recipe) {
  std::vector<std::int64_t> numbers;
  for (const std::string& name : recipe.classes) {
    numbers.push_back(class_number(data, name));
    if (std::count(numbers.begin(), numbers.end(), numbers.back()) > 1) {
      throw InputError("{}: class '{}' is named twice", data.source, name);
    }
  }
  std::vector<std::size_t> kept;
  const auto labels = labels_of(data);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (std::find(numbers.begin(), numbers.end(), labels[i]) != numbers.end()) kept.push_back(i);
  }
  if (kept.empty()) {
    throw InputError("{}: no examples of the classes {}", data.source, join(recipe.classes, ", "));
  }
  Dataset part = data.select(kept);
  if (!recipe.relabel) return part;
  std::vector<std::int64_t> renumbered;
  for (const std::int64_t label : labels_of(part)) {
    renumbered.push_back(std::find(numbers.begin(), numbers.end(), label) - numbers.begin());
  }
  part.labels = torch::tensor(renumbered);
  part.class_names.clear();
  for (const std::int64_t number : numbers) {
    part.class_names.push_back(data.class_names[static_cast<std::size_t>(number)]);
  }
  return part;
}

Dataset with_range(const Dataset& data, const DataRecipe& recipe) {
  if (recipe.first == 0 && !recipe.examples) return data;
  const auto available = static_cast<std::uint64_t>(data.count());
  const std::uint64_t left = available - std::min(recipe.first, available);
  const bool all = !recipe.examples || (recipe.at_most && *recipe.examples > left);
  return data.range(recipe.first, all ? left : *recipe.examples);
}

Dataset with_part(const Dataset& data, const ClientPart& client, std::uint64_t seed) {
  const auto clients = static_cast<std::size_t>(client.clients);
  const auto least = static_cast<std::size_t>(client.least);
  Partition partition;
  try {
    partition = client.alpha
                    ? dirichlet_partition(labels_of(data), clients, *client.alpha, seed, least)
                    : uniform_partition(static_cast<std::size_t>(data.count()), clients, seed);
  } catch (const InputError& error) {
    throw InputError("{}: {}", data.source, error.what());
  }
  return data.select(partition.at(client.part));
}

}  // namespace

Dataset load_dataset(const DataRecipe& recipe, Split split, std::uint64_t seed,
                     const NetworkDescription* network) {
  const Kind kind = kind_of(recipe);
  check_kind(recipe, kind);
  // Elsewhere examples are judged by their labels, if they have any.
  const bool soft_here =
      recipe.soft && (split == Split::train || (kind == Kind::table && recipe.label.empty()));
  std::optional<SoftTable> soft;
  if (soft_here) soft = read_soft_table(recipe.soft->file);
  Dataset data = kind == Kind::images ? to_tensors(load_images(recipe.set, split))
                 : kind == Kind::table
                     ? load_table_data(recipe, split, network, soft ? &*soft : nullptr)
                     : load_text_data(recipe, split, network);
  if (data.predicts_numbers()) check_no_classes(recipe);
  if (soft) data = with_soft_targets(data, *soft, recipe, split, kind == Kind::table);
  data.head = recipe.head;
  if (!recipe.classes.empty()) data = with_classes(data, recipe);
  data = with_range(data, recipe);
  if (recipe.imbalance > 1) {
    data = data.select(
        long_tailed_choice(labels_of(data), data.class_names.size(), recipe.imbalance, seed));
  }
  if (recipe.partition) data = with_part(data, *recipe.partition, seed);
  if (recipe.corruption.empty()) return data;
  return corrupted(data, parse_corruption(recipe.corruption), seed);
}

TrainingData load_training_data(const TrainingRecipe& recipe, const NetworkDescription* network) {
  using Kind = ValidationOptions::Kind;
  TrainingData data{load_dataset(recipe.data, Split::train, recipe.seed, network), {}};
  if (recipe.validation.kind == Kind::split) {
    // Encoded as the training examples are, which a new network will be described by.
    NetworkDescription like;
    like.class_names = data.train.class_names;
    like.input_encoding = data.train.encoding;
    if (data.train.is_text()) like.input_shape = {data.train.inputs.size(1)};
    TrainingRecipe held_out = recipe;
    if (network == nullptr) held_out.data.head.clear();  // `like` has one output
    data.validation = load_held_out(held_out, network != nullptr ? *network : like);
    data.validation->head = recipe.data.head;
  } else if (recipe.validation.kind == Kind::share) {
    const auto all = static_cast<std::uint64_t>(data.train.count());
    const auto held_out = static_cast<std::uint64_t>(
        std::llround(recipe.validation.share * static_cast<double>(all)));
    if (held_out == 0 || held_out == all) {
      throw InputError("{}: a share of {} of {} examples leaves none to {}", data.train.source,
                       recipe.validation.share, all, held_out == 0 ? "validate on" : "train on");
    }
    data.validation = data.train.range(all - held_out, held_out);
    data.train = data.train.range(0, all - held_out);
  }
  return data;
}

Dataset load_held_out(const TrainingRecipe& recipe, const NetworkDescription& network) {
  DataRecipe data = recipe.data;
  data.first = 0;
  data.examples.reset();
  data.imbalance = 1;
  data.partition.reset();
  return load_dataset(data, Split::validation, recipe.seed, &network);
}

std::vector<std::string> classes_without_examples(const Dataset& data, const DataRecipe& recipe) {
  if (data.is_text() || data.predicts_numbers()) return {};
  std::vector<bool> seen(data.class_names.size(), false);
  for (const std::int64_t label : labels_of(data)) seen[static_cast<std::size_t>(label)] = true;
  if (data.soft_labels.defined()) {
    for (std::size_t c = 0; c < seen.size(); ++c) {
      seen[c] = data.soft_labels.select(1, static_cast<std::int64_t>(c)).sum().item<double>() > 0;
    }
  }
  std::vector<std::string> missing;
  for (std::size_t c = 0; c < seen.size(); ++c) {
    const bool wanted =
        recipe.classes.empty() || recipe.relabel ||
        std::any_of(recipe.classes.begin(), recipe.classes.end(), [&](const std::string& name) {
          return class_number(data, name) == static_cast<std::int64_t>(c);
        });
    if (wanted && !seen[c]) missing.push_back(data.class_names[c]);
  }
  return missing;
}

}  // namespace amalgam::learning

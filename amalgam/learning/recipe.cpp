#include "amalgam/learning/recipe.hpp"

#include <cmath>
#include <utility>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/description/options.hpp"
#include "amalgam/weights/yaml.hpp"

namespace amalgam::learning {
namespace {

constexpr std::uint64_t kMany = 1'000'000'000;
// Up to here every whole number is a double, which is what YAML's numbers are read as.
constexpr std::uint64_t kExact = 1ULL << 53;

OptimizerOptions read_optimizer(Options options) {
  OptimizerOptions optimizer;
  const std::string name = options.choice("name", "sgd", {"sgd", "adam", "adamw"});
  const bool sgd = name == "sgd";
  optimizer.kind = sgd              ? OptimizerOptions::Kind::sgd
                   : name == "adam" ? OptimizerOptions::Kind::adam
                                    : OptimizerOptions::Kind::adamw;
  optimizer.learning_rate = options.number("learning_rate", sgd ? 0.05 : 0.001, 0, 100);
  if (sgd) {
    optimizer.momentum = options.number("momentum", optimizer.momentum, 0, 0.999999);
    optimizer.nesterov = options.flag("nesterov", false);
    if (optimizer.nesterov && !(optimizer.momentum > 0)) {
      options.refuse("nesterov", "false without momentum");
    }
  } else {
    optimizer.beta1 = options.number("beta1", optimizer.beta1, 0, 0.999999);
    optimizer.beta2 = options.number("beta2", optimizer.beta2, 0, 0.999999999);
  }
  optimizer.weight_decay = options.number("weight_decay", 0, 0, 100);
  optimizer.clip_norm = options.number("clip_norm", 0, 0, 1e9);
  options.finish();
  return optimizer;
}

void read_decay(Options& options, ScheduleOptions& schedule) {
  schedule.decay = options.number("decay", schedule.decay, 0, 1);
  const std::string form =
      options.choice("form", "linear", {"linear", "sqrt", "cosine", "exponential"});
  const bool exponential = form == "exponential";
  schedule.form = exponential        ? ScheduleOptions::Decay::exponential
                  : form == "sqrt"   ? ScheduleOptions::Decay::sqrt
                  : form == "cosine" ? ScheduleOptions::Decay::cosine
                                     : ScheduleOptions::Decay::linear;
  schedule.floor = options.number("floor", exponential ? 0.1 : 0.0, 0, 1);
  if (exponential && !(schedule.floor > 0)) {
    options.refuse("floor", "a positive number: an exponential never reaches 0");
  }
}

ScheduleOptions read_schedule(Options options) {
  ScheduleOptions schedule;
  const std::string name =
      options.choice("name", "cosine", {"constant", "linear", "cosine", "wsd"});
  schedule.kind = name == "constant" ? ScheduleOptions::Kind::constant
                  : name == "linear" ? ScheduleOptions::Kind::linear
                  : name == "wsd"    ? ScheduleOptions::Kind::wsd
                                     : ScheduleOptions::Kind::cosine;
  schedule.warmup = options.count("warmup", 0, 0, kMany);
  if (schedule.kind == ScheduleOptions::Kind::wsd) read_decay(options, schedule);
  options.finish();
  return schedule;
}

AverageOptions read_average(Options options) {
  AverageOptions average;
  const std::string name = options.choice("name", "none", {"none", "ema", "swa"});
  if (name == "ema") {
    average.kind = AverageOptions::Kind::ema;
    average.decay = options.number("decay", average.decay, 0, 0.999999999);
  } else if (name == "swa") {
    average.kind = AverageOptions::Kind::swa;
    average.first_epoch = options.count("first_epoch", 0, 0, kMany);
  }
  options.finish();
  return average;
}

std::optional<EarlyStop> read_early_stop(Options options, bool asked) {
  EarlyStop stop;
  stop.patience = options.count("patience", stop.patience, 1, kMany);
  stop.min_change = options.number("min_change", stop.min_change, 0, 1e9);
  stop.metric = options.choice("metric", "loss", {"loss", "accuracy"}) == "loss"
                    ? EarlyStop::Metric::loss
                    : EarlyStop::Metric::accuracy;
  options.finish();
  return asked ? std::optional(stop) : std::nullopt;
}

// "split", "none" or a share; a run that may stop early is judged by the validation split unless it
// says otherwise.
ValidationOptions read_validation(Options& options, const nlohmann::json& document, bool needed) {
  using Kind = ValidationOptions::Kind;
  constexpr const char* kKey = "validation";
  if (!options.has(kKey)) return {needed ? Kind::split : Kind::none, 0};
  const nlohmann::json& value = document.at(kKey);
  if (value == "split") return {Kind::split, 0};
  if (value == "none" && !needed) return {};
  const double share = value.is_number() ? value.get<double>() : 0.0;
  const bool good = share > 0 && share < 1;
  if (!good) {
    options.refuse(kKey, needed ? "'split' or a share between 0 and 1, since early_stop needs it"
                                : "'none', 'split' or a share between 0 and 1");
  }
  return {Kind::share, share};
}

ClientPart read_partition(Options options) {
  ClientPart client;
  client.clients = options.count("clients", 0, 1, 1'000'000);
  if (!options.has("clients")) options.refuse("clients", "how many there are");
  client.part = options.count("part", 0, 0, client.clients - 1);
  constexpr double kSmallest = 1e-9;
  if (options.has("alpha")) client.alpha = options.number("alpha", 1, kSmallest, 1e9);
  client.least = options.count("least", 1, 1, kMany);
  options.finish();
  return client;
}

SoftTargets read_soft_targets(Options options) {
  SoftTargets soft;
  soft.file = options.text("file", "");
  if (soft.file.empty()) options.refuse("file", "a file that 'amalgam label' wrote with --soft");
  soft.task = options.text("task", "");
  const std::string use =
      options.choice("use", "probabilities", {"probabilities", "sampled", "most-probable"});
  soft.use = use == "probabilities" ? SoftTargets::Use::probabilities
             : use == "sampled"     ? SoftTargets::Use::sampled
                                    : SoftTargets::Use::most_probable;
  soft.head = options.text("head", "");
  if (!soft.head.empty() && soft.use != SoftTargets::Use::probabilities) {
    options.refuse("head", "nothing unless data.soft.use is probabilities");
  }
  options.finish();
  return soft;
}

DataRecipe read_data(Options options) {
  constexpr std::size_t kMostNames = 10'000;
  constexpr std::uint64_t kLongestContext = 100'000;
  DataRecipe data;
  data.set = options.text("set", data.set);
  data.label = options.text("label", "");
  data.target = options.text("target", "");
  if (!data.target.empty() && !data.label.empty()) {
    options.refuse("target", "nothing with data.label: a table has one of them");
  }
  data.ignore = options.texts("ignore", kMostNames);
  data.categorical = options.texts("categorical", kMostNames);
  if (options.has("tokens")) data.tokens = options.choice("tokens", "", {"byte", "character"});
  data.context = options.count("context", 0, 1, kLongestContext);
  data.classes = options.names("classes", kMostNames);
  data.relabel = options.flag("relabel", false);
  if (data.relabel && data.classes.empty()) {
    options.refuse("relabel", "false without data.classes");
  }
  data.first = options.count("first", 0, 0, kMany);
  if (options.has("examples")) data.examples = options.count("examples", 0, 1, kMany);
  data.imbalance = options.number("imbalance", 1, 1, 1e9);
  if (options.has("partition")) data.partition = read_partition(options.section("partition"));
  data.corruption = options.text("corrupt", "");
  data.head = options.text("head", "");
  if (options.has("soft")) data.soft = read_soft_targets(options.section("soft"));
  options.finish();
  return data;
}

Augmentation read_augmentation(Options options) {
  Augmentation augmentation;
  augmentation.flip = options.flag("flip", false);
  augmentation.shift = static_cast<unsigned>(options.count("shift", 0, 0, 1000));
  augmentation.noise = options.number("noise", 0, 0, 10);
  options.finish();
  return augmentation;
}

void apply_override(nlohmann::json& document, const std::string& text, const std::string& where) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw InputError("--set {}: expected KEY=VALUE, for example optimizer.learning_rate=0.01",
                     text);
  }
  nlohmann::json* place = &document;
  for (const std::string& key : split(std::string_view(text).substr(0, equals), '.')) {
    if (place->is_null()) *place = nlohmann::json::object();
    if (!place->is_object()) {
      throw InputError("--set {}: '{}' of {} has no keys of its own", text, key, where);
    }
    place = &(*place)[key];
  }
  *place = yaml_to_json(text.substr(equals + 1), "--set " + text);
}

}  // namespace

nlohmann::json yaml_to_json(std::string_view text, const std::string& where) {
  const std::vector<YamlNode::Pointer> documents = parse_yaml(text, where);
  if (documents.size() != 1) {
    throw InputError("{}: {} YAML documents; expected one", where, documents.size());
  }
  return yaml_as_json(*documents.front());
}

DataRecipe parse_data_recipe(nlohmann::json data, const std::string& where) {
  return read_data(Options(std::move(data), where, "data."));
}

TrainingRecipe parse_recipe(nlohmann::json document, const std::string& where) {
  Options options(document, where);
  TrainingRecipe recipe;
  recipe.init = options.text("init", "");
  if (options.has("network") && !document["network"].is_null()) {
    recipe.network = document["network"];
  }
  if (recipe.network.has_value() == !recipe.init.empty()) {
    throw InputError(
        "{}: expected either 'network' (new weights) or 'init' (a checkpoint to start"
        " from), found {}",
        where, recipe.network ? "both" : "neither");
  }
  recipe.data = read_data(options.section("data"));
  const bool may_stop = options.has("early_stop");
  recipe.early_stop = read_early_stop(options.section("early_stop"), may_stop);
  recipe.validation = read_validation(options, document, may_stop);

  recipe.epochs = options.count("epochs", recipe.epochs, 1, 1'000'000);
  recipe.batch = options.count("batch", recipe.batch, 1, 1'000'000);
  recipe.optimizer = read_optimizer(options.section("optimizer"));
  recipe.schedule = read_schedule(options.section("schedule"));
  recipe.average = read_average(options.section("average"));
  if (recipe.average.first_epoch >= recipe.epochs) {
    throw InputError("{}: average.first_epoch is {}, but the last epoch is {}", where,
                     recipe.average.first_epoch, recipe.epochs - 1);
  }
  recipe.augment = read_augmentation(options.section("augment"));
  recipe.label_smoothing = options.number("label_smoothing", 0, 0, 0.999999);
  recipe.mixup = options.number("mixup", 0, 0, 100);
  recipe.cutmix = options.number("cutmix", 0, 0, 100);
  if (recipe.mixup > 0 && recipe.cutmix > 0) {
    options.refuse("cutmix", "0 with mixup: a batch is mixed in one way");
  }
  recipe.seed = options.count("seed", 0, 0, kExact);
  (void)options.has("prune");  // known here, read by weights/learned/prune_recipe
  options.finish();
  recipe.document = std::move(document);
  return recipe;
}

TrainingRecipe read_recipe(const std::filesystem::path& path,
                           const std::vector<std::string>& overrides) {
  constexpr std::uint64_t kMostBytes = 1'000'000;
  nlohmann::json document = yaml_to_json(read_text_file(path, kMostBytes), path.string());
  for (const std::string& one : overrides) apply_override(document, one, path.string());
  return parse_recipe(std::move(document), path.string());
}

}  // namespace amalgam::learning

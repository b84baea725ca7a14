#include "amalgam/weights/learned/twin_file.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/description/options.hpp"
#include "amalgam/learning/tensor_digest.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::learned {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "amalgam-twin-1";
constexpr const char* kSharedKey = "amalgam.twin.shared";
constexpr const char* kSharedFile = "shared.safetensors";
constexpr const char* kRouterFile = "router.safetensors";
constexpr std::size_t kMostTasks = 1000;
constexpr std::uint64_t kMostManifestBytes = 100'000'000;

std::string module_file(std::size_t task) { return fmt::format("module-{}.safetensors", task); }

std::string hash_of(const learning::Network& shared) {
  learning::TensorDigest digest;
  digest.add(learning::state_of(shared));
  return digest.text();
}

NamedTensors to_tensors(const ExclusiveModule& module) {
  NamedTensors tensors;
  for (const ExclusiveTensor& tensor : module) {
    if (tensor.factored()) {
      tensors.emplace_back("left/" + tensor.name, tensor.left);
      tensors.emplace_back("singular/" + tensor.name, tensor.singular);
      tensors.emplace_back("right/" + tensor.name, tensor.right);
    } else {
      tensors.emplace_back("whole/" + tensor.name, tensor.whole);
    }
  }
  return tensors;
}

class ModuleReader {
 public:
  ModuleReader(const fs::path& file, const learning::Network& shared) : file_(file) {
    for (const auto& parameter : shared.named_parameters()) {
      shapes_.emplace(parameter.key(), parameter.value().sizes().vec());
    }
  }

  ExclusiveModule read(const TensorSource& source) {
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
      const std::string& name = source.tensors()[i].name;
      const std::size_t slash = name.find('/');
      const std::string part = name.substr(0, slash);
      const std::string of = slash == std::string::npos ? "" : name.substr(slash + 1);
      const auto shape = shapes_.find(of);
      if (shape == shapes_.end()) refuse(name, "does not belong to the shared model");
      ExclusiveTensor& tensor = tensors_[of];
      tensor.name = of;
      tensor.shape = shape->second;
      place(tensor, part, name) = learning::read_tensor(source, i).to(torch::kFloat);
    }
    ExclusiveModule module;
    for (auto& [name, tensor] : tensors_) {
      check(tensor);
      module.push_back(std::move(tensor));
    }
    return module;
  }

 private:
  torch::Tensor& place(ExclusiveTensor& tensor, const std::string& part, const std::string& name) {
    if (part == "left") return tensor.left;
    if (part == "singular") return tensor.singular;
    if (part == "right") return tensor.right;
    if (part != "whole") refuse(name, "is no part of a module");
    return tensor.whole;
  }

  void check(const ExclusiveTensor& tensor) const {
    if (tensor.whole.defined()) {
      if (tensor.left.defined() || tensor.right.defined() || tensor.singular.defined() ||
          tensor.whole.sizes() != torch::IntArrayRef(tensor.shape)) {
        refuse(tensor.name, "has another shape than in the shared model");
      }
      return;
    }
    const bool complete =
        tensor.left.defined() && tensor.right.defined() && tensor.singular.defined();
    const bool is_matrix = tensor.shape.size() == 2 || tensor.shape.size() == 4;
    if (!complete || !is_matrix) refuse(tensor.name, "has not all of its factors");
    std::int64_t columns = 1;
    for (std::size_t axis = 1; axis < tensor.shape.size(); ++axis) columns *= tensor.shape[axis];
    const std::int64_t rank = tensor.singular.numel();
    if (tensor.singular.dim() != 1 || rank == 0 ||
        tensor.left.sizes() != torch::IntArrayRef({tensor.shape[0], rank}) ||
        tensor.right.sizes() != torch::IntArrayRef({rank, columns})) {
      refuse(tensor.name, "has factors that do not fit the shared model");
    }
  }

  [[noreturn]] void refuse(const std::string& tensor, const char* why) const {
    throw InputError("{}: tensor '{}' {}", file_.string(), tensor, why);
  }

  fs::path file_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
  std::map<std::string, ExclusiveTensor> tensors_;
};

nlohmann::json manifest_of(const TwinModel& model, const std::string& hash) {
  nlohmann::json json{{"format", kFormat}, {"shared_hash", hash}};
  json["tasks"] = model.tasks;
  if (!model.heads.empty()) json["heads"] = model.heads;
  json["modules"] = nlohmann::json::array();
  for (std::size_t k = 0; k < model.modules.size(); ++k) {
    nlohmann::json ranks = nlohmann::json::object();
    for (const ExclusiveTensor& tensor : model.modules[k]) {
      if (tensor.factored()) ranks[tensor.name] = tensor.singular.size(0);
    }
    json["modules"].push_back({{"file", module_file(k)},
                               {"numbers", numbers_of(model.modules[k])},
                               {"ranks", std::move(ranks)}});
  }
  json["routing"] = {{"temperature", model.routing.temperature},
                     {"top", model.routing.top},
                     {"threshold", model.routing.threshold},
                     {"least", model.routing.least}};
  if (model.router != nullptr) {
    json["router"] = {{"features", model.router->features()},
                      {"hidden", model.router->hidden()},
                      {"accuracy", model.router_accuracy}};
  }
  return json;
}

NamedTensors state_of(const Router& router) {
  NamedTensors state;
  for (const auto& one : router.named_parameters()) state.emplace_back(one.key(), one.value());
  for (const auto& one : router.named_buffers()) {
    if (one.value().is_floating_point()) state.emplace_back(one.key(), one.value());
  }
  return state;
}

std::unique_ptr<TensorSource> open_part(const fs::path& file, const std::string& hash) {
  auto source = open_checkpoint(file);
  const auto found = source->metadata().find(kSharedKey);
  if (found == source->metadata().end() || found->second != hash) {
    throw InputError("{}: made for another shared model than the {} beside it", file.string(),
                     kSharedFile);
  }
  return source;
}

std::shared_ptr<Router> load_router(const fs::path& file, learning::Options& options,
                                    std::size_t tasks, const std::string& hash) {
  constexpr std::uint64_t kWidest = 1'000'000;
  const auto features = options.count("features", 0, 1, kWidest);
  const auto hidden = options.count("hidden", 0, 1, kWidest);
  const auto source = open_part(file, hash);
  // The sizes come from outside; compare them with the file before anything of theirs is made.
  const auto first = source->find("linears.0.weight");
  if (!first || source->tensors()[*first].shape != Shape{hidden, features}) {
    throw InputError("{}: not the router that {} describes", file.string(), kTwinManifest);
  }
  auto router =
      std::make_shared<Router>(static_cast<std::int64_t>(features),
                               static_cast<std::int64_t>(hidden), static_cast<std::int64_t>(tasks));
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : state_of(*router)) {
    const auto index = source->find(name);
    const Shape shape(tensor.sizes().begin(), tensor.sizes().end());
    if (!index || source->tensors()[*index].shape != shape) {
      throw InputError("{}: tensor '{}' is missing or has another shape than {}", file.string(),
                       name, format_shape(shape));
    }
    tensor.copy_(learning::read_tensor(*source, *index));
  }
  router->eval();
  return router;
}

}  // namespace

bool is_twin_folder(const fs::path& path) { return fs::is_regular_file(path / kTwinManifest); }

void save_twin(const fs::path& path, const TwinModel& model, bool overwrite) {
  if (output_is_file(path)) {
    throw InputError(
        "-o {}: a model that merges per input is a folder; give a name without"
        " .safetensors",
        path.string());
  }
  OutputTransaction output(path, {.overwrite = overwrite});
  const fs::path folder = output.work_path();
  const std::string hash = hash_of(*model.shared);
  learning::save_network(folder / kSharedFile, *model.shared, /*overwrite=*/false);
  const std::map<std::string, std::string> metadata{{kSharedKey, hash}};
  for (std::size_t k = 0; k < model.modules.size(); ++k) {
    learning::save_tensors(folder / module_file(k), to_tensors(model.modules[k]), metadata, false);
  }
  if (model.router != nullptr) {
    learning::save_tensors(folder / kRouterFile, state_of(*model.router), metadata, false);
  }
  write_text_file(folder / kTwinManifest, manifest_of(model, hash).dump(2) + "\n");
  output.commit();
}

TwinModel load_twin(const fs::path& path) {
  const fs::path manifest = path / kTwinManifest;
  learning::Options options(
      parse_json(read_text_file(manifest, kMostManifestBytes), manifest.string()),
      manifest.string());
  if (options.text("format", "") != kFormat) {
    options.refuse("format", fmt::format("\"{}\"", kFormat));
  }
  TwinModel model;
  model.tasks = options.texts("tasks", kMostTasks);
  if (model.tasks.empty()) options.refuse("tasks", "the names of the tasks");
  model.heads = options.texts("heads", kMostTasks);
  const std::string hash = options.text("shared_hash", "");
  model.shared = learning::load_network(*open_checkpoint(path / kSharedFile));
  if (hash_of(*model.shared) != hash) {
    throw InputError("{}: not the shared model that {} was written with",
                     (path / kSharedFile).string(), kTwinManifest);
  }
  if (!model.heads.empty() && model.heads.size() != model.tasks.size()) {
    options.refuse("heads", "a head for each task");
  }
  for (const std::string& head : model.heads) {
    (void)model.shared->description().head(head, manifest.string());
  }
  for (std::size_t k = 0; k < model.tasks.size(); ++k) {
    const fs::path file = path / module_file(k);
    model.modules.push_back(ModuleReader(file, *model.shared).read(*open_part(file, hash)));
  }
  learning::Options routing = options.section("routing");
  model.routing.temperature = routing.number("temperature", 1, 1e-6, 1e6);
  model.routing.top = routing.count("top", 0, 0, kMostTasks);
  model.routing.threshold = routing.number("threshold", 0, 0, 0.999999);
  model.routing.least = routing.number("least", 0, 0, 1);
  routing.finish();
  if (options.has("router")) {
    learning::Options router = options.section("router");
    model.router_accuracy = router.number("accuracy", 0, 0, 1);
    model.router = load_router(path / kRouterFile, router, model.tasks.size(), hash);
    router.finish();
  }
  return model;
}

std::optional<learning::NetworkDescription> network_description_at(const fs::path& path) {
  return learning::description_of(
      *open_checkpoint(is_twin_folder(path) ? path / kSharedFile : path));
}

std::shared_ptr<learning::Network> load_network_or_twin(
    const fs::path& path, const std::optional<learning::NetworkDescription>& description) {
  if (is_twin_folder(path)) return std::make_shared<TwinNetwork>(load_twin(path));
  return learning::load_network(*open_checkpoint(path), description);
}

}  // namespace amalgam::learned

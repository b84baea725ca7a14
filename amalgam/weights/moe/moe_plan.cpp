#include "amalgam/weights/moe/moe_plan.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/generated_source.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/indexed_random.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/fp8_choice.hpp"
#include "amalgam/weights/moe/moe_gates.hpp"
#include "amalgam/weights/open_model.hpp"
#include "amalgam/weights/plan_fp8.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
// What the tensors that are not in the models are called in errors and previews.
constexpr const char* kMade = "(made by the recipe)";

json read_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  if (!names_file(path)) {
    throw InputError(
        "{}: no config.json; expected a folder in Hugging Face layout, whose config the mixture "
        "is described by",
        folder.string());
  }
  json config = parse_json(read_text_file(path, kLargestConfig), path.string());
  if (!config.is_object()) throw InputError("{}: expected a JSON object", path.string());
  return config;
}

std::string text_of(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_set(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() && found->get<bool>();
}

std::string layer_prefix(std::size_t layer) { return fmt::format("model.layers.{}.", layer); }

std::string dense_name(std::size_t layer, std::string_view projection) {
  return fmt::format("{}mlp.{}.weight", layer_prefix(layer), projection);
}

class MoePlanner {
 public:
  MoePlanner(const MoeRecipe& recipe, const MergeOptions& options, const PromptStates* states)
      : recipe_(recipe),
        options_(options),
        states_(states),
        base_folder_(without_adapters(recipe.base_model.path)),
        base_config_(read_config(base_folder_)),
        family_(find_moe_family(recipe, text_of(base_config_, "model_type"))),
        planner_(plan_, recipe.label) {
    const std::optional<OutputType> type =
        options.type ? options.type : parse_output_type(recipe.dtype);
    if (type && std::holds_alternative<Quantisation>(*type)) {
      throw InputError("{}: {} is no type of a safetensors folder; expected a floating-point type",
                       recipe.label, output_type_name(*type));
    }
    if (type && std::holds_alternative<DType>(*type)) wanted_ = std::get<DType>(*type);
    if (!wanted_) choose_fp8(type ? std::get_if<Fp8Scaling>(&*type) : nullptr);
  }

  MoePlan run() {
    MoePlan result;
    result.family = &family_;
    result.config =
        moe_config(base_config_, family_, recipe_, (base_folder_ / "config.json").string());
    plan_.rule = &find_merge_rule("passthrough");
    base_ = source_of(recipe_.base_model);
    layers_ = base_config_.at("num_hidden_layers").get<std::size_t>();
    if (layers_ > base().tensors().size()) {
      throw InputError("{}: has {} tensors, too few for the {} layers of its config",
                       base().label(), base().tensors().size(), layers_);
    }
    for (const std::vector<MoeExpert>* group : {&recipe_.experts, &recipe_.shared_experts}) {
      for (const MoeExpert& expert : *group) check_kind(expert);
    }
    hidden_ = base_tensor(dense_name(0, "gate_proj"), 2).shape[1];
    check_rest();
    add_outside();
    for (std::size_t layer = 0; layer < layers_; ++layer) add_layer(layer);
    add_routers();
    finish();
    if (wanted_) set_dtype(result.config);
    // Other modules than in the base stay what they were, so the base's own does not describe it.
    if (has_fp8(plan_)) {
      result.config["quantization_config"] = fp8_quantisation_config(json(), plan_);
    }
    result.stage.reference = plan_.sources[base_];
    result.stage.reference_path = base_folder_;
    result.stage.plan = std::move(plan_);
    if (recipe_.gates == MoeRecipe::Gates::hidden) result.from_states = std::move(routers_);
    return result;
  }

 private:
  // Without a word about the type, what the base has as FP8 with scales is so in the mixture.
  void choose_fp8(const Fp8Scaling* scaling) {
    const std::unique_ptr<TensorSource> base = open_checkpoint(base_folder_);
    fp8_ = scaling != nullptr ? Fp8Choice::with(*scaling, *base) : Fp8Choice::as_stored(*base);
  }

  // How a tensor is written whose place a tensor of the base has in the dense model; null if not as
  // FP8.
  const Fp8Format* format_of(const TensorInfo& reference) const {
    return fp8_ ? fp8_->find(reference) : nullptr;
  }

  std::size_t source_of(const ModelReference& reference) {
    const auto known = numbers_.find(reference);
    if (known != numbers_.end()) return known->second;
    plan_.sources.push_back(open_model(reference).tensors);
    return numbers_.emplace(reference, plan_.sources.size() - 1).first->second;
  }

  const TensorSource& base() const { return *plan_.sources[base_]; }

  std::size_t tensor_of(std::size_t source, const std::string& name) const {
    const TensorSource& from = *plan_.sources[source];
    if (const auto found = from.find(name)) return *found;
    throw InputError("{}: no tensor '{}', which a {} needs of a dense model", from.label(), name,
                     family_.name);
  }

  const TensorInfo& base_tensor(const std::string& name, std::size_t axes) const {
    const TensorInfo& info = base().tensors()[tensor_of(base_, name)];
    if (info.shape.size() == axes && dtype_is_floating(info.dtype)) return info;
    throw InputError("{}: tensor '{}' is {} {}; expected floating-point numbers with {} axes",
                     base().label(), name, dtype_name(info.dtype), format_shape(info.shape), axes);
  }

  // Experts compute as the base does, as far as configs say.
  void check_kind(const MoeExpert& expert) const {
    const fs::path folder = without_adapters(expert.model.path);
    if (!names_file(folder / "config.json")) return;
    const json config = read_config(folder);
    for (const char* key : {"model_type", "hidden_act"}) {
      const json expected = base_config_.value(key, json());
      const json found = config.value(key, json());
      if (found == expected || found.is_null() || expected.is_null()) continue;
      throw InputError(
          "{}: '{}' in config.json is {}; the base '{}' has {}, and experts must be "
          "models of the same kind",
          folder.string(), key, found.dump(), base_folder_.string(), expected.dump());
    }
  }

  // Whether every tensor of the base has a place in the mixture.
  void check_rest() const {
    std::set<std::string> known = {kEmbedding, "model.norm.weight", kHead};
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      for (const std::vector<std::string>* names :
           {&family_.kept, &family_.kept_if_there, &family_.biases}) {
        for (const std::string& name : *names) known.insert(layer_prefix(layer) + name);
      }
      for (const char* projection : kDenseProjections) known.insert(dense_name(layer, projection));
    }
    for (const TensorInfo& info : base().tensors()) {
      // Computed from the config by every program that runs such models.
      if (info.name.ends_with("rotary_emb.inv_freq") || known.contains(info.name)) continue;
      throw InputError("{}: tensor '{}' has no place in a {} with {} layers ('num_hidden_layers')",
                       base().label(), info.name, family_.name, layers_);
    }
  }

  DType dtype_for(const TensorInfo& reference) const {
    return wanted_ && dtype_is_floating(reference.dtype) ? *wanted_ : reference.dtype;
  }

  PlanTensor make(std::string name, DType dtype, Shape shape) const {
    PlanTensor planned;
    planned.action = PlanTensor::Action::copy;
    planned.output = make_tensor_info(std::move(name), dtype, std::move(shape), recipe_.label);
    planned.member_parameters.emplace_back();
    return planned;
  }

  // A weight that becomes FP8, of `members` (none: it is made).
  void push_fp8(std::string name, const Shape& shape, const Fp8Format& format,
                std::vector<PlanInput> members) {
    PlanTensor planned = make(std::move(name), DType::f8_e4m3, shape);
    planned.action = PlanTensor::Action::merge;
    planned.members = std::move(members);
    planned.fp8 = format;
    plan_.tensors.push_back(planner_.scales_of(planned));
    plan_.tensors.push_back(std::move(planned));
  }

  // `reference`: the base's tensor in this place.
  void add_copy(std::string name, PlanInput from, const TensorInfo& reference) {
    const TensorInfo info = plan_.sources[from.source]->tensors()[from.tensor];
    if (const Fp8Format* format = format_of(reference)) {
      std::vector<PlanTensor> copies = planner_.stored(from, *format, name);
      if (copies.empty()) return push_fp8(std::move(name), info.shape, *format, {from});
      std::move(copies.begin(), copies.end(), std::back_inserter(plan_.tensors));
      return;
    }
    const DType dtype = dtype_for(reference);
    if (info.dtype != dtype) {
      const auto [view, is_new] = casts_.try_emplace({from.source, dtype}, plan_.sources.size());
      if (is_new) {
        plan_.sources.push_back(std::make_shared<CastSource>(plan_.sources[from.source], dtype));
      }
      from.source = view->second;
    }
    PlanTensor planned = make(std::move(name), dtype, info.shape);
    planned.members = {from};
    plan_.tensors.push_back(std::move(planned));
  }

  void add_from_base(const std::string& name) {
    const std::size_t tensor = tensor_of(base_, name);
    add_copy(name, {base_, tensor}, base().tensors()[tensor]);
  }

  void add_made(std::string name, DType dtype, Shape shape, GeneratedTensor::Fill fill) {
    PlanTensor planned = make(std::move(name), dtype, std::move(shape));
    made_.push_back({planned.output, std::move(fill)});
    plan_.tensors.push_back(std::move(planned));
  }

  void add_outside() {
    add_from_base(kEmbedding);
    add_from_base("model.norm.weight");
    // A tied head is the embedding, whatever else the file holds.
    if (!is_set(base_config_, "tie_word_embeddings")) add_head();
  }

  // A torch archive holds a head that shares the storage of the embedding as an alias.
  void add_head() {
    const std::map<std::string, std::string> aliases = base().aliases();
    const auto alias = aliases.find(kHead);
    const bool is_alias = !base().find(kHead) && alias != aliases.end();
    const std::size_t tensor = tensor_of(base_, is_alias ? alias->second : kHead);
    add_copy(kHead, {base_, tensor}, base().tensors()[tensor]);
  }

  void add_layer(std::size_t layer) {
    const std::string prefix = layer_prefix(layer);
    for (const std::string& name : family_.kept) add_from_base(prefix + name);
    for (const std::string& name : family_.kept_if_there) {
      if (base().find(prefix + name)) add_from_base(prefix + name);
    }
    for (const std::string& name : family_.biases) {
      if (base().find(prefix + name)) {
        add_from_base(prefix + name);
        continue;
      }
      const std::string weight = name.substr(0, name.rfind('.')) + ".weight";
      const TensorInfo& matrix = base_tensor(prefix + weight, 2);
      add_made(prefix + name, dtype_for(matrix), {matrix.shape[0]},
               [](std::uint64_t, std::span<double> out) { std::ranges::fill(out, 0.0); });
    }
    for (std::size_t i = 0; i < recipe_.experts.size(); ++i) {
      add_expert(layer, fmt::format("{}{}{}.", prefix, family_.experts, i), recipe_.experts[i],
                 family_.projections);
    }
    static const std::vector<std::string_view> kSame(std::begin(kDenseProjections),
                                                     std::end(kDenseProjections));
    for (const MoeExpert& shared : recipe_.shared_experts) {
      add_expert(layer, prefix + std::string(family_.shared_expert), shared, kSame);
    }
  }

  void add_expert(std::size_t layer, const std::string& prefix, const MoeExpert& expert,
                  const std::vector<std::string_view>& names) {
    const std::size_t source = source_of(expert.model);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string projection = kDenseProjections[i];
      const std::string dense = dense_name(layer, projection);
      const TensorInfo& reference = base_tensor(dense, 2);
      const std::size_t tensor = tensor_of(source, dense);
      check_shape(source, tensor, reference);
      std::string name = fmt::format("{}{}.weight", prefix, names[i]);
      const double scale = projection == "down_proj" ? expert.residual_scale : 1;
      if (scale == 1 && expert.noise_scale == 0) {
        add_copy(std::move(name), {source, tensor}, reference);
      } else {
        add_changed(std::move(name), {source, tensor}, expert.noise_scale, scale, reference);
      }
    }
  }

  void check_shape(std::size_t source, std::size_t tensor, const TensorInfo& reference) const {
    const TensorInfo& info = plan_.sources[source]->tensors()[tensor];
    if (info.shape == reference.shape && dtype_is_floating(info.dtype)) return;
    throw InputError("{}: tensor '{}' is {} {}, but {} has {} {}; experts must be of the same size",
                     plan_.sources[source]->label(), info.name, dtype_name(info.dtype),
                     format_shape(info.shape), base().label(), dtype_name(reference.dtype),
                     format_shape(reference.shape));
  }

  // (weight + noise) scale, rounded once; to float first where it becomes FP8.
  void add_changed(std::string name, const PlanInput& from, double noise, double scale,
                   const TensorInfo& reference) {
    const SharedSource source = plan_.sources[from.source];
    const IndexedRandom random(options_.engine.seed, name);
    const Shape& shape = source->tensors()[from.tensor].shape;
    GeneratedTensor::Fill fill = [source, tensor = from.tensor, random, noise, scale](
                                     std::uint64_t first, std::span<double> out) {
      read_elements(*source, tensor, first, out);
      for (double& value : out) {
        if (noise != 0) value += noise * random.normal(first);
        value *= scale;
        ++first;
      }
    };
    const Fp8Format* format = format_of(reference);
    if (format == nullptr) {
      return add_made(std::move(name), dtype_for(reference), shape, std::move(fill));
    }
    made_.push_back({make_tensor_info(name, DType::f64, shape, recipe_.label), std::move(fill)});
    push_fp8(std::move(name), shape, *format, {});
  }

  void add_routers() {
    const GateModel model{base(), base_folder_, hidden_, layers_, states_};
    const MoeGates gates(recipe_, recipe_.experts, model, options_.engine.seed);
    add_routers(gates, family_.router, recipe_.experts.size());
    if (recipe_.shared_experts.empty()) return;
    const MoeGates shared(recipe_, recipe_.shared_experts, model, options_.engine.seed);
    add_routers(shared, family_.shared_router, 1);
  }

  void add_routers(const MoeGates& gates, std::string_view name, std::size_t experts) {
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      const DType dtype = dtype_for(base_tensor(dense_name(layer, "gate_proj"), 2));
      const std::string full = layer_prefix(layer) + std::string(name);
      add_made(full, dtype, {experts, hidden_}, gates.router(layer, full));
      routers_.push_back(full);
    }
  }

  // Gives what is made its place among the sources.
  void finish() {
    const std::size_t number = plan_.sources.size();
    const auto made = std::make_shared<GeneratedSource>(kMade, std::move(made_));
    for (PlanTensor& planned : plan_.tensors) {
      if (planned.action == PlanTensor::Action::scales) continue;
      if (!planned.members.empty()) continue;
      const auto found = made->find(planned.output.name);
      if (!found) throw Error("'{}' is planned, but nothing makes it", planned.output.name);
      planned.members = {{number, *found}};
    }
    plan_.sources.push_back(made);
    std::sort(plan_.tensors.begin(), plan_.tensors.end(),
              [](const auto& a, const auto& b) { return a.output.name < b.output.name; });
  }

  void set_dtype(json& config) const {
    if (!wanted_) return;
    const std::string_view name = torch_dtype_name(*wanted_);
    if (name.empty()) return;
    config[config.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  }

  const MoeRecipe& recipe_;
  const MergeOptions& options_;
  const PromptStates* states_;
  const fs::path base_folder_;
  const json base_config_;
  const MoeFamily& family_;
  std::optional<DType> wanted_;
  std::optional<Fp8Choice> fp8_;
  MergePlan plan_;
  Fp8Planner planner_;
  std::map<ModelReference, std::size_t> numbers_;
  std::map<std::pair<std::size_t, DType>, std::size_t> casts_;
  std::vector<GeneratedTensor> made_;
  std::vector<std::string> routers_;
  std::size_t base_ = 0;
  std::size_t layers_ = 0;
  std::uint64_t hidden_ = 0;
};

}  // namespace

MoePlan plan_moe(const MoeRecipe& recipe, const MergeOptions& options, const PromptStates* states) {
  return MoePlanner(recipe, options, states).run();
}

}  // namespace amalgam

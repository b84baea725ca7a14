// AdaptedSource: what an adapter changes. How it is computed is in adapted_compute.cpp.
#include "amalgam/checkpoint/adapted_source.hpp"

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

// In which a change of the last bits of a weight is not lost.
DType adapted_dtype(DType dtype) {
  const bool coarse =
      dtype_is_quantised(dtype) || dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2;
  return coarse ? DType::f32 : dtype;
}

// What a module must have: reading the adapter has checked that it does.
std::size_t needed(const std::optional<std::size_t>& tensor) {
  if (!tensor) throw Error("a module of an adapter lacks a tensor");
  return *tensor;
}

bool same_bytes(const TensorSource& source, std::size_t a, std::size_t b) {
  const TensorInfo& info = source.tensors()[a];
  const TensorInfo& other = source.tensors()[b];
  if (info.dtype != other.dtype || info.shape != other.shape) return false;
  constexpr std::uint64_t kBytes = 1 << 20;
  std::vector<std::byte> left;
  std::vector<std::byte> right;
  for (std::uint64_t offset = 0; offset < info.bytes; offset += kBytes) {
    left.resize(std::min(kBytes, info.bytes - offset));
    right.resize(left.size());
    source.read_bytes(a, offset, left);
    source.read_bytes(b, offset, right);
    if (left != right) return false;
  }
  return true;
}

// Whether another whole tensor of the adapter is the same: of a base whose head is its embedding,
// and not in its file, PEFT saves both.
bool repeats_another(const Adapter& adapter, std::size_t saved) {
  return std::ranges::any_of(adapter.saved, [&](const auto& other) {
    return other.second != saved && same_bytes(*adapter.tensors, saved, other.second);
  });
}

}  // namespace

AdaptedSource::AdaptedSource(SharedSource base, Adapter adapter)
    : base_(std::move(base)), adapter_(std::move(adapter)) {
  std::vector<TensorInfo> infos = base_->tensors();
  for (std::size_t i = 0; i < infos.size(); ++i) changes_.push_back({.start = i, .vector = {}});
  for (const auto& [name, tensor] : adapter_.saved) replace(name, tensor, infos);
  for (std::size_t i = 0; i < adapter_.modules.size(); ++i) {
    if (adapter_.modules[i].vector) {
      add_scale(i, infos);
    } else {
      add_product(i, infos);
      if (adapter_.modules[i].bias) add_bias(i);
    }
  }
  follow_aliases(infos);
  for (std::size_t i = 0; i < base_->tensors().size(); ++i) {
    if (changes_[i].what == Change::What::none) continue;
    infos[i] = make_tensor_info(infos[i].name, adapted_dtype(infos[i].dtype), infos[i].shape,
                                base_->label());
  }
  places_.resize(infos.size());
  std::iota(places_.begin(), places_.end(), std::size_t{0});
  std::sort(places_.begin(), places_.end(),
            [&](std::size_t a, std::size_t b) { return infos[a].name < infos[b].name; });
  set_tensors(base_->label() + "+" + adapter_.label, std::move(infos));
  set_metadata(base_->metadata());
}

std::optional<std::size_t> AdaptedSource::find_target(std::string_view name) const {
  if (const auto found = base_->find(name)) return found;
  if (const std::size_t dot = name.find('.'); dot != std::string_view::npos) {
    if (const auto found = base_->find(name.substr(dot + 1))) return found;
  }
  std::optional<std::size_t> only;
  const std::string end = "." + std::string(name);
  for (std::size_t i = 0; i < base_->tensors().size(); ++i) {
    if (!base_->tensors()[i].name.ends_with(end)) continue;
    if (only) return std::nullopt;
    only = i;
  }
  return only;
}

std::size_t AdaptedSource::target(std::string_view name, std::string_view adapter_tensor) const {
  if (const auto found = find_target(name)) return *found;
  throw InputError(
      "{}: '{}' changes the tensor '{}', which '{}' does not have; expected the model that the "
      "adapter was trained on{}",
      adapter_.label, adapter_tensor, name, base_->label(),
      adapter_.config.base_model.empty() ? std::string() : " (" + adapter_.config.base_model + ")");
}

void AdaptedSource::replace(const std::string& name, std::size_t saved,
                            std::vector<TensorInfo>& infos) {
  const TensorInfo& info = adapter_.tensors->tensors()[saved];
  const auto found = find_target(name);
  if (!found) {
    const bool is_module =
        std::ranges::any_of(adapter_.config.modules_to_save, [&](const auto& module) {
          return ("." + name).find("." + module + ".") != std::string::npos;
        });
    // A head that the adapter brings along: the base of another task has none.
    if (!is_module && repeats_another(adapter_, saved)) return;
    if (!is_module) static_cast<void>(target(name, info.name));
    infos.push_back(make_tensor_info(name, info.dtype, info.shape, adapter_.label));
    changes_.push_back({.start = saved, .is_saved = true, .vector = {}});
    return;
  }
  TensorInfo& old = infos[*found];
  // Added tokens are rows of embedding and head (and entries of its bias).
  const bool fits = info.shape.size() == old.shape.size() && !info.shape.empty() &&
                    std::equal(info.shape.begin() + 1, info.shape.end(), old.shape.begin() + 1);
  if (info.shape != old.shape && !fits) {
    throw InputError("{}: '{}' has shape {}, but it replaces '{}' of {} with {}", adapter_.label,
                     info.name, format_shape(info.shape), old.name, base_->label(),
                     format_shape(old.shape));
  }
  old = make_tensor_info(old.name, info.dtype, info.shape, adapter_.label);
  changes_[*found] = {.start = saved, .is_saved = true, .vector = {}};
}

void AdaptedSource::set_change(std::size_t base_tensor, Change change) {
  Change& old = changes_[base_tensor];
  if (old.what != Change::What::none) {
    throw InputError("{}: two modules of the adapter change '{}'", adapter_.label,
                     base_->tensors()[base_tensor].name);
  }
  change.start = old.start;
  change.is_saved = old.is_saved;
  old = std::move(change);
}

std::vector<double> AdaptedSource::vector_of(std::size_t adapter_tensor) const {
  std::vector<double> values(adapter_.tensors->tensors()[adapter_tensor].elements);
  adapter_.tensors->read(adapter_tensor, 0, std::span<double>(values));
  return values;
}

void AdaptedSource::add_product(std::size_t index, std::vector<TensorInfo>& infos) {
  const AdapterModule& module = adapter_.modules[index];
  const std::string& a_name = adapter_.tensors->tensors()[needed(module.a)].name;
  const std::size_t found = target(module.name + ".weight", a_name);
  const Shape wanted = adapter_.weight_shape(module);
  if (infos[found].shape != wanted || !dtype_is_floating(infos[found].dtype)) {
    throw InputError("{}: module '{}' changes a weight of shape {}, but '{}' of '{}' is {} {}",
                     adapter_.label, module.name, format_shape(wanted), infos[found].name,
                     base_->label(), dtype_name(infos[found].dtype),
                     format_shape(infos[found].shape));
  }
  Change change{.what = Change::What::product, .module = index, .vector = {}};
  if (module.magnitude) {
    change.vector = vector_of(*module.magnitude);
    change.by_row = !adapter_.is_transposed(module);
  }
  set_change(found, std::move(change));
}

void AdaptedSource::add_bias(std::size_t index) {
  const AdapterModule& module = adapter_.modules[index];
  const std::string& name = adapter_.tensors->tensors()[needed(module.bias)].name;
  const std::size_t found = target(module.name + ".bias", name);
  std::vector<double> shift = vector_of(needed(module.bias));
  const TensorInfo& info = base_->tensors()[found];
  if (info.elements != shift.size() || info.shape.size() != 1) {
    throw InputError("{}: '{}' has {} elements, but '{}' of '{}' has shape {}", adapter_.label,
                     name, shift.size(), info.name, base_->label(), format_shape(info.shape));
  }
  for (double& value : shift) value *= module.scale;
  set_change(
      found,
      {.what = Change::What::shift, .module = index, .vector = std::move(shift), .by_row = true});
}

// A vector of a linear layer says by its shape what it scales; that of a convolution does not.
bool AdaptedSource::scales_inputs(const AdapterModule& module, const TensorInfo& weight) const {
  const TensorInfo& vector = adapter_.tensors->tensors()[needed(module.vector)];
  if (vector.shape.size() == 2 && weight.shape.size() == 2 && vector.elements > 1) {
    return vector.shape[0] == 1;
  }
  const auto& feedforward = adapter_.config.feedforward_modules;
  if (!feedforward) {
    throw InputError(
        "{}: 'feedforward_modules' is a regular expression, by which it cannot be told whether "
        "'{}' scales inputs or outputs; expected a list of names",
        adapter_.label, vector.name);
  }
  return std::ranges::any_of(*feedforward, [&](const std::string& end) {
    return module.name == end || module.name.ends_with("." + end);
  });
}

void AdaptedSource::add_scale(std::size_t index, std::vector<TensorInfo>& infos) {
  const AdapterModule& module = adapter_.modules[index];
  const TensorInfo& vector = adapter_.tensors->tensors()[needed(module.vector)];
  const std::size_t found = target(module.name + ".weight", vector.name);
  const TensorInfo& weight = infos[found];
  const bool inputs = scales_inputs(module, weight);
  const bool by_row = inputs == adapter_.config.transposed;
  const bool is_matrix = weight.shape.size() >= 2 && dtype_is_floating(weight.dtype);
  const std::uint64_t wanted = is_matrix ? weight.shape[by_row ? 0 : 1] : 0;
  if (!is_matrix || vector.elements != wanted) {
    throw InputError(
        "{}: '{}' has {} elements, but '{}' of '{}' has shape {}; expected one for each {}",
        adapter_.label, vector.name, vector.elements, weight.name, base_->label(),
        format_shape(weight.shape), inputs ? "input" : "output");
  }
  const std::vector<double> factors = vector_of(needed(module.vector));
  Change change{.what = Change::What::scale, .module = index, .vector = factors, .by_row = by_row};
  change.group = wanted == 0 || by_row ? 1 : elements_per_row(weight) / wanted;
  set_change(found, std::move(change));
  const auto bias = find_target(module.name + ".bias");
  if (inputs || !bias || base_->tensors()[*bias].elements != factors.size()) return;
  set_change(*bias,
             {.what = Change::What::scale, .module = index, .vector = factors, .by_row = true});
}

// What has the same bytes as a changed tensor is changed with it.
void AdaptedSource::follow_aliases(std::vector<TensorInfo>& infos) {
  for (const auto& [name, owner] : base_->aliases()) {
    const auto alias = base_->find(name);
    const auto other = base_->find(owner);
    if (!alias || !other || changes_[*alias].is_saved) continue;
    if (changes_[*alias].what != Change::What::none) continue;
    changes_[*alias] = changes_[*other];
    infos[*alias] = infos[*other];
    infos[*alias].name = name;
  }
}

std::map<std::string, std::string> AdaptedSource::aliases() const {
  std::map<std::string, std::string> result = base_->aliases();
  std::erase_if(result, [&](const auto& entry) {
    const auto alias = base_->find(entry.first);
    const auto owner = base_->find(entry.second);
    return alias && owner &&
           (changes_[*alias].what != changes_[*owner].what ||
            changes_[*alias].module != changes_[*owner].module ||
            changes_[*alias].is_saved != changes_[*owner].is_saved);
  });
  return result;
}

bool AdaptedSource::unchanged(std::size_t tensor) const {
  return changes_[places_.at(tensor)].what == Change::What::none;
}

std::unique_ptr<TensorSource> apply_adapter(SharedSource base, Adapter adapter) {
  return std::make_unique<AdaptedSource>(std::move(base), std::move(adapter));
}

}  // namespace amalgam

#include "amalgam/checkpoint/quantised_types.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

/// The number after `marker` ("blk.12." gives 12).
std::optional<std::uint64_t> number_after(std::string_view name, std::string_view marker) {
  const std::size_t found = name.find(marker);
  if (found == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(found + marker.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc{} || end == rest.data() + rest.size() || *end != '.') return std::nullopt;
  return number;
}

std::optional<std::uint64_t> layer_of(std::string_view name) {
  for (const std::string_view marker : {"blk.", "layers.", "h."}) {
    if (const auto number = number_after(name, marker)) return number;
  }
  return std::nullopt;
}

bool names_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

bool is_head(std::string_view name) { return name == "output.weight" || name == "lm_head.weight"; }
bool is_embedding(std::string_view name) {
  return names_any(name, {"token_embd.weight", "embed_tokens.weight"});
}
bool is_value(std::string_view name) { return names_any(name, {"attn_v.weight", "v_proj.weight"}); }
bool is_down(std::string_view name) {
  return names_any(name, {"ffn_down.weight", "ffn_down_exps.weight", "down_proj.weight"});
}
bool is_attention_output(std::string_view name) {
  return names_any(name, {"attn_output.weight", "o_proj.weight"});
}

/// The first and last eighth of the layers, and every third one between.
bool is_favoured(std::uint64_t layer, std::uint64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// With blocks of 32, about as many bits.
std::optional<DType> replacement(DType dtype) {
  switch (dtype) {
    case DType::q2_k:
    case DType::q3_k:
    case DType::iq4_xs:
      return DType::iq4_nl;
    case DType::q4_k:
      return DType::q5_0;
    case DType::q5_k:
      return DType::q5_1;
    case DType::q6_k:
      return DType::q8_0;
    default:
      return std::nullopt;
  }
}

bool fits(const TensorInfo& info, DType dtype) {
  return info.shape.back() % dtype_block_elements(dtype) == 0;
}

}  // namespace

std::optional<Quantisation> parse_quantisation(std::string_view name) {
  std::string_view type = name;
  const bool is_mixture = name.ends_with("_m") || name.ends_with("_M");
  if (is_mixture) type.remove_suffix(2);
  const std::optional<DType> dtype = parse_dtype(type);
  if (!dtype || !dtype_is_quantised(*dtype) || !dtype_is_writable(*dtype)) return std::nullopt;
  const bool has_mixture = *dtype == DType::q3_k || *dtype == DType::q4_k || *dtype == DType::q5_k;
  if (is_mixture && !has_mixture) return std::nullopt;
  return Quantisation{*dtype, is_mixture};
}

std::string quantisation_name(Quantisation quantisation) {
  return std::string(dtype_name(quantisation.dtype)) + (quantisation.is_mixture ? "_M" : "");
}

std::string_view writable_quantisations() {
  return "Q8_0, Q6_K, Q5_K, Q5_K_M, Q5_1, Q5_0, Q4_K, Q4_K_M, Q4_1, Q4_0, IQ4_NL, IQ4_XS, Q3_K, "
         "Q3_K_M or Q2_K";
}

DType without_quantisation(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return DType::f32;
    case DType::f8_e4m3:
    case DType::f8_e5m2:
      return DType::f16;
    default:
      return dtype;
  }
}

bool is_matrix(const TensorInfo& info) {
  if (!dtype_is_floating(info.dtype)) return false;
  return info.shape.size() == 2 ||
         (info.shape.size() == 3 && info.name.find("_exps.") != std::string::npos);
}

QuantisedTypes::QuantisedTypes(Quantisation wanted, const std::vector<TensorInfo>& tensors)
    : wanted_(wanted) {
  for (const TensorInfo& info : tensors) {
    if (const auto layer = layer_of(info.name)) layers_ = std::max(layers_, *layer + 1);
    has_head_ = has_head_ || is_head(info.name);
  }
}

DType QuantisedTypes::wanted_for(const TensorInfo& info) const {
  if (!wanted_.is_mixture) return wanted_.dtype;
  const std::string_view name = info.name;
  if (is_head(name) || (!has_head_ && is_embedding(name))) return DType::q6_k;
  const std::optional<std::uint64_t> layer = layer_of(name);
  if (!layer) return wanted_.dtype;
  const bool favoured = is_favoured(*layer, layers_);
  if (wanted_.dtype != DType::q3_k) {
    return (is_value(name) || is_down(name)) && favoured ? DType::q6_k : wanted_.dtype;
  }
  if (is_value(name)) return *layer < 2 ? DType::q5_k : DType::q4_k;
  if (is_down(name)) {
    if (*layer < layers_ / 16) return DType::q5_k;
    return favoured ? DType::q4_k : DType::q3_k;
  }
  return is_attention_output(name) ? DType::q4_k : DType::q3_k;
}

DType QuantisedTypes::choose(const TensorInfo& info) const {
  if (!dtype_is_floating(info.dtype)) return info.dtype;
  if (!is_matrix(info)) return without_quantisation(info.dtype);
  const DType wanted = wanted_for(info);
  if (fits(info, wanted)) return wanted;
  const std::optional<DType> other = replacement(wanted);
  return other && fits(info, *other) ? *other : without_quantisation(info.dtype);
}

void warn_of_replaced_types(const std::string& label, Quantisation wanted,
                            const std::vector<TensorInfo>& written) {
  constexpr std::size_t kShown = 3;
  const QuantisedTypes types(wanted, written);
  std::map<std::pair<DType, DType>, std::vector<std::string>> replaced;  // by wanted and written
  for (const TensorInfo& info : written) {
    if (!is_matrix(info)) continue;
    const DType dtype = types.wanted_for(info);
    if (!fits(info, dtype)) {
      replaced[{dtype, info.dtype}].push_back("'" + printable(info.name) + "'");
    }
  }
  for (auto& [types_of, names] : replaced) {
    const auto& [dtype, other] = types_of;
    const std::size_t count = names.size();
    if (count > kShown) names.resize(kShown);
    log::warn(
        "{}: {} of the matrices {} {} instead of {}, because their rows are no multiples of {}: "
        "{}{}",
        label, count, count == 1 ? "is" : "are", dtype_name(other), dtype_name(dtype),
        dtype_block_elements(dtype), join(names, ", "), count > kShown ? ", ..." : "");
  }
}

}  // namespace amalgam

#include "amalgam/checkpoint/output_type.hpp"

#include <fmt/format.h>

#include "amalgam/checkpoint/gguf_tensor_type.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam {

std::optional<OutputType> parse_output_type(std::string_view name) {
  if (const auto quantisation = parse_quantisation(name)) return *quantisation;
  if (const auto scaling = parse_fp8_scaling(name)) return *scaling;
  const std::optional<DType> dtype = parse_dtype(name);
  if (!dtype || !dtype_is_floating(*dtype) || !dtype_is_writable(*dtype)) return std::nullopt;
  return *dtype;
}

std::string output_type_name(const OutputType& type) {
  if (const auto* quantisation = std::get_if<Quantisation>(&type)) {
    return quantisation_name(*quantisation);
  }
  if (const auto* scaling = std::get_if<Fp8Scaling>(&type)) {
    return std::string(fp8_scaling_name(*scaling));
  }
  return std::string(dtype_name(std::get<DType>(type)));
}

std::string output_type_names() {
  return fmt::format(
      "F64, F32, F16, BF16, F8_E4M3, F8_E5M2, fp8_block, fp8_channel or fp8_tensor, or for GGUF {}",
      writable_quantisations());
}

void check_output_holds(const OutputType& type, const std::filesystem::path& output) {
  const bool is_gguf = output.extension() == ".gguf";
  if (!is_gguf && std::holds_alternative<Quantisation>(type)) {
    throw InputError("{}: only GGUF files hold {}; expected an output that ends in .gguf",
                     output.string(), output_type_name(type));
  }
  const DType* dtype = std::get_if<DType>(&type);
  const bool is_in_gguf = dtype != nullptr ? gguf_type_number(*dtype).has_value()
                                           : std::holds_alternative<Quantisation>(type);
  if (is_gguf && !is_in_gguf) {
    throw InputError(
        "{}: GGUF has no {}; expected another output, or one of the types F64, F32, F16, BF16, {}",
        output.string(), output_type_name(type), writable_quantisations());
  }
}

}  // namespace amalgam

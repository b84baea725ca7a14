#include "amalgam/weights/fp8_conversion.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/weights/model_config.hpp"
#include "amalgam/weights/planner.hpp"

namespace amalgam {

namespace fs = std::filesystem;

MergePlan plan_fp8_conversion(std::shared_ptr<const TensorSource> model, const Fp8Choice& choice) {
  Recipe recipe;
  recipe.label = model->label();
  recipe.merge_method = "passthrough";
  RecipeSource whole;
  whole.model.path = model->label();
  recipe.models.push_back(std::move(whole));
  const ModelOpener open = [&](const ModelReference&) { return OpenedModel(model); };
  return plan_merge(recipe, open, {.compare_copied = false, .fp8 = &choice});
}

void write_fp8_config(const fs::path& folder, const MergePlan& plan) {
  const fs::path place = folder / "config.json";
  if (!names_file(place)) return;
  const std::string text = read_text_file(place, kLargestConfig);
  const nlohmann::json config = parse_json(text, place.string());
  if (!config.is_object()) throw InputError("{}: expected a JSON object", place.string());
  // Parsed again, so that the order of the keys is kept.
  auto written = nlohmann::ordered_json::parse(text);
  const nlohmann::json old = config.value("quantization_config", nlohmann::json());
  written["quantization_config"] = fp8_quantisation_config(old, plan);
  write_text_file(place, written.dump(2) + "\n");
}

}  // namespace amalgam

#include "amalgam/weights/block_weights.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_cast.hpp"

namespace amalgam {
namespace {

constexpr std::array<BlockRun, 3> kSd1 = {
    {{"IN", "input_blocks.", 12}, {"M", "middle_block.", 0}, {"OUT", "output_blocks.", 12}}};
constexpr std::array<BlockRun, 3> kSdxl = {
    {{"IN", "input_blocks.", 9}, {"M", "middle_block.", 0}, {"OUT", "output_blocks.", 9}}};
constexpr std::array<BlockRun, 1> kSd3 = {{{"J", "joint_blocks.", 24}}};
constexpr std::array<BlockRun, 1> kSd35Large = {{{"J", "joint_blocks.", 38}}};
constexpr std::array<BlockRun, 2> kFlux = {
    {{"D", "double_blocks.", 19}, {"S", "single_blocks.", 38}}};

constexpr std::array<BlockLayout, 5> kLayouts = {
    {{"sd1", "Stable Diffusion 1 and 2", kSd1},
     {"sdxl", "Stable Diffusion XL", kSdxl},
     {"sd3", "Stable Diffusion 3 and 3.5 medium", kSd3},
     {"sd3.5-large", "Stable Diffusion 3.5 large", kSd35Large},
     {"flux", "Flux.1", kFlux}}};

// What comes after `stem`, which begins the name or follows a dot; nothing if it does not occur.
std::optional<std::string_view> after_stem(std::string_view name, std::string_view stem) {
  for (std::size_t at = name.find(stem); at != std::string_view::npos;
       at = name.find(stem, at + 1)) {
    if (at == 0 || name[at - 1] == '.') return name.substr(at + stem.size());
  }
  return std::nullopt;
}

std::optional<std::size_t> block_number(std::string_view name, const BlockRun& run) {
  const auto rest = after_stem(name, run.stem);
  if (!rest) return std::nullopt;
  if (run.count == 0) return 0;
  std::size_t number = 0;
  const auto read = std::from_chars(rest->data(), rest->data() + rest->size(), number);
  const bool ends = read.ptr == rest->data() + rest->size() || *read.ptr == '.';
  return read.ec == std::errc() && read.ptr != rest->data() && ends ? std::optional(number)
                                                                    : std::nullopt;
}

bool is_unet(const BlockLayout& layout) { return layout.runs.front().stem == "input_blocks."; }

std::string label_of(const BlockRun& run, std::size_t number) {
  return fmt::format("{}{:02}", run.label, number);
}

// All settings of a recipe with lists for blocks.
std::vector<std::pair<const ParameterSetting*, const BlockLayout*>> block_settings(
    const Recipe& recipe) {
  std::vector<std::pair<const ParameterSetting*, const BlockLayout*>> found;
  const auto visit = [&](const ParameterSettings& settings) {
    for (const auto& [name, setting] : settings) {
      for (const ParameterSetting::Entry& entry : setting.entries) {
        if (!entry.blocks.empty()) found.emplace_back(&setting, find_block_layout(entry.blocks));
      }
    }
  };
  const auto visit_slices = [&](const std::vector<RecipeSlice>& slices) {
    for (const RecipeSlice& slice : slices) {
      visit(slice.parameters);
      for (const RecipeSource& source : slice.sources) visit(source.parameters);
    }
  };
  visit(recipe.parameters);
  for (const RecipeSource& source : recipe.models) visit(source.parameters);
  visit_slices(recipe.slices);
  for (const RecipeModule& module : recipe.modules) {
    visit(module.parameters);
    for (const RecipeSource& source : module.models) visit(source.parameters);
    visit_slices(module.slices);
  }
  return found;
}

// How many blocks of a run the model has: one more than the largest number.
std::size_t count_blocks(const TensorSource& model, const BlockRun& run) {
  std::size_t count = 0;
  for (const TensorInfo& info : model.tensors()) {
    if (const auto number = block_number(info.name, run)) {
      count = std::max(count, *number < SIZE_MAX ? *number + 1 : *number);
    }
  }
  return count;
}

}  // namespace

std::size_t BlockLayout::size() const {
  std::size_t total = 0;
  for (const BlockRun& run : runs) total += run.size();
  return total;
}

std::string BlockLayout::labels() const {
  std::vector<std::string> parts;
  for (const BlockRun& run : runs) {
    parts.push_back(run.count == 0 ? label_of(run, 0)
                                   : label_of(run, 0) + "-" + label_of(run, run.count - 1));
  }
  return join(parts, ", ");
}

std::optional<std::size_t> BlockLayout::block_of(std::string_view tensor) const {
  std::size_t first = 0;
  for (const BlockRun& run : runs) {
    if (const auto number = block_number(tensor, run)) {
      return *number < run.size() ? std::optional(first + *number) : std::nullopt;
    }
    first += run.size();
  }
  if (!is_unet(*this)) return std::nullopt;
  constexpr std::string_view kModel = "model.diffusion_model.";
  if (tensor.starts_with(kModel)) tensor.remove_prefix(kModel.size());
  if (tensor.starts_with("time_embed.") || tensor.starts_with("label_emb.")) return 0;
  if (tensor.starts_with("out.")) return size() - 1;
  return std::nullopt;
}

std::span<const BlockLayout> block_layouts() { return kLayouts; }

const BlockLayout* find_block_layout(std::string_view name) {
  const auto found = std::find_if(kLayouts.begin(), kLayouts.end(),
                                  [&](const BlockLayout& one) { return one.name == name; });
  return found == kLayouts.end() ? nullptr : &*found;
}

std::optional<ParameterValue> block_weight(const BlockLayout& layout,
                                           std::span<const ParameterValue> values,
                                           std::string_view tensor) {
  const bool has_base = values.size() == layout.size() + 1;
  if (const auto block = layout.block_of(tensor)) return values[*block + (has_base ? 1 : 0)];
  return has_base ? std::optional(values.front()) : std::nullopt;
}

void check_block_list(const ParameterSetting::Entry& entry) {
  const BlockLayout* layout = find_block_layout(entry.blocks);
  if (layout == nullptr) {
    std::vector<std::string> names;
    for (const BlockLayout& one : kLayouts) names.emplace_back(one.name);
    throw InputError("'blocks' is '{}'{}; expected {}", entry.blocks,
                     did_you_mean(entry.blocks, names), join(names, ", "));
  }
  if (entry.values.size() != layout->size() && entry.values.size() != layout->size() + 1) {
    throw InputError(
        "{} values for 'blocks: {}'; expected {} (BASE, {}), or {} without BASE, the value of "
        "everything else",
        entry.values.size(), entry.blocks, layout->size() + 1, layout->labels(), layout->size());
  }
  for (const ParameterValue& value : entry.values) {
    if (!std::holds_alternative<double>(value)) {
      throw InputError("a value for 'blocks: {}' is no number", entry.blocks);
    }
  }
}

void check_block_weights(const Recipe& recipe, const TensorSource& model) {
  for (const auto& [setting, layout] : block_settings(recipe)) {
    for (const BlockRun& run : layout->runs) {
      const std::size_t count = count_blocks(model, run);
      if (count == run.size()) continue;
      throw InputError("{}: 'blocks: {}' is for {} with {} blocks ({}), but {} has {} of '{}*'",
                       recipe_place(recipe, setting->line), layout->name, layout->model,
                       layout->size(), layout->labels(), model.label(), count, run.stem);
    }
  }
}

}  // namespace amalgam

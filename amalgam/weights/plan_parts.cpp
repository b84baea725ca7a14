#include "amalgam/weights/plan_parts.hpp"

#include <algorithm>
#include <optional>

#include "amalgam/checkpoint/diffusion_parts.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_cast.hpp"
#include "amalgam/weights/plan_tensors.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kTextEncoders = "text_encoders";
const std::vector<std::string> kKnown = {"vae",      "text_encoders", "clip_l",          "clip_g",
                                         "t5xxl",    "open_clip",     "diffusion_model", "ema",
                                         "schedule", "other"};

// Tensors of a donor by their names below the part's prefix.
using Rests = std::map<std::string, std::size_t>;

// Of a file that holds the part alone: text encoders as transformers saves them lack the name of
// the module around them.
std::optional<Rests> rests_of_lone_part(const TensorSource& donor, std::string_view part,
                                        bool is_text_encoder) {
  const bool is_clip = donor.find("text_model.embeddings.token_embedding.weight").has_value();
  const bool is_t5 = donor.find("shared.weight") && donor.find("encoder.final_layer_norm.weight");
  if (!is_text_encoder || (part == "t5xxl" ? !is_t5 : !is_clip)) return std::nullopt;
  Rests rests;
  for (std::size_t i = 0; i < donor.tensors().size(); ++i) {
    rests.emplace("transformer." + donor.tensors()[i].name, i);
  }
  return rests;
}

class PartsPlanner {
 public:
  PartsPlanner(const Recipe& recipe, PlanModels& models, std::size_t reference)
      : recipe_(recipe), models_(models), reference_(reference) {
    std::optional<DiffusionLayout> found = find_diffusion_parts(models.source(reference));
    if (!found) {
      throw InputError(
          "{}: 'parts' are those of diffusion checkpoints in one file, but {} has no tensors of "
          "one (such as 'model.diffusion_model.*', 'first_stage_model.*')",
          recipe_place(recipe, recipe.parts.front().line), models.source(reference).label());
    }
    layout_ = *std::move(found);
  }

  PartsPlan run() {
    for (const RecipePart& part : recipe_.parts) {
      for (const std::string& name : names_of(part)) add(part, name);
    }
    return std::move(plan_);
  }

 private:
  const TensorSource& reference() const { return models_.source(reference_); }
  std::string place(const RecipePart& part) const { return recipe_place(recipe_, part.line); }

  // The parts that are meant: one, or all text encoders of the reference (or else of the donor).
  std::vector<std::string> names_of(const RecipePart& part) {
    if (part.name != kTextEncoders) {
      if (std::find(kKnown.begin(), kKnown.end(), part.name) == kKnown.end() &&
          layout_.find(part.name) == nullptr) {
        throw InputError("{}: '{}' is no part of a diffusion checkpoint{}; {} has {}", place(part),
                         part.name, did_you_mean(part.name, kKnown), reference().label(),
                         layout_.part_names());
      }
      return {part.name};
    }
    std::vector<std::string> names = text_encoders(layout_);
    if (names.empty() && part.model) {
      const auto donor = find_diffusion_parts(models_.source(models_.number(*part.model)));
      if (donor) names = text_encoders(*donor);
    }
    if (names.empty()) {
      throw InputError("{}: neither {} nor the model named here has text encoders", place(part),
                       reference().label());
    }
    return names;
  }

  static std::vector<std::string> text_encoders(const DiffusionLayout& layout) {
    std::vector<std::string> names;
    for (const DiffusionPart& one : layout.parts) {
      if (one.is_text_encoder()) names.push_back(one.name);
    }
    return names;
  }

  void add(const RecipePart& part, const std::string& name) {
    if (!named_.insert(name).second) {
      throw InputError("{}: the part '{}' is given twice", place(part), name);
    }
    const DiffusionPart* own = layout_.find(name);
    if (own != nullptr) plan_.not_merged.insert(own->tensors.begin(), own->tensors.end());
    if (!part.model) {
      if (own == nullptr) {
        log::warn("{}: {} has no '{}' to leave out; it has {}", place(part), reference().label(),
                  name, layout_.part_names());
      }
      return;
    }
    const std::size_t donor = models_.number(*part.model);
    const Rests rests = rests_of(part, name, donor);
    if (own != nullptr) {
      replace(part, *own, donor, rests);
    } else {
      append(part, name, donor, rests);
    }
  }

  Rests rests_of(const RecipePart& part, const std::string& name, std::size_t donor) const {
    const TensorSource& source = models_.source(donor);
    const std::optional<DiffusionLayout> layout = find_diffusion_parts(source);
    const DiffusionPart* own = layout ? layout->find(name) : nullptr;
    if (own != nullptr) {
      Rests rests;
      for (const std::size_t i : own->tensors) {
        const std::string& full = source.tensors()[i].name;
        if (full.starts_with(own->prefix)) rests.emplace(full.substr(own->prefix.size()), i);
      }
      return rests;
    }
    const DiffusionPart* wanted = layout_.find(name);
    const bool is_text_encoder = name.starts_with("clip") || name == "t5xxl" ||
                                 name == "open_clip" ||
                                 (wanted != nullptr && wanted->is_text_encoder());
    if (std::optional<Rests> rests = rests_of_lone_part(source, name, is_text_encoder)) {
      return *std::move(rests);
    }
    throw InputError("{}: {} has no '{}'{}", place(part), source.label(), name,
                     layout ? "; it has " + layout->part_names()
                            : "; it is no diffusion checkpoint, nor a file of that part alone");
  }

  // The donor's tensors in the places of the reference's.
  void replace(const RecipePart& part, const DiffusionPart& own, std::size_t donor, Rests rests) {
    std::vector<std::string> missing;
    for (const std::size_t i : own.tensors) {
      const TensorInfo& info = reference().tensors()[i];
      const auto found = rests.find(info.name.substr(own.prefix.size()));
      if (found == rests.end()) {
        if (dtype_is_floating(info.dtype)) {
          missing.push_back(info.name);
        } else {
          plan_.copied.emplace(info.name, PlanInput{reference_, i});
        }
        continue;
      }
      check_shape(part, info, donor, found->second);
      plan_.copied.emplace(info.name, PlanInput{donor, found->second});
      rests.erase(found);
    }
    if (!missing.empty()) {
      throw InputError(
          "{}: the '{}' of {} is laid out differently: {} tensor{} of {} without a counterpart: {}",
          place(part), own.name, models_.source(donor).label(), missing.size(),
          missing.size() == 1 ? "" : "s", reference().label(), shown_names(missing));
    }
    if (rests.empty()) return;
    std::vector<std::string> extra;
    for (const auto& [rest, tensor] : rests) {
      extra.push_back(models_.source(donor).tensors()[tensor].name);
    }
    log::warn("{}: {} tensor{} of its '{}' {} no place in that of {} and {} left out: {}",
              models_.source(donor).label(), extra.size(), extra.size() == 1 ? "" : "s", own.name,
              extra.size() == 1 ? "has" : "have", reference().label(),
              extra.size() == 1 ? "is" : "are", shown_names(extra));
  }

  void check_shape(const RecipePart& part, const TensorInfo& expected, std::size_t donor,
                   std::size_t tensor) const {
    const TensorInfo& info = models_.source(donor).tensors()[tensor];
    if (info.shape == expected.shape) return;
    throw InputError(
        "{}: {}: tensor '{}' has shape {}, but {} has {}: the '{}' of one does not fit "
        "the other",
        place(part), models_.source(donor).label(), info.name, format_shape(info.shape),
        reference().label(), format_shape(expected.shape), part.name);
  }

  // A part that the reference lacks.
  void append(const RecipePart& part, const std::string& name, std::size_t donor,
              const Rests& rests) {
    const std::optional<std::string> prefix = diffusion_prefix(layout_.architecture, name);
    if (!prefix || layout_.parts.front().prefix.empty()) {
      throw InputError(
          "{}: {} ({}) has no '{}', and it is not known how it would be called there; "
          "it has {}",
          place(part), reference().label(), layout_.architecture, name, layout_.part_names());
    }
    for (const auto& [rest, tensor] : rests) {
      plan_.copied.emplace(*prefix + rest, PlanInput{donor, tensor});
    }
  }

  const Recipe& recipe_;
  PlanModels& models_;
  const std::size_t reference_;
  DiffusionLayout layout_;
  std::set<std::string> named_;
  PartsPlan plan_;
};

}  // namespace

PartsPlan plan_parts(const Recipe& recipe, PlanModels& models, std::size_t reference) {
  return PartsPlanner(recipe, models, reference).run();
}

std::string parts_advice(const std::vector<std::string>& missing, std::string_view model) {
  std::set<std::string> parts;
  for (const std::string& name : missing) {
    std::string part = diffusion_part_of(name);
    if (part.empty()) return {};
    parts.insert(std::move(part));
  }
  if (parts.empty()) return {};
  std::vector<std::string> choices;
  for (const std::string& part : parts) choices.push_back(fmt::format("{}: {}", part, model));
  return fmt::format(
      "; a recipe may take whole parts from one model ('parts: {{{}}}') or leave "
      "them out ('none')",
      join(choices, ", "));
}

}  // namespace amalgam

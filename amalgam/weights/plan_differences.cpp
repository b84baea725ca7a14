// PlanTensors: tensors that a model lacks, has besides, or has with other contents.
#include <algorithm>
#include <iterator>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/weights/plan_parts.hpp"
#include "amalgam/weights/plan_tensors.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kNamesShown = 10;
constexpr std::uint64_t kComparedPerTensor = 1 << 20;
constexpr std::uint64_t kComparedAtMost = 64 << 20;

}  // namespace

std::string shown_names(const std::vector<std::string>& names) {
  const std::size_t count = std::min(names.size(), kNamesShown);
  std::string text = join(std::span(names).first(count), ", ");
  if (count < names.size()) text += fmt::format(", ... ({} more)", names.size() - count);
  return text;
}

void PlanTensors::report_missing() const {
  if (missing_.empty()) return;
  const auto& [model, missing] = *missing_.begin();
  throw InputError("{}: {} tensor{} that '{}' has {} missing: {}{}", models_.source(model).label(),
                   missing.second.size(), missing.second.size() == 1 ? "" : "s",
                   models_.name(missing.first), missing.second.size() == 1 ? "is" : "are",
                   shown_names(missing.second),
                   parts_advice(missing.second, models_.name(missing.first)));
}

void PlanTensors::note_extra(const PlanCast& cast) {
  const PlanRole& reference = cast.reference();
  for (const PlanRole& role : cast.members) {
    if (role.model == reference.model) continue;
    for (const std::size_t i : models_.part(role.model, cast.section->module).tensors) {
      const std::string& name = models_.source(role.model).tensors()[i].name;
      const bool is_there =
          models_.find(reference.model, name).has_value() &&
          (!models_.is_tied(reference.model, name) || models_.has_tied_embeddings(role.model));
      if (!is_there) extra_[role.model].insert(name);
    }
  }
}

// What the base lacks may be in the output all the same: as part of another model.
void PlanTensors::report_extra() const {
  std::set<std::string_view> outputs;
  for (const PlanTensor& tensor : plan_.tensors) outputs.insert(tensor.output.name);
  for (const auto& [model, extra] : extra_) {
    std::vector<std::string> names;
    std::ranges::copy_if(extra, std::back_inserter(names),
                         [&](const std::string& name) { return !outputs.contains(name); });
    if (names.empty()) continue;
    log::warn(
        "{}: {} tensor{} not in the output, because the base (or first) model has none of "
        "that name: {}",
        models_.source(model).label(), names.size(), names.size() == 1 ? " is" : "s are",
        shown_names(names));
  }
}

void PlanTensors::note_differing(const std::string& name, const PlanInput& first,
                                 const std::vector<PlanInput>& members) {
  if (!options_.compare_copied) return;
  const bool differs = std::any_of(members.begin(), members.end(), [&](const PlanInput& member) {
    return member.source != first.source && contents_differ(first, member);
  });
  if (differs) differing_.push_back(name);
}

bool PlanTensors::contents_differ(const PlanInput& a, const PlanInput& b) {
  if (info(a).dtype != info(b).dtype || info(a).shape != info(b).shape) return true;
  const std::uint64_t bytes = std::min(
      {info(a).bytes, kComparedPerTensor, kComparedAtMost - std::min(kComparedAtMost, compared_)});
  compared_ += bytes;
  std::vector<std::byte> left(bytes);
  std::vector<std::byte> right(bytes);
  plan_.sources[a.source]->read_bytes(a.tensor, 0, left);
  plan_.sources[b.source]->read_bytes(b.tensor, 0, right);
  return left != right;
}

void PlanTensors::report_differing() const {
  if (differing_.empty()) return;
  log::warn(
      "the models differ in {} tensor{} of integers, which {} not merged but copied from the "
      "base (or first) model: {}",
      differing_.size(), differing_.size() == 1 ? "" : "s", differing_.size() == 1 ? "is" : "are",
      shown_names(differing_));
}

}  // namespace amalgam

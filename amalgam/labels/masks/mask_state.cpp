#include "amalgam/labels/masks/mask_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/masks/segmentation.hpp"
#include "amalgam/labels/other_methods.hpp"

namespace amalgam::labels {
namespace {

constexpr std::string_view kCommand = "masks";
constexpr std::string_view kEm = "em";
// Of all masks of a task, which are in memory at once.
constexpr std::size_t kMostPixels = std::size_t{1} << 31U;
constexpr const char* kResults = "results";
constexpr const char* kSkills = "skills";

// All masks of a task, and what was made of them, have one size.
void check_masks(const ColumnReader& reader, const TaskTexts& masks,
                 const std::vector<std::string>& results) {
  const std::string place = reader.path().string();
  std::vector<MaskSize> sizes;
  for (const std::string& result : results) sizes.push_back(mask_size(result, place));
  for (const TaskTexts::Row& row : masks.rows()) {
    reader.check(mask_size(row.text, place) == sizes[row.task], "sizes of masks");
  }
}

}  // namespace

MaskState::MaskState(std::string method, Keep keep)
    : head_{.method = std::move(method)}, keep_(keep) {
  find_other_method(kCommand, head_.method);
}

MaskState::MaskState(const ColumnReader& reader) : head_(read_state_head(reader, kCommand)) {
  reader.checked([&] { return find_other_method(kCommand, head_.method); });
  masks_ = TaskTexts(reader);
  results_ = read_texts(reader, kResults, masks_.task_count());
  check_masks(reader, masks_, results_);
  if (!judges_workers()) return;
  skills_ = reader.column<double>(kSkills, DType::f64);
  reader.check(skills_.size() == masks_.rows().size() &&
                   std::ranges::all_of(skills_, [](double s) { return s >= 0 && s <= 1; }),
               kSkills);
}

bool MaskState::judges_workers() const { return head_.method == kEm; }

MaskState::Found MaskState::fitted(TaskTexts& added, std::uint32_t task,
                                   const MaskAbsorbOptions& options) const {
  const std::string where =
      fmt::format("{}{}task '{}'", options.where, options.where.empty() ? "" : ": ",
                  printable(added.task_names()[task]));
  const std::size_t first_added = masks_.rows().size();
  Found found;
  std::vector<Mask> masks;
  std::size_t pixels = 0;
  const auto count = [&](const MaskSize& size) {
    pixels += size.rows * size.columns;
    if (pixels <= kMostPixels) return;
    throw InputError("{}: its masks have more than {} pixels together", where, kMostPixels);
  };
  const std::vector<TaskText> texts = masks_.of_task_with(added, task);
  const auto is_read = [&](const TaskText& one) { return one.row >= first_added && options.mask; };
  for (const TaskText& one : texts) {
    if (!is_read(one)) count(mask_size(one.text, where));
  }
  for (const TaskText& one : texts) {
    found.rows.push_back(one.row);
    masks.push_back(is_read(one) ? options.mask(one.text, one.row - first_added)
                                 : parse_mask(one.text, where));
    if (is_read(one)) count({masks.back().rows, masks.back().columns});
  }
  if (judges_workers()) {
    Segmentation all = segmentation_em(masks, where);
    found.mask = mask_text(all.mask);
    found.skills = std::move(all.skills);
  } else {
    found.mask = mask_text(majority_mask(masks, where));
  }
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (found.rows[i] < first_added) continue;
    added.set_text(found.rows[i] - first_added,
                   keep_ == Keep::masks ? mask_text(masks[i]) : std::string());
  }
  return found;
}

AbsorbReport MaskState::absorb(TaskTexts added, const MaskAbsorbOptions& options) {
  if (keep_ == Keep::results && !masks_.rows().empty()) {
    throw Error("a state that keeps no masks cannot take in more of them");
  }
  std::vector<Found> all(added.task_count());
  // Each task sets texts of its own rows.
  parallel_for(options.parallel, all.size(), [&](std::size_t task, std::size_t) {
    all[task] = fitted(added, static_cast<std::uint32_t>(task), options);
  });
  AbsorbReport report{.tasks_updated = all.size(), .converged = true};
  const std::vector<std::uint32_t> tasks = masks_.append(std::move(added), report);
  results_.resize(masks_.task_count());
  if (judges_workers()) skills_.resize(masks_.rows().size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    results_[tasks[i]] = std::move(all[i].mask);
    for (std::size_t m = 0; m < all[i].skills.size(); ++m) {
      skills_[all[i].rows[m]] = all[i].skills[m];
    }
  }
  return report;
}

ColumnSet MaskState::columns() const {
  if (keep_ == Keep::results) throw Error("a state that keeps no masks cannot be saved");
  ColumnSet set{.columns = {}, .metadata = state_metadata(head_, kCommand)};
  masks_.add_columns(set.columns);
  add_texts(set.columns, kResults, results_.size(),
            [this](std::size_t task) -> std::string_view { return results_[task]; });
  if (judges_workers()) set.columns.push_back(make_column(kSkills, DType::f64, skills_));
  return set;
}

}  // namespace amalgam::labels

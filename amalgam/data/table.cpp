#include "amalgam/data/table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostValues = std::size_t{1} << 30U;
constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

std::size_t count_rows(const fs::path& path) {
  TableRows rows(path);
  std::size_t count = 0;
  while (rows.next()) ++count;
  return count;
}

// Writes rows as numbers, cell by cell.
class Encoder {
 public:
  Encoder(const TableRows& rows, const TableLayout& layout)
      : layout_(layout), label_(layout.label.empty() ? kNowhere : rows.column(layout.label)) {
    for (const TableColumn& column : layout.columns) places_.push_back(rows.column(column.name));
    for (std::size_t c = 0; c < layout.class_names.size(); ++c) {
      classes_.emplace(layout.class_names[c], static_cast<std::int64_t>(c));
    }
  }

  std::int64_t label(const TableRows& rows) const {
    if (label_ == kNowhere) return 0;
    const std::string cell(rows.cell(label_));
    const auto found = classes_.find(cell);
    if (found != classes_.end()) return found->second;
    throw InputError("{}: label '{}' is none of the {} classes{}", rows.place(label_),
                     printable(cell), layout_.class_names.size(),
                     did_you_mean(cell, layout_.class_names));
  }

  // The label as a number, scaled.
  float target(const TableRows& rows) const {
    const std::string_view cell = rows.cell(label_);
    const auto number = is_missing_cell(cell) ? std::nullopt : cell_number(cell);
    const double scaled = (number.value_or(0) - layout_.target->mean) / layout_.target->deviation;
    if (number && std::isfinite(static_cast<float>(scaled))) return static_cast<float>(scaled);
    throw InputError("{}: '{}' in column '{}'; expected a finite number to predict",
                     rows.place(label_), printable(cell), printable(layout_.label));
  }

  // `out` is layout.width() zeros.
  void encode(const TableRows& rows, float* out) {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const TableColumn& column = layout_.columns[i];
      if (column.is_number()) {
        encode_number(rows, places_[i], column, out);
      } else {
        encode_category(rows, places_[i], column, out);
      }
      out += column.width();
    }
  }

  void warn_about_strangers(const std::string& where) const {
    if (strangers_ == 0) return;
    log::warn("{}: {} cells are in no category that the network knows, the first '{}' at {}", where,
              strangers_, first_stranger_, first_place_);
  }

 private:
  static void encode_number(const TableRows& rows, std::size_t place, const TableColumn& column,
                            float* out) {
    const std::string_view cell = rows.cell(place);
    if (is_missing_cell(cell)) {
      out[0] = static_cast<float>(column.fill);
      if (column.flags_missing) out[1] = 1;
      return;
    }
    const auto number = cell_number(cell);
    if (!number || !std::isfinite(static_cast<float>(*number))) {
      throw InputError("{}: '{}' in column '{}'; expected a {}number", rows.place(place),
                       printable(cell), printable(column.name), number ? "finite " : "");
    }
    out[0] = static_cast<float>(*number);
  }

  void encode_category(const TableRows& rows, std::size_t place, const TableColumn& column,
                       float* out) {
    const std::string_view cell = rows.cell(place);
    if (is_missing_cell(cell)) return;
    const auto found = std::lower_bound(column.categories.begin(), column.categories.end(), cell);
    if (found != column.categories.end() && *found == cell) {
      out[found - column.categories.begin()] = 1;
      return;
    }
    if (strangers_++ > 0) return;
    first_stranger_ = printable(cell);
    first_place_ = rows.place(place);
  }

  const TableLayout& layout_;
  std::size_t label_;                // kNowhere: there is none
  std::vector<std::size_t> places_;  // of the layout's columns in the file
  std::unordered_map<std::string, std::int64_t> classes_;
  std::size_t strangers_ = 0;
  std::string first_stranger_;
  std::string first_place_;
};

}  // namespace

TableData load_table(const fs::path& path, const TableLayout& layout, Split split) {
  const std::size_t all = count_rows(path);
  const std::vector<std::size_t> wanted = split_rows(all, split, path.string());
  const std::size_t count = wanted.size();
  const std::size_t width = layout.width();
  if (count > kMostValues / std::max<std::size_t>(width, 1)) {
    throw InputError("{}: {} rows of {} numbers; expected at most {} numbers", path.string(), count,
                     width, kMostValues);
  }
  std::vector<std::size_t> place_of(all, kNowhere);
  for (std::size_t i = 0; i < count; ++i) place_of[wanted[i]] = i;

  TableData data;
  data.source = path.string();
  data.layout = layout;
  data.values.assign(count * width, 0.0F);
  data.labels.assign(count, 0);
  if (layout.target) data.targets.assign(count, 0.0F);
  TableRows rows(path);
  Encoder encoder(rows, layout);
  std::size_t seen = 0;
  for (; rows.next() && seen < all; ++seen) {
    const std::size_t place = place_of[seen];
    if (place == kNowhere) continue;
    if (layout.target) {
      data.targets[place] = encoder.target(rows);
    } else {
      data.labels[place] = encoder.label(rows);
    }
    encoder.encode(rows, data.values.data() + place * width);
  }
  if (seen != all) throw Error("{}: changed while it was read", path.string());
  encoder.warn_about_strangers(path.string());
  return data;
}

}  // namespace amalgam

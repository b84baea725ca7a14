#include "amalgam/labels/weak/vote_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv.hpp"
#include "amalgam/data/npy.hpp"

namespace amalgam::labels {
namespace {

constexpr std::size_t kMostFunctions = 100'000;
constexpr std::size_t kMostItems = 1'000'000'000;

std::optional<double> number_of(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Collects votes and gives labels their names once the largest is known.
class VoteCollector {
 public:
  VoteCollector(std::string where, std::size_t classes)
      : where_(std::move(where)), classes_(classes) {
    if (classes > kMostLabels) {
      throw InputError("{} classes; expected at most {}", classes, kMostLabels);
    }
    for (std::size_t k = 0; k < classes; ++k) name_next_class();
  }

  AnnotationBuilder& builder() { return builder_; }

  void add(Task item, Worker function, double vote) {
    if (vote == -1) return;
    const std::size_t limit = classes_ > 0 ? classes_ : kMostLabels;
    if (!(vote >= 0) || vote != std::floor(vote) || vote >= static_cast<double>(limit)) {
      throw InputError(
          "{}: item {}, labelling function {}: the vote is {}; expected -1 (abstain) or a class "
          "below {}",
          where_, item, function, vote, limit);
    }
    const auto label = static_cast<std::size_t>(vote);
    while (named_ <= label) name_next_class();
    builder_.add(item, function, static_cast<Label>(label));
  }

  AnnotationTable finish() {
    if (builder_.rows() > 0) return builder_.finish(where_);
    if (classes_ == 0) {
      throw InputError(
          "{}: every labelling function abstains on every item, and how many classes there are was"
          " not said",
          where_);
    }
    // The builder refuses to make a table of nothing: one row that is taken out again.
    builder_.add(0, 0, 0);
    AnnotationTable table = builder_.finish(where_);
    table.tasks.clear();
    table.workers.clear();
    table.labels.clear();
    std::ranges::fill(table.task_begins, 0U);
    return table;
  }

 private:
  void name_next_class() { builder_.label(fmt::to_string(named_++)); }

  std::string where_;
  std::size_t classes_;
  std::size_t named_ = 0;
  AnnotationBuilder builder_;
};

void add_numbered(AnnotationBuilder& builder, std::size_t items, std::size_t functions) {
  for (std::size_t i = 0; i < items; ++i) builder.task(fmt::to_string(i));
  for (std::size_t j = 0; j < functions; ++j) builder.worker(fmt::to_string(j));
}

void check_sizes(const std::string& where, std::uint64_t items, std::uint64_t functions) {
  if (items == 0 || functions == 0) {
    throw InputError("{}: votes of {} labelling functions on {} items; expected some of both",
                     where, functions, items);
  }
  if (items > kMostItems || functions > kMostFunctions) {
    throw InputError("{}: {} items and {} labelling functions; expected at most {} and {}", where,
                     items, functions, kMostItems, kMostFunctions);
  }
}

AnnotationTable read_npy_votes(const std::filesystem::path& path,
                               const VoteMatrixOptions& options) {
  NpyReader reader = NpyReader::open(path);
  const NpyHeader& header = reader.header();
  if (header.shape.size() != 2) {
    throw InputError("{}: an array of {} dimensions; expected [items, labelling functions]",
                     path.string(), header.shape.size());
  }
  check_sizes(path.string(), header.shape[0], header.shape[1]);
  const std::uint64_t items = header.shape[0];
  const std::uint64_t functions = header.shape[1];
  VoteCollector votes(path.string(), options.classes);
  std::uint64_t at = 0;
  std::vector<double> piece(4096);
  // Names only of as many items as the file really has: its header may promise anything.
  std::uint64_t named = 0;
  for (std::uint64_t j = 0; j < functions; ++j) votes.builder().worker(fmt::to_string(j));
  while (const std::size_t count = reader.read(piece)) {
    check_interrupt();
    for (std::size_t i = 0; i < count; ++i, ++at) {
      const std::uint64_t item = header.column_major ? at % items : at / functions;
      const std::uint64_t function = header.column_major ? at / items : at % functions;
      while (named <= item) votes.builder().task(fmt::to_string(options.first_item + named++));
      votes.add(static_cast<Task>(item), static_cast<Worker>(function), piece[i]);
    }
  }
  return votes.finish();
}

struct CsvColumns {
  std::vector<std::string> functions;  // names; empty: numbered
  std::optional<std::size_t> item;     // the column that names items
  std::size_t width = 0;
};

// The header, or nothing if the first record holds votes.
CsvColumns columns_of(std::span<const std::string_view> first, const VoteMatrixOptions& options,
                      const std::string& where) {
  CsvColumns columns{.functions = {}, .item = {}, .width = first.size()};
  const bool votes = std::ranges::all_of(
      first, [](std::string_view cell) { return cell.empty() || number_of(cell); });
  if (votes) return columns;
  for (std::size_t c = 0; c < first.size(); ++c) {
    const std::string name(first[c]);
    if (name == options.item_column) {
      if (columns.item) throw InputError("{}: two columns '{}'", where, printable(name));
      columns.item = c;
    } else if (name.empty() ||
               std::ranges::find(columns.functions, name) != columns.functions.end()) {
      throw InputError("{}: the header names column {} '{}', which is empty or there twice", where,
                       c + 1, printable(name));
    } else {
      columns.functions.push_back(name);
    }
  }
  return columns;
}

void add_record(VoteCollector& votes, const CsvReader& reader, const CsvColumns& columns,
                std::size_t row, std::uint64_t first_item) {
  const auto fields = reader.fields();
  if (fields.size() != columns.width) {
    throw InputError("{}: {} cells, but the first record has {}", reader.place(0), fields.size(),
                     columns.width);
  }
  const std::string name =
      columns.item ? std::string(fields[*columns.item]) : fmt::to_string(first_item + row);
  const Task item = votes.builder().task(name);
  if (item != row) {
    throw InputError("{}: item '{}' was there before", reader.place(*columns.item),
                     printable(name));
  }
  Worker function = 0;
  for (std::size_t c = 0; c < fields.size(); ++c) {
    if (c == columns.item) continue;
    if (!fields[c].empty()) {
      const std::optional<double> vote = number_of(fields[c]);
      if (!vote) {
        throw InputError("{}: '{}'; expected a class number, or -1 for abstain", reader.place(c),
                         printable(fields[c]));
      }
      votes.add(item, function, *vote);
    }
    ++function;
  }
}

AnnotationTable read_csv_votes(const std::filesystem::path& path,
                               const VoteMatrixOptions& options) {
  CsvReader reader = CsvReader::open(path);
  if (!reader.next()) throw InputError("{}: it is empty", path.string());
  const CsvColumns columns = columns_of(reader.fields(), options, path.string());
  const std::size_t functions = columns.width - (columns.item ? 1 : 0);
  VoteCollector votes(path.string(), options.classes);
  for (std::size_t j = 0; j < functions; ++j) {
    votes.builder().worker(columns.functions.empty() ? fmt::to_string(j) : columns.functions[j]);
  }
  std::size_t row = 0;
  if (columns.functions.empty()) add_record(votes, reader, columns, row++, options.first_item);
  while (reader.next()) {
    if (row % 4096 == 0) check_interrupt();
    add_record(votes, reader, columns, row++, options.first_item);
  }
  check_sizes(path.string(), row, functions);
  return votes.finish();
}

}  // namespace

bool VoteMatrix::covered(std::size_t item) const {
  for (std::size_t j = 0; j < functions; ++j) {
    if (at(item, j) != kNoLabel) return true;
  }
  return false;
}

VoteMatrix stacked(const VoteMatrix& above, const VoteMatrix& below) {
  if (above.functions != below.functions) {
    throw InputError("votes of {} and of {} labelling functions cannot be put together",
                     above.functions, below.functions);
  }
  VoteMatrix all = above;
  all.items += below.items;
  all.votes.insert(all.votes.end(), below.votes.begin(), below.votes.end());
  return all;
}

AnnotationTable table_of(const VoteMatrix& votes, std::size_t classes) {
  check_sizes("votes", votes.items, votes.functions);
  if (classes == 0) throw InputError("votes of 0 classes; expected 1 or more");
  VoteCollector collector("votes", classes);
  add_numbered(collector.builder(), votes.items, votes.functions);
  for (std::size_t i = 0; i < votes.items; ++i) {
    for (std::size_t j = 0; j < votes.functions; ++j) {
      const Label vote = votes.at(i, j);
      if (vote == kNoLabel) continue;
      collector.add(static_cast<Task>(i), static_cast<Worker>(j), static_cast<double>(vote));
    }
  }
  return collector.finish();
}

AnnotationTable read_vote_matrix(const std::filesystem::path& path,
                                 const VoteMatrixOptions& options) {
  return path.extension() == ".npy" ? read_npy_votes(path, options) : read_csv_votes(path, options);
}

}  // namespace amalgam::labels

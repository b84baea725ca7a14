#include "amalgam/scores/uncertainty/table_part.hpp"

#include <cstddef>
#include <cstdint>

namespace amalgam::scores {
namespace {

// New numbers of the things that are left, which keep their order.
struct Renumbering {
  std::vector<std::uint32_t> number;  // [things]
  std::vector<std::uint32_t> left;    // old numbers
};

Renumbering renumber(const std::vector<char>& is_left) {
  Renumbering result{.number = std::vector<std::uint32_t>(is_left.size()), .left = {}};
  for (std::uint32_t i = 0; i < is_left.size(); ++i) {
    if (is_left[i] == 0) continue;
    result.number[i] = static_cast<std::uint32_t>(result.left.size());
    result.left.push_back(i);
  }
  return result;
}

StringPool names_of(const StringPool& names, const std::vector<std::uint32_t>& left) {
  StringPool pool;
  for (const std::uint32_t i : left) pool.add(names[i]);
  return pool;
}

class PartMaker {
 public:
  PartMaker(const ScoreTable& whole, std::span<const char> rows, std::span<const char> comparisons)
      : whole_(whole), rows_(rows), comparisons_(comparisons) {
    std::vector<char> systems(whole.system_count());
    std::vector<char> tasks(whole.task_count());
    for (std::size_t ballot = 0; ballot < whole.ballot_count(); ++ballot) {
      for (std::size_t row = whole.ballot_begins[ballot]; row < whole.ballot_begins[ballot + 1];
           ++row) {
        if (rows[row] == 0) continue;
        systems[whole.row_systems[row]] = 1;
        tasks[whole.ballot_tasks[ballot]] = 1;
      }
    }
    for (std::size_t row = 0; row < whole.comparisons.size(); ++row) {
      if (comparisons[row] == 0) continue;
      systems[whole.comparisons.first[row]] = 1;
      systems[whole.comparisons.second[row]] = 1;
    }
    systems_ = renumber(systems);
    tasks_ = renumber(tasks);
  }

  TablePart make() {
    TablePart part;
    part.table.systems = names_of(whole_.systems, systems_.left);
    part.table.tasks = names_of(whole_.tasks, tasks_.left);
    part.table.instances = whole_.instances;
    for (const Task task : tasks_.left) part.table.task_infos.push_back(whole_.task_infos[task]);
    add_ballots(part.table);
    add_comparisons(part.table.comparisons);
    part.systems = std::move(systems_.left);
    return part;
  }

 private:
  void add_ballots(ScoreTable& table) const {
    for (std::size_t ballot = 0; ballot < whole_.ballot_count(); ++ballot) {
      const std::size_t before = table.values.size();
      for (std::size_t row = whole_.ballot_begins[ballot]; row < whole_.ballot_begins[ballot + 1];
           ++row) {
        if (rows_[row] == 0) continue;
        table.row_systems.push_back(systems_.number[whole_.row_systems[row]]);
        table.values.push_back(whole_.values[row]);
      }
      if (table.values.size() == before) continue;
      table.ballot_tasks.push_back(tasks_.number[whole_.ballot_tasks[ballot]]);
      table.ballot_instances.push_back(whole_.ballot_instances[ballot]);
      table.ballot_begins.push_back(table.values.size());
    }
  }

  void add_comparisons(Comparisons& part) const {
    const Comparisons& whole = whole_.comparisons;
    for (std::size_t row = 0; row < whole.size(); ++row) {
      if (comparisons_[row] == 0) continue;
      part.first.push_back(systems_.number[whole.first[row]]);
      part.second.push_back(systems_.number[whole.second[row]]);
      part.outcomes.push_back(whole.outcomes[row]);
      if (!whole.weights.empty()) part.weights.push_back(whole.weights[row]);
    }
  }

  const ScoreTable& whole_;
  std::span<const char> rows_;
  std::span<const char> comparisons_;
  Renumbering systems_;
  Renumbering tasks_;
};

}  // namespace

TablePart part_of_table(const ScoreTable& whole, std::span<const char> rows,
                        std::span<const char> comparisons) {
  return PartMaker(whole, rows, comparisons).make();
}

}  // namespace amalgam::scores

#include "amalgam/scores/strength/comparison_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// Tarjan's algorithm along edges loser -> winner, with a stack of its own: chains of thousands of
// systems must not exhaust the program's.
class StrongComponents {
 public:
  explicit StrongComponents(const ComparisonGraph& graph)
      : graph_(graph), index_(graph.systems, kNone), low_(graph.systems) {
    components_.group.assign(graph.systems, kNone);
    for (std::uint32_t system = 0; system < graph.systems; ++system) {
      if (index_[system] == kNone) visit(system);
    }
  }

  Components take() { return std::move(components_); }

 private:
  struct Frame {
    std::uint32_t system;
    std::uint32_t next;  // the next winner to look at
  };

  void enter(std::uint32_t system) {
    index_[system] = low_[system] = entered_++;
    open_.push_back(system);
    path_.push_back({system, 0});
  }

  void visit(std::uint32_t root) {
    enter(root);
    while (!path_.empty()) {
      Frame& frame = path_.back();
      if (frame.next < graph_.systems) {
        const std::uint32_t winner = frame.next++;
        if (!graph_.wins(winner, frame.system)) continue;
        if (index_[winner] == kNone) {
          enter(winner);
        } else if (components_.group[winner] == kNone) {
          low_[frame.system] = std::min(low_[frame.system], index_[winner]);
        }
        continue;
      }
      const std::uint32_t system = frame.system;
      path_.pop_back();
      if (!path_.empty()) {
        std::uint32_t& low = low_[path_.back().system];
        low = std::min(low, low_[system]);
      }
      if (low_[system] == index_[system]) close(system);
    }
  }

  void close(std::uint32_t root) {
    std::uint32_t system = kNone;
    do {
      system = open_.back();
      open_.pop_back();
      components_.group[system] = static_cast<std::uint32_t>(components_.count);
    } while (system != root);
    ++components_.count;
  }

  const ComparisonGraph& graph_;
  std::vector<std::uint32_t> index_;  // in the order in which systems were entered
  std::vector<std::uint32_t> low_;    // the lowest index that is reached from here
  std::vector<std::uint32_t> open_;   // entered, and not yet in a group
  std::vector<Frame> path_;
  std::uint32_t entered_ = 0;
  Components components_;
};

ComparisonGraph restricted(const ComparisonGraph& graph, const std::vector<System>& systems) {
  ComparisonGraph part(systems.size());
  for (std::size_t i = 0; i < systems.size(); ++i) {
    for (std::size_t j = 0; j < systems.size(); ++j) {
      if (graph.wins(systems[i], systems[j])) part.add(i, j);
    }
  }
  return part;
}

StringPool restricted(const StringPool& names, const std::vector<System>& systems) {
  StringPool part;
  for (const System system : systems) part.add(names[system]);
  return part;
}

std::string listed(const StringPool& names, const std::vector<std::uint32_t>& members) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> shown;
  for (const std::uint32_t member : members) {
    if (shown.size() == kShown && members.size() > kShown + 1) break;
    shown.push_back(printable(names[member]));
  }
  std::string text = join(shown, ", ");
  if (shown.size() < members.size()) {
    text += fmt::format(" and {} more", members.size() - shown.size());
  }
  return text;
}

void leave_out_uncompared(const ComparisonGraph& graph, const StringPool& names,
                          Identification& result) {
  std::vector<std::uint32_t> left_out;
  for (System i = 0; i < graph.systems; ++i) {
    bool compared = false;
    for (System j = 0; j < graph.systems && !compared; ++j) {
      compared = graph.wins(i, j) || graph.wins(j, i);
    }
    if (compared) {
      result.systems.push_back(i);
    } else {
      left_out.push_back(i);
    }
  }
  if (result.systems.size() < 2) {
    throw InputError(
        "no two systems were compared with each other with an outcome that counts, so there is "
        "nothing to rank by");
  }
  if (left_out.empty()) return;
  result.warnings.push_back(
      fmt::format("{} {} never compared with another one and {} no score: {}", left_out.size(),
                  left_out.size() == 1 ? "system was" : "systems were",
                  left_out.size() == 1 ? "has" : "have", listed(names, left_out)));
}

}  // namespace

Components strong_components(const ComparisonGraph& graph) {
  return StrongComponents(graph).take();
}

Components weak_components(const ComparisonGraph& graph) {
  Components components{std::vector<std::uint32_t>(graph.systems, kNone), 0};
  std::vector<std::uint32_t> reached;
  for (std::uint32_t root = 0; root < graph.systems; ++root) {
    if (components.group[root] != kNone) continue;
    const auto number = static_cast<std::uint32_t>(components.count++);
    components.group[root] = number;
    reached.assign(1, root);
    while (!reached.empty()) {
      const std::uint32_t i = reached.back();
      reached.pop_back();
      for (std::uint32_t j = 0; j < graph.systems; ++j) {
        if (components.group[j] != kNone || !(graph.wins(i, j) || graph.wins(j, i))) continue;
        components.group[j] = number;
        reached.push_back(j);
      }
    }
  }
  return components;
}

std::string describe_components(const Components& components, const StringPool& names) {
  constexpr std::size_t kShown = 6;
  std::vector<std::vector<std::uint32_t>> members(components.count);
  for (std::uint32_t system = 0; system < components.group.size(); ++system) {
    members[components.group[system]].push_back(system);
  }
  std::vector<std::string> shown;
  for (const std::vector<std::uint32_t>& group : members) {
    if (shown.size() == kShown && members.size() > kShown + 1) break;
    shown.push_back("{" + listed(names, group) + "}");
  }
  std::string text = join(shown, ", ");
  if (shown.size() < members.size()) {
    text += fmt::format(" and {} more groups", members.size() - shown.size());
  }
  return text;
}

Identification identify(const ComparisonGraph& graph, const StringPool& names,
                        std::optional<double> pseudo_votes, PseudoVotes pairs) {
  Identification result{
      .systems = {}, .pseudo_votes = pseudo_votes.value_or(0), .groups = {}, .warnings = {}};
  leave_out_uncompared(graph, names, result);
  const ComparisonGraph compared = restricted(graph, result.systems);
  const Components strong = strong_components(compared);
  if (strong.count == 1) return result;

  const StringPool compared_names = restricted(names, result.systems);
  const Components weak = weak_components(compared);
  if (weak.count > 1) {
    const std::string groups = describe_components(weak, compared_names);
    if (pairs == PseudoVotes::compared_pairs || result.pseudo_votes == 0) {
      throw InputError(
          "the comparison graph is disconnected: it has {} groups of systems without a comparison "
          "between them, whose strengths cannot be compared: {}; rank each group by itself{}",
          weak.count, groups,
          pairs == PseudoVotes::compared_pairs
              ? " or compare members of different groups"
              : ", compare members of different groups, or set alpha above 0 to rank by "
                "pseudo-votes");
    }
    result.warnings.push_back(fmt::format(
        "the comparison graph is disconnected: between {} groups of systems only the pseudo-votes "
        "(alpha = {:g}) decide, so compare strengths within a group alone: {}",
        weak.count, result.pseudo_votes, groups));
    result.groups = weak.group;
    return result;
  }
  const std::string groups = describe_components(strong, compared_names);
  if (pseudo_votes == 0.0) {
    throw InputError(
        "the comparison graph is not strongly connected, so that some strengths are infinite: it "
        "has {} groups of which none ever won against one before it: {}; set alpha above 0 (such "
        "as {:g}) to add pseudo-votes, or leave alpha out",
        strong.count, groups, kAutomaticPseudoVotes);
  }
  if (!pseudo_votes) result.pseudo_votes = kAutomaticPseudoVotes;
  result.groups = strong.group;
  result.warnings.push_back(fmt::format(
      "the comparison graph is not strongly connected, so that some strengths would be infinite: "
      "{:g} pseudo-votes were added in both directions to every pair, and distances between these "
      "{} groups, of which none ever won against one before it, depend on that number: {}",
      result.pseudo_votes, strong.count, groups));
  return result;
}

}  // namespace amalgam::scores

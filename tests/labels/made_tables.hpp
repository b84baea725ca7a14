#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/labels/label_model.hpp"

/// Annotations made by a script, for tests.
namespace amalgam::labels {

struct MadeCrowd {
  std::size_t tasks = 200;
  std::size_t workers = 12;
  std::size_t per_task = 5;
  std::size_t classes = 2;
  std::uint64_t seed = 1;
  double lowest_skill = 0.55;  ///< skills are uniform from here to 0.95
};

struct Made {
  AnnotationTable table;
  GoldLabels gold;  ///< of all tasks
  std::vector<double> skills;
};

/// Names in an order of one's own: worker w of the crowd is called `workers[w]`, and so on.
struct Naming {
  std::vector<std::size_t> tasks;
  std::vector<std::size_t> workers;
  std::vector<std::size_t> classes;
};

inline std::vector<std::size_t> plain_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

inline std::vector<std::size_t> turned_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = (count + 2 - i) % count;
  return order;
}

/// Each task is annotated by different random workers, who are right with their skill and else say
/// one of the other classes.
inline Made make_crowd(const MadeCrowd& crowd, Naming naming = {}) {
  if (naming.tasks.empty()) naming.tasks = plain_order(crowd.tasks);
  if (naming.workers.empty()) naming.workers = plain_order(crowd.workers);
  if (naming.classes.empty()) naming.classes = plain_order(crowd.classes);
  RandomStream random(crowd.seed, "made crowd");
  Made made;
  made.skills.resize(crowd.workers);
  made.gold.labels.resize(crowd.tasks);
  AnnotationBuilder builder;
  for (std::size_t k = 0; k < crowd.classes; ++k) builder.label(fmt::to_string(k));
  for (std::size_t w = 0; w < crowd.workers; ++w) builder.worker(fmt::to_string(w));
  std::vector<double> skills;
  for (std::size_t w = 0; w < crowd.workers; ++w) {
    skills.push_back(crowd.lowest_skill + (0.95 - crowd.lowest_skill) * random.uniform());
    made.skills[naming.workers[w]] = skills.back();
  }
  for (std::size_t i = 0; i < crowd.tasks; ++i) {
    const std::size_t truth = random.below(crowd.classes);
    made.gold.labels[naming.tasks[i]] = static_cast<Label>(naming.classes[truth]);
    const Task task = builder.task(fmt::to_string(naming.tasks[i]));
    std::vector<std::size_t> free = plain_order(crowd.workers);
    for (std::size_t n = 0; n < crowd.per_task; ++n) {
      const std::size_t at = random.below(free.size());
      const std::size_t w = free[at];
      free[at] = free.back();
      free.pop_back();
      const bool right = random.uniform() < skills[w];
      const std::size_t wrong = (truth + 1 + random.below(crowd.classes - 1)) % crowd.classes;
      builder.add(task, builder.worker(fmt::to_string(naming.workers[w])),
                  builder.label(fmt::to_string(naming.classes[right ? truth : wrong])));
    }
  }
  made.table = builder.finish("made crowd");
  return made;
}

inline double accuracy(const LabelFit& fit, const GoldLabels& gold) {
  const std::vector<Label> labels = hard_labels(fit.posterior).labels;
  double right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += labels[i] == gold.labels[i] ? 1 : 0;
  return right / static_cast<double>(labels.size());
}

}  // namespace amalgam::labels

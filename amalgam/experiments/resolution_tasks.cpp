#include "amalgam/experiments/resolution_tasks.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "amalgam/data/shared_data.hpp"
#include "amalgam/data/shuffle.hpp"
#include "amalgam/data/table.hpp"

namespace amalgam::experiments {
namespace {

// A random order of the rows, of which the first `train` are learned from.
ResolutionTask split_task(std::string name, std::size_t classes, const RowMatrix& rows,
                          const std::vector<std::size_t>& labels, std::size_t train,
                          std::size_t test, std::uint64_t seed) {
  const std::vector<std::size_t> order = shuffled_indices(rows.rows, seed, "split of " + name);
  ResolutionTask task{.name = std::move(name),
                      .classes = classes,
                      .train = RowMatrix(train, rows.columns),
                      .test = RowMatrix(test, rows.columns)};
  for (std::size_t i = 0; i < train + test; ++i) {
    const bool is_train = i < train;
    const auto row = rows.row(order[i]);
    std::ranges::copy(row, (is_train ? task.train.row(i) : task.test.row(i - train)).begin());
    (is_train ? task.train_labels : task.test_labels).push_back(labels[order[i]]);
  }
  return task;
}

// Every column from 0 to 1 over the training rows; what is beyond in the others is clipped.
void scale(ResolutionTask& task) {
  for (std::size_t c = 0; c < task.train.columns; ++c) {
    double low = task.train.at(0, c);
    double high = low;
    for (std::size_t i = 1; i < task.train.rows; ++i) {
      low = std::min(low, task.train.at(i, c));
      high = std::max(high, task.train.at(i, c));
    }
    for (RowMatrix* rows : {&task.train, &task.test}) {
      for (std::size_t i = 0; i < rows->rows; ++i) {
        double& value = rows->row(i)[c];
        value = high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0;
      }
    }
  }
}

struct LoadedTable {
  RowMatrix rows;
  std::vector<std::size_t> labels;
  std::size_t classes = 0;
};

LoadedTable load(const char* file) {
  const auto path = shared_data(file);
  const TableLayout layout = learn_table_layout(path, {.label = "class"});
  const TableData data = load_table(path, layout, Split::all);
  LoadedTable table{.rows = RowMatrix(data.count(), layout.width()),
                    .classes = layout.class_names.size()};
  std::ranges::copy(data.values, table.rows.values.begin());
  table.labels.assign(data.labels.begin(), data.labels.end());
  return table;
}

// Every block of `factor` x `factor` pixels becomes its mean: down and up again.
void blur_blocks(std::span<double> image, std::size_t side, std::size_t factor) {
  for (std::size_t top = 0; top < side; top += factor) {
    for (std::size_t left = 0; left < side; left += factor) {
      double sum = 0;
      for (std::size_t i = 0; i < factor * factor; ++i) {
        sum += image[(top + i / factor) * side + left + i % factor];
      }
      const double mean = sum / static_cast<double>(factor * factor);
      for (std::size_t i = 0; i < factor * factor; ++i) {
        image[(top + i / factor) * side + left + i % factor] = mean;
      }
    }
  }
}

}  // namespace

ResolutionTask digits_task(std::uint64_t seed) {
  LoadedTable table = load("tabular/digits.csv");
  for (double& value : table.rows.values) value /= 16;
  constexpr std::size_t kTrain = 1200;
  ResolutionTask task = split_task("digits", table.classes, table.rows, table.labels, kTrain,
                                   table.rows.rows - kTrain, seed);
  task.side = 8;
  return task;
}

ResolutionTask breast_cancer_task(std::uint64_t seed) {
  const LoadedTable table = load("tabular/breast_cancer.csv");
  constexpr std::size_t kTrain = 380;
  ResolutionTask task = split_task("breast-cancer", table.classes, table.rows, table.labels, kTrain,
                                   table.rows.rows - kTrain, seed);
  scale(task);
  return task;
}

ResolutionTask fashion_task(Workshop& workshop, std::uint64_t seed) {
  constexpr std::size_t kTrain = 1500;
  constexpr std::size_t kTest = 500;
  constexpr std::size_t kSide = 16;
  const learning::Dataset& all = workshop.images(Split::train);
  std::vector<std::size_t> chosen =
      shuffled_indices(static_cast<std::size_t>(all.count()), seed, "2000 of Fashion-MNIST");
  chosen.resize(kTrain + kTest);
  const learning::Dataset images = all.select(chosen);
  const torch::Tensor pixels = torch::adaptive_avg_pool2d(images.inputs, {kSide, kSide})
                                   .flatten(1)
                                   .to(torch::kDouble)
                                   .contiguous();
  RowMatrix rows(chosen.size(), kSide * kSide);
  std::copy_n(pixels.data_ptr<double>(), rows.values.size(), rows.values.begin());
  std::vector<std::size_t> labels;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    labels.push_back(
        static_cast<std::size_t>(images.labels[static_cast<std::int64_t>(i)].item<std::int64_t>()));
  }
  ResolutionTask task = split_task("fashion-mnist", 10, rows, labels, kTrain, kTest, seed);
  task.side = kSide;
  return task;
}

RowMatrix degraded(const ResolutionTask& task, std::size_t factor) {
  RowMatrix rows = task.test;
  if (task.side > 0) {
    for (std::size_t i = 0; i < rows.rows; ++i) blur_blocks(rows.row(i), task.side, factor);
  } else {
    const double steps = 16.0 / static_cast<double>(factor) - 1;
    for (double& value : rows.values) value = std::floor(value * steps + 0.5) / steps;
  }
  return rows;
}

}  // namespace amalgam::experiments

#include "cli/study_difficulty_options.hpp"

namespace amalgam::cli {
namespace {

void add_data_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("data", command.data,
                 "Table (CSV), features (.npy), folder of images in IDX format, or fashion-mnist");
  app.add_option("--label", command.label, "Of a table: the column of classes")
      ->type_name("COLUMN");
  app.add_option("--labels", command.labels, "Of a .npy file: the classes, whole numbers")
      ->type_name("LABELS.npy");
  app.add_option("--features", command.features,
                 "Of a table: the columns of features (default: all others)")
      ->delimiter(',')
      ->type_name("A,B,...");
  app.add_option("--ignore", command.ignore, "Of a table: columns that are not features")
      ->delimiter(',')
      ->type_name("A,B,...");
  app.add_option("--split", command.split, "Of images: train, validation or test")
      ->capture_default_str();
  app.add_option("--limit", command.limit, "Look at the first points only; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag("--standardise", command.standardise,
               "Scale each feature to mean 0 and deviation 1, where units differ");
}

void add_estimate_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("--dimension-by", command.dimension_by, "Which estimate is the dimension")
      ->check(CLI::IsMember({"likelihood", "two-nearest", "participation", "components"}))
      ->capture_default_str();
  app.add_flag("--keep-fraction", command.keep_fraction,
               "Take the estimated dimension as it is, not rounded");
  app.add_option("--neighbours", command.neighbours, "Nearest points for the dimension")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--queries", command.queries, "Points whose neighbours are looked for, at random")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--resolution-by", command.resolution_by,
                 "How the smallest distance between classes is found")
      ->check(CLI::IsMember({"closest", "extreme-value"}))
      ->capture_default_str();
  app.add_option("--sample", command.sample,
                 "Of closest: points among which all pairs are looked at; 0: all")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--pairs", command.pairs, "Of extreme-value: random pairs of different classes")
      ->check(CLI::Range(3, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--tail", command.tail, "Of extreme-value: how many of them are the tail")
      ->check(CLI::Range(2, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--ignore-below", command.ignore_below,
                 "Smaller distances between classes are taken for errors of labels")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_constant_options(CLI::App& app, DifficultyCommand& command) {
  app.add_option("--kind", command.kind, "What the constants are of")
      ->check(CLI::IsMember({"classification", "control", "few-shot"}))
      ->capture_default_str();
  app.add_option("--error", command.errors,
                 "Desired errors; with a model's test error, the bits that the model supplied")
      ->delimiter(',')
      ->type_name("E,...")
      ->capture_default_str();
  app.add_option("--count", command.count, "n, training examples (of few-shot: inputs)");
  app.add_option("--dimension", command.dimension,
                 "m, intrinsic dimension (of few-shot: across all classes)");
  app.add_option("--radius", command.radius, "R, the largest norm of an input");
  app.add_option("--resolution", command.resolution,
                 "delta, the smallest distance that makes a difference");
  app.add_option("--classes", command.classes, "d, number of classes");
  app.add_option("--outputs", command.outputs,
                 "D, output dimension (classification: classes - 1; control: 1)");
  app.add_option("--bound", command.bound, "b, the largest absolute value of an output (1)");
  app.add_option("--beside", command.beside, "Another task whose examples are shown together")
      ->type_name("COUNT,DIMENSION,RADIUS,CLASSES");
  app.add_option("--ways", command.ways, "Of few-shot: classes to tell apart");
  app.add_option("--dimension-within", command.dimension_within,
                 "Of few-shot: intrinsic dimension within a family of classes");
}

}  // namespace

void add_difficulty_options(CLI::App& app, DifficultyCommand& command) {
  add_data_options(app, command);
  add_constant_options(app, command);
  add_estimate_options(app, command);
  app.add_option("--out", command.out, "Write the bits for each error")->type_name("BITS.csv");
  app.add_option("--html", command.html, "Write a page with plots")->type_name("PAGE.html");
  add_common_options(app, command.common,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
}

}  // namespace amalgam::cli

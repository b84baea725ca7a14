#include "cli/label_autows_options.hpp"

namespace amalgam::cli {

void add_autows_options(CLI::App& app, AutoWsCommand& command) {
  app.footer(example(
      "amalgam label autows patients.csv --label diagnosis --seeds 5\n"
      "amalgam label autows fashion-mnist --examples 5000 --features raw --features pca:40\n"
      "amalgam label autows digits.csv --label class --methods few-shot,snuba,iws "
      "--features encoder:digits.safetensors --json\n"
      "amalgam label autows patients.csv --label diagnosis --out labels.csv --soft soft.csv"));
  app.add_option(
         "data", command.data,
         "A table (.csv, .tsv) with the true class in --label, 'fashion-mnist', or a folder "
         "with files named as MNIST's")
      ->required()
      ->type_name("DATA");
  app.add_option("--label", command.label, "Column of the class in a table")->type_name("COLUMN");
  app.add_option("--ignore", command.ignore, "Column of a table that is not looked at")
      ->allow_extra_args(false)
      ->type_name("COLUMN");
  app.add_option("--examples", command.examples, "Look at the first N rows only (0: all)")
      ->check(whole_number())
      ->type_name("N");
  app.add_option("--labelled", command.labelled,
                 "Rows whose class is known; one of each class at least (default 100)")
      ->check(whole_number())
      ->type_name("N");
  app.add_option("--unlabelled", command.unlabelled,
                 "Rows without labels; the others are for testing (default: half of the rest)")
      ->check(whole_number())
      ->type_name("N");
  app.add_option("--features", command.features,
                 "What rows are known by: raw; pca or pca:N (principal components, default 100); "
                 "encoder:CHECKPOINT (what goes into its last layer); or a .npy or CSV file with a "
                 "row of numbers for each row of DATA (default raw and pca)")
      ->allow_extra_args(false)
      ->type_name("WHAT");
  app.add_option(
         "--scale", command.scale,
         "What is done to raw numbers first, also for pca: standard (each column to mean 0 and "
         "deviation 1; default for tables), range (all to [0, 1] by one map), none (default for "
         "images)")
      ->check(CLI::IsMember({"standard", "range", "none"}))
      ->type_name("HOW");
  app.add_option("--methods", command.methods,
                 "few-shot, label-propagation, goggles, snuba, snuba-multipolar, iws (default: the "
                 "first four)")
      ->delimiter(',')
      ->check(CLI::IsMember(
          {"few-shot", "label-propagation", "goggles", "snuba", "snuba-multipolar", "iws"}))
      ->type_name("NAME,...");
  app.add_option(
         "--label-models", command.label_models,
         "What joins the votes of labelling functions, see 'amalgam label methods' (default "
         "generative,majority-vote)")
      ->delimiter(',')
      ->type_name("NAME,...");
  app.add_option("--logits", command.logits,
                 "Zero-shot: a .npy or CSV file with a number for each class of each row of DATA")
      ->type_name("FILE");
  app.add_option("--prototypes", command.prototypes,
                 "Zero-shot: a .npy or CSV file with a row for each class, for features of as many "
                 "columns")
      ->type_name("FILE");
  app.add_option("--rounds", command.rounds, "Snuba: most rounds (default 23)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_option("--cardinality", command.cardinality,
                 "Most columns that a labelling function looks at (default 1)")
      ->check(CLI::Range(1, 10))
      ->type_name("N");
  app.add_option("--combinations", command.combinations,
                 "Random sets of columns of each size that are tried (0, the default: all)")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N");
  app.add_option("--queries", command.queries, "iws: questions per class (default 25)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_option("--acquisition", command.acquisition,
                 "iws: what is asked next: level-set, active-search or random")
      ->check(CLI::IsMember({"level-set", "active-search", "random"}))
      ->capture_default_str()
      ->type_name("RULE");
  app.add_option("--dialogue", command.dialogue,
                 "iws: questions and your answers in this file, instead of the labelled rows as "
                 "the oracle; run again after answering")
      ->type_name("FILE.json");
  app.add_option("--base-model", command.base_model,
                 "goggles: gaussian-mixture, k-means or spectral")
      ->check(CLI::IsMember({"gaussian-mixture", "k-means", "spectral"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_flag("--end-model", command.end_model,
               "Also train a network on what the first label model says");
  app.add_option("--end-model-labels", command.end_model_labels,
                 "What that network learns: soft (each class's probability; the default) or hard "
                 "(the most probable class as if it were certain)")
      ->check(CLI::IsMember({"soft", "hard"}))
      ->type_name("KIND");
  app.add_option("--seeds", command.seeds, "Draw the rows this often, by --seed and those after it")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--out", command.out,
                 "Write a training set, task,label: the labelled rows and the unlabelled ones that "
                 "a pipeline labels, by their numbers in DATA from 0 (with the first seed)")
      ->type_name("LABELS.csv");
  app.add_option("--soft", command.soft, "Write its probability of each class")
      ->type_name("SOFT.csv");
  app.add_option("--pipeline", command.pipeline,
                 "Whose training set: features and method as in the table, 'raw, Snuba, "
                 "generative' (default: the most accurate one's)")
      ->type_name("NAME");
  add_common_options(app, command.common,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
}

}  // namespace amalgam::cli

#include "amalgam/learning/load_dataset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/description/encoding.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/number_evaluation.hpp"
#include "amalgam/learning/trainer.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/learning/toy_data.hpp"

namespace amalgam::learning {
namespace {

namespace fs = std::filesystem;

// 120 rows whose class is the sign of `x` plus the effect of `colour`; `x` is missing now and then.
std::string small_table(std::uint64_t seed = 1) {
  RandomStream random(seed, "table");
  std::string text = "id,x,colour,class\n";
  for (int i = 0; i < 120; ++i) {
    const auto colour = random.below(3);
    const double x = 100 + 10 * random.normal();
    const bool high = (x - 100) / 10 + (static_cast<double>(colour) - 1) > 0;
    text += fmt::format("{},{},{},{}\n", i, i % 11 == 0 ? "" : fmt::format("{:.3f}", x),
                        std::string_view("rgb").substr(colour, 1), high ? "high" : "low");
  }
  return text;
}

// A folder of IDX files: 96 + 24 images of 4 x 4 with the classes 0 to 3 in turn.
void write_images(const TemporaryFolder& folder) {
  const auto header = [](std::initializer_list<std::uint32_t> sizes) {
    std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
    for (const std::uint32_t size : sizes) bytes += {0, 0, 0, static_cast<char>(size)};
    return bytes;
  };
  for (const auto& [name, count] : {std::pair{"train", 96U}, std::pair{"t10k", 24U}}) {
    std::string images = header({count, 4, 4});
    std::string labels = header({count});
    for (unsigned i = 0; i < count; ++i) {
      labels += static_cast<char>(i % 4);
      images += std::string(16, static_cast<char>(i));
    }
    folder.write(std::string(name) + "-images-idx3-ubyte", images);
    folder.write(std::string(name) + "-labels-idx1-ubyte", labels);
  }
}

class LoadDataset : public ::testing::Test {
 protected:
  LoadDataset() { write_images(folder_); }

  DataRecipe images() const { return {.set = folder_.path().string()}; }
  DataRecipe table() const {
    return {
        .set = folder_.write("t.csv", small_table()).string(), .label = "class", .ignore = {"id"}};
  }
  void refused(const DataRecipe& recipe, const std::string& part) const {
    expect_error<InputError>([&] { load_dataset(recipe, Split::train, 1); }, recipe.set, part);
  }

  const TemporaryFolder folder_;
};

std::vector<std::int64_t> labels_of(const Dataset& data) {
  const torch::Tensor flat = data.labels.flatten().contiguous();
  return {flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel()};
}

TEST_F(LoadDataset, ATableIsImagesOfOnePixelAndItsNetworkKnowsItsColumns) {
  const Dataset data = load_dataset(table(), Split::train, 1);
  EXPECT_EQ(data.count(), 90);
  // x, x is missing, three colours.
  EXPECT_EQ(data.inputs.sizes(), (std::vector<std::int64_t>{90, 5, 1, 1}));
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"high", "low"}));
  EXPECT_FALSE(data.is_images());

  const TrainingRecipe recipe =
      parse_recipe({{"network", {{"architecture", "mlp"}, {"hidden", {16}}}},
                    {"epochs", 40},
                    {"batch", 16},
                    {"optimizer", {{"name", "adam"}, {"learning_rate", 0.02}}}},
                   "test");
  const auto network = initial_network(recipe, data);
  const NetworkDescription& description = network->description();
  // Numbers are standardised, flags are not.
  EXPECT_NEAR(description.input_mean[0], 100, 5);
  EXPECT_NEAR(description.input_deviation[0], 10, 3);
  for (std::size_t flag = 1; flag < 5; ++flag) {
    EXPECT_EQ(description.input_mean[flag], 0);
    EXPECT_EQ(description.input_deviation[flag], 1);
  }
  TrainingOptions quiet;
  quiet.progress = Progress::Mode::never;
  train(*network, data, recipe, quiet);

  // From the file alone, another table with its columns in another order is read alike.
  const fs::path saved = folder_ / "net.safetensors";
  save_network(saved, *network, false);
  const auto loaded = load_network(*open_checkpoint(saved.string()));
  std::string other = "class,colour,x\n";
  for (int i = 0; i < 100; ++i) {
    other += fmt::format("{},g,{}\n", i % 2 == 0 ? "high" : "low", i % 2 == 0 ? 115 : 85);
  }
  const DataRecipe test{.set = folder_.write("other.csv", other).string()};
  const Dataset rows = load_dataset(test, Split::all, 1, &loaded->description());
  EXPECT_EQ(rows.count(), 100);
  EXPECT_GT(evaluate(log_probabilities(predict_logits(*loaded, rows)), rows.labels,
                     rows.class_names, {.resamples = 0})
                .accuracy,
            0.95);
  // Without it the columns would be numbered otherwise, which is noticed.
  DataRecipe unguided = test;
  unguided.label = "class";
  expect_error<InputError>([&] { predict_logits(*loaded, load_dataset(unguided, Split::all, 1)); },
                           "other.csv");
}

// y = 3 x + 20 for r, less 10 for g, in the thousands: a network of one output learns it by its
// scale.
TEST_F(LoadDataset, ATableMayHaveNumbersToPredict) {
  std::string text = "x,colour,y\n";
  RandomStream random(3, "numbers");
  for (int i = 0; i < 240; ++i) {
    const double x = random.normal();
    text += fmt::format("{:.4f},{},{:.3f}\n", x, "rg"[i % 2], 1000 * (3 * x + 20 - 10 * (i % 2)));
  }
  const DataRecipe rows{.set = folder_.write("numbers.csv", text).string(), .target = "y"};
  const Dataset data = load_dataset(rows, Split::train, 1);
  EXPECT_TRUE(data.predicts_numbers());
  EXPECT_EQ(data.targets.sizes(), (std::vector<std::int64_t>{180}));
  EXPECT_NEAR(data.targets.mean().item<double>(), 0, 1e-6);
  EXPECT_TRUE(data.range(10, 5).targets.equal(data.targets.narrow(0, 10, 5)));

  const TrainingRecipe recipe =
      parse_recipe({{"network", {{"architecture", "mlp"}, {"hidden", {16}}}},
                    {"epochs", 60},
                    {"batch", 16},
                    {"mixup", 0.1},
                    {"optimizer", {{"name", "adam"}, {"learning_rate", 0.01}}}},
                   "test");
  const auto network = initial_network(recipe, data);
  EXPECT_EQ(network->description().class_names, (std::vector<std::string>{"y"}));
  const Dataset held_out = load_dataset(rows, Split::test, 1, &network->description());
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  options.validation = &held_out;
  const TrainingReport report = train(*network, data, recipe, options);
  EXPECT_LT(report.epochs.back().validation->loss, report.epochs.front().validation->loss);

  const NumberFigures figures = judge_numbers(predict_logits(*network, held_out), held_out);
  EXPECT_GT(figures.r2, .97);
  EXPECT_EQ(report.epochs.back().validation->accuracy, figures.r2);
  EXPECT_EQ(report.epochs.back().validation->loss, figures.scaled_mse);
  const double deviation = target_scale(data).deviation;
  EXPECT_NEAR(figures.mse, figures.scaled_mse * deviation * deviation, 1e-6 * figures.mse);
  EXPECT_LE(figures.mse_interval.low, figures.mse);
  EXPECT_LE(figures.mae * figures.mae, figures.mse);

  DataRecipe bad = rows;
  bad.imbalance = 2;
  expect_error<InputError>([&] { load_dataset(bad, Split::train, 1); }, "no 'imbalance'");
  expect_error<InputError>([&] { check_classes(data, "this"); }, "'y' is a number to predict");
  expect_error<InputError>(
      [&] {
        parse_data_recipe({{"label", "a"}, {"target", "y"}}, "r.yml");
      },
      "data.target");
  // Another column has another scale, in a head of its own too; the column may be called otherwise.
  DataRecipe other = rows;
  other.target = "x";
  expect_error<InputError>([&] { load_dataset(other, Split::test, 1, &network->description()); },
                           "'x' are to be predicted");
  NetworkDescription of_other = network->description();
  of_other.class_names = {"rent"};
  expect_error<InputError>([&] { load_dataset(rows, Split::test, 1, &of_other); }, "scale of 'y'");
  const DataRecipe renamed{
      .set = folder_.write("renamed.csv", "x,colour,price\n1,r,23000\n").string(),
      .label = "price"};
  const Dataset one = load_dataset(renamed, Split::all, 1, &network->description());
  EXPECT_NEAR(one.targets[0].item<double>(), (23000 - target_scale(data).mean) / deviation, 1e-5);
  // Networks of classes do not predict numbers.
  const auto classes = initial_network(recipe, load_dataset(table(), Split::train, 1));
  expect_error<InputError>([&] { load_dataset(rows, Split::test, 1, &classes->description()); },
                           "predicts classes");
}

// R2 is not defined then, and its NaN survives an interruption; the scale of equal numbers is 1.
TEST_F(LoadDataset, NumbersToPredictMayAllBeEqual) {
  std::string text = "x,y\n";
  for (int i = 0; i < 80; ++i) text += fmt::format("{},0.1\n", i);
  const DataRecipe rows{.set = folder_.write("equal.csv", text).string(), .target = "y"};
  const Dataset data = load_dataset(rows, Split::train, 1);
  EXPECT_EQ(target_scale(data).mean, 0.1);
  EXPECT_EQ(target_scale(data).deviation, 1);
  const TrainingRecipe recipe = parse_recipe(
      {{"network", {{"architecture", "mlp"}, {"hidden", {4}}}}, {"epochs", 3}}, "test");
  TrainingOptions options;
  options.progress = Progress::Mode::never;
  options.validation = &data;
  options.state_file = folder_ / "state.safetensors";
  options.after_epoch = [](std::uint64_t epoch) {
    if (epoch == 1) throw Interrupted();
  };
  const auto network = initial_network(recipe, data);
  EXPECT_THROW(train(*network, data, recipe, options), Interrupted);
  options.after_epoch = nullptr;
  options.resume = true;
  const TrainingReport report = train(*network, data, recipe, options);
  EXPECT_EQ(report.first_epoch, 2U);
  EXPECT_TRUE(std::isnan(report.epochs.front().validation->accuracy));
  EXPECT_EQ(r2_text(report.epochs.front().validation->accuracy), "-");
  EXPECT_EQ(r2_text(0.25), "0.2500");
}

// Errors 1, -1 and 2 of numbers 1, 2, 3 with a scale of 10.
TEST(JudgeNumbers, IsInTheUnitsOfTheColumn) {
  TableLayout layout;
  layout.label = "y";
  layout.class_names = {"y"};
  layout.target = TargetScale{.mean = 5, .deviation = 10};
  layout.columns = {{.name = "x", .categories = {}}};
  Dataset data;
  data.class_names = {"y"};
  data.encoding = to_json(layout);
  data.labels = torch::zeros({3}, torch::kLong);
  data.targets = torch::tensor({1.0F, 2.0F, 3.0F});
  const NumberFigures figures = judge_numbers(torch::tensor({{2.0F}, {1.0F}, {5.0F}}), data);
  EXPECT_NEAR(figures.scaled_mse, 2, 1e-12);
  EXPECT_NEAR(figures.mse, 200, 1e-9);
  EXPECT_NEAR(figures.mae, 40 / 3.0, 1e-9);
  EXPECT_NEAR(figures.r2, 1 - 2 / (2 / 3.0), 1e-12);
  EXPECT_EQ(figures.squared_errors.size(), 3U);
}

TEST_F(LoadDataset, ATextIsSequencesAndTheTokensThatFollow) {
  std::string text;
  for (int i = 0; i < 1200; ++i) text += "abcde"[i % 5];
  const DataRecipe recipe{
      .set = folder_.write("a.txt", text).string(), .tokens = "character", .context = 16};
  const Dataset data = load_dataset(recipe, Split::train, 1);
  EXPECT_TRUE(data.is_text());
  EXPECT_EQ(data.inputs.sizes(), (std::vector<std::int64_t>{56, 16}));  // 899 / 16
  EXPECT_EQ(data.class_names.size(), 5U);
  const auto inputs = data.inputs.flatten();
  const std::vector<std::int64_t> labels = labels_of(data);
  for (std::int64_t i = 0; i < inputs.numel(); ++i) {
    ASSERT_EQ(inputs[i].item<std::int64_t>(), i % 5);
    ASSERT_EQ(labels[static_cast<std::size_t>(i)], (i + 1) % 5);
  }
  NetworkDescription network;
  network.input_shape = {8};
  network.input_encoding = data.encoding;
  network.class_names = data.class_names;
  DataRecipe other{.set = folder_.write("b.txt", std::string(100, 'c')).string()};
  const Dataset known = load_dataset(other, Split::all, 1, &network);
  EXPECT_EQ(known.inputs.sizes(), (std::vector<std::int64_t>{12, 8}));
  EXPECT_EQ(known.inputs.max().item<std::int64_t>(), 2);
  other.tokens = "byte";
  expect_error<InputError>([&] { load_dataset(other, Split::all, 1, &network); },
                           "trained on tokens 'character', not 'byte'");
  refused({.set = folder_.write("c.txt", "short text of some words").string(), .context = 100},
          "an example of context 100 needs 101");
}

TEST_F(LoadDataset, KeepsTheClassesThatAreAskedForAndTheirNumbers) {
  DataRecipe recipe = images();
  recipe.classes = {"3", "1"};
  const Dataset kept = load_dataset(recipe, Split::train, 1);
  EXPECT_EQ(kept.class_names.size(), 4U);
  const std::vector<std::int64_t> labels = labels_of(kept);
  EXPECT_EQ(std::set<std::int64_t>(labels.begin(), labels.end()), (std::set<std::int64_t>{1, 3}));
  EXPECT_TRUE(classes_without_examples(kept, recipe).empty());

  recipe.relabel = true;
  const Dataset renumbered = load_dataset(recipe, Split::train, 1);
  EXPECT_EQ(renumbered.class_names, (std::vector<std::string>{"3", "1"}));
  EXPECT_TRUE(torch::equal(renumbered.labels, (3 - kept.labels).div(2, "floor")));
  EXPECT_TRUE(torch::equal(renumbered.inputs, kept.inputs));

  recipe.classes = {"1", "1"};
  refused(recipe, "class '1' is named twice");
  recipe.classes = {"4"};
  refused(recipe, "no class '4'");
  DataRecipe named = table();
  named.classes = {"lo"};
  refused(named, "no class 'lo'; did you mean 'low'");
  named.classes = {"0"};  // by number
  EXPECT_EQ(load_dataset(named, Split::train, 1).labels.max().item<std::int64_t>(), 0);
}

TEST_F(LoadDataset, PartsOfClientsAreDisjointAndComplete) {
  for (const std::optional<double> alpha : {std::optional<double>(), std::optional(0.3)}) {
    std::multiset<float> seen;
    DataRecipe recipe = images();
    for (std::uint64_t part = 0; part < 4; ++part) {
      recipe.partition = ClientPart{.clients = 4, .part = part, .alpha = alpha};
      const Dataset mine = load_dataset(recipe, Split::train, 7);
      for (std::int64_t i = 0; i < mine.count(); ++i) {
        seen.insert(mine.inputs[i][0][0][0].item<float>());
      }
    }
    EXPECT_EQ(seen.size(), 88U);
    EXPECT_EQ(std::set<float>(seen.begin(), seen.end()).size(), 88U);
  }
  DataRecipe recipe = images();
  recipe.partition = ClientPart{.clients = 89};
  refused(recipe, "88 examples");
}

TEST_F(LoadDataset, ALongTailIsByTheSeed) {
  DataRecipe recipe = images();
  recipe.imbalance = 10;
  const Dataset data = load_dataset(recipe, Split::train, 1);
  std::vector<int> counts(4);
  for (const std::int64_t label : labels_of(data)) ++counts[static_cast<std::size_t>(label)];
  EXPECT_GT(counts[0], 6 * counts[3]);
  EXPECT_GT(counts[1], counts[2]);
  EXPECT_TRUE(torch::equal(load_dataset(recipe, Split::train, 1).inputs, data.inputs));
  EXPECT_FALSE(torch::equal(load_dataset(recipe, Split::train, 2).inputs, data.inputs));
}

TEST_F(LoadDataset, ValidationIsTheSplitOrAShareOfTheTrainingExamples) {
  nlohmann::json json{{"network", {{"architecture", "mlp"}}},
                      {"data", {{"set", folder_.path().string()}, {"examples", 40}}}};
  EXPECT_FALSE(load_training_data(parse_recipe(json, "test")).validation);
  json["validation"] = "split";
  EXPECT_EQ(load_training_data(parse_recipe(json, "test")).validation->count(), 8);
  json["validation"] = 0.25;
  const TrainingData data = load_training_data(parse_recipe(json, "test"));
  EXPECT_EQ(data.train.count(), 30);
  EXPECT_EQ(data.validation->count(), 10);
  std::set<float> seen;
  for (const Dataset* part : {&data.train, &*data.validation}) {
    for (std::int64_t i = 0; i < part->count(); ++i) {
      seen.insert(part->inputs[i][0][0][0].item<float>());
    }
  }
  EXPECT_EQ(seen.size(), 40U);
  json["validation"] = 0.001;
  expect_error<InputError>([&] { load_training_data(parse_recipe(json, "test")); },
                           "leaves none to validate on");
  nlohmann::json table_json{{"network", {{"architecture", "mlp"}}},
                            {"data", {{"set", table().set}, {"label", "class"}}},
                            {"validation", "split"}};
  const TrainingData rows = load_training_data(parse_recipe(table_json, "test"));
  EXPECT_EQ(rows.validation->encoding, rows.train.encoding);
  EXPECT_EQ(rows.validation->count(), 10);
}

TEST_F(LoadDataset, NamesClassesWithoutExamples) {
  DataRecipe recipe = images();
  recipe.examples = 2;
  const Dataset data = load_dataset(recipe, Split::train, 1);
  EXPECT_GE(classes_without_examples(data, recipe).size(), 2U);
  recipe.classes = {"2"};
  EXPECT_TRUE(classes_without_examples(load_dataset(recipe, Split::train, 1), recipe).empty());
}

TEST_F(LoadDataset, RefusesKeysOfAnotherKindOfDataAndFilesOfNoKind) {
  DataRecipe recipe = images();
  recipe.label = "y";
  refused(recipe, "this is images, for which there is no 'label'");
  recipe = images();
  recipe.context = 3;
  refused(recipe, "no 'context'");
  recipe = table();
  recipe.corruption = "blur=1";
  refused(recipe, "a table, for which there is no 'corrupt'");
  recipe = table();
  recipe.relabel = true;
  recipe.classes = {"low"};
  refused(recipe, "no 'relabel'");
  recipe = table();
  recipe.label.clear();
  refused(recipe, "needs a label");
  recipe = {.set = folder_.write("a.txt", std::string(100, 'x')).string()};
  recipe.classes = {"x"};
  refused(recipe, "a text, for which there is no 'classes'");
  refused({.set = folder_.write("data.bin", "x").string()}, "does not say what it is");
  refused({.set = "nowhere.csv", .label = "y"}, "cannot be opened");
  NetworkDescription of_images;
  of_images.input_shape = {1, 4, 4};
  of_images.class_names = {"high", "low"};
  const DataRecipe rows = table();
  expect_error<InputError>([&] { load_dataset(rows, Split::train, 1, &of_images); },
                           "was not trained on a table");
}

TEST(Encoding, ComesBackFromJsonAndRefusesDamage) {
  TableLayout layout;
  layout.label = "y";
  layout.class_names = {"a", "b"};
  layout.columns = {{.name = "x", .categories = {}, .fill = 1.5, .flags_missing = true},
                    {.name = "c", .categories = {"p", "q"}}};
  const nlohmann::json json = to_json(layout);
  const TableLayout again = parse_table_layout(json, layout.class_names, "net");
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(again.width(), 4U);
  EXPECT_EQ(again.columns[0].fill, 1.5);
  const auto refused = [&](const char* pointer, const nlohmann::json& value, const char* part) {
    nlohmann::json damaged = json;
    damaged[nlohmann::json::json_pointer(pointer)] = value;
    expect_error<InputError>([&] { parse_table_layout(damaged, {"a", "b"}, "net"); }, "net", part);
  };
  layout.target = TargetScale{.mean = 2.5, .deviation = .5};
  const TableLayout number = parse_table_layout(to_json(layout), {"y"}, "net");
  EXPECT_EQ(number.target->mean, 2.5);
  EXPECT_EQ(number.target->deviation, .5);
  refused("/target", {{"mean", 1}, {"deviation", 1}}, "target");
  refused("/kind", "text", "kind");
  refused("/columns", 3, "columns");
  refused("/columns", nlohmann::json::array(), "0 numbers per example");
  refused("/columns/0/fill", "x", "columns[0].fill");
  refused("/columns/0/name", 3, "columns[0].name");
  refused("/columns/1/categories", {"q", "p"}, "increasing order");
  refused("/columns/1/categories", nlohmann::json::array(), "categories");
  refused("/columns/1/more", 1, "unknown key");

  TextTokens tokens{.kind = TextTokens::Kind::character, .characters = {"a", "ä"}};
  EXPECT_EQ(parse_text_tokens(to_json(tokens), "net").characters, tokens.characters);
  nlohmann::json text = to_json(tokens);
  text["characters"] = {"b", "a"};
  expect_error<InputError>([&] { parse_text_tokens(text, "net"); }, "increasing order");
  text = to_json(TextTokens{});
  text["characters"] = {"a"};
  expect_error<InputError>([&] { parse_text_tokens(text, "net"); }, "nothing");
}

}  // namespace
}  // namespace amalgam::learning

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "amalgam/experiments/catalogue.hpp"
#include "amalgam/experiments/colour_patch_data.hpp"
#include "amalgam/experiments/task_families.hpp"
#include "amalgam/experiments/workshop.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/predictions/agreement.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"

namespace amalgam::experiments {
namespace {

using learning::Dataset;
using learning::Network;

constexpr std::size_t kPatches = 32;
constexpr std::array kShifts{.70, .75, .80, .85, .90};
constexpr std::array kScales{.1, .25, .4, .6, 1.0, 2.0, 4.0, 8.0};

nlohmann::json mlp(std::int64_t hidden, double rate, std::uint64_t epochs, std::uint64_t batch) {
  return {{"epochs", epochs},
          {"batch", batch},
          {"optimizer", {{"name", "sgd"}, {"learning_rate", rate}, {"momentum", .9}}},
          {"network", {{"architecture", "mlp"}, {"hidden", {hidden}}, {"standardise", false}}}};
}

// Logits and labels as the analysis of predictions takes them.
struct Answers {
  torch::Tensor logits;
  std::vector<std::uint32_t> labels;

  Answers(torch::Tensor given, const Dataset& data) : logits(given.to(torch::kFloat).contiguous()) {
    const auto all = data.labels.accessor<std::int64_t, 1>();
    for (std::int64_t n = 0; n < data.count(); ++n) {
      labels.push_back(static_cast<std::uint32_t>(all[n]));
    }
  }
  LogitTable table(const char* name) const {
    return {name,
            {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
            static_cast<std::size_t>(logits.size(0)),
            static_cast<std::size_t>(logits.size(1))};
  }
};

BalanceReport compare(const torch::Tensor& first, const torch::Tensor& second,
                      const torch::Tensor& merged, const Dataset& data) {
  const Answers a(first, data);
  const Answers b(second, data);
  const Answers m(merged, data);
  return compare_balance(a.table("first"), b.table("second"), m.table("merged"), a.labels);
}

std::string shifted(const char* what, double p) { return fmt::format("A: {}, p={:.2f}", what, p); }

// Two networks that differ by seed only, and their ensemble.
void add_diversity(Figures& figures, Workshop& workshop, const ColourPatches& patches,
                   std::uint64_t seed) {
  const Dataset train = with_patches(workshop.images(Split::train).range(1000 * seed, 10'000),
                                     patches, std::vector<double>(kPatches, 0.0), 10 * seed);
  const Dataset& test = workshop.images(Split::test);
  const auto one = workshop.train(mlp(64, .02, 2, 128), train, 2 * seed);
  const auto two = workshop.train(mlp(64, .02, 2, 128), train, 2 * seed + 1);
  Agreement agreement;
  const auto measure = [&](double p, const std::string& name) {
    const Dataset data =
        with_patches(test, patches, std::vector<double>(kPatches, p), 10 * seed + 1);
    const torch::Tensor a = learning::predict_logits(*one, data);
    const torch::Tensor b = learning::predict_logits(*two, data);
    const BalanceReport report = compare(a, b, (a + b) / 2, data);
    figures["A: better single, " + name] =
        std::max(report.agreement.first_accuracy(), report.agreement.second_accuracy());
    figures["A: ensemble, " + name] = report.agreement.merged_accuracy();
    return report.agreement;
  };
  for (const double p : kShifts) agreement.combine(measure(p, fmt::format("p={:.2f}", p)));
  measure(0, "p=0 (as trained)");
  figures["A: only the ensemble right"] = agreement.share(false, false, true);
  figures["A: only the ensemble wrong"] = agreement.share(true, true, false);
}

std::vector<double> two_kinds(double first_half, double second_half) {
  std::vector<double> shift(kPatches, first_half);
  std::fill(shift.begin() + kPatches / 2, shift.end(), second_half);
  return shift;
}

std::shared_ptr<Network> between(const Network& first, const Network& second, double alpha) {
  learned::MemoryMerge merge{
      .method = "wise_ft",
      .base = learned::as_source(learning::state_of(first), "pre-trained"),
      .members = {learned::as_source(learning::state_of(second), "fine-tuned")},
      .parameters = {fmt::format("alpha={}", alpha)},
      .files = {}};
  return learning::load_network(*learned::merge_in_memory(merge), first.description());
}

// The network with its last layer's weights and biases times `factor`, and its logits with them.
std::shared_ptr<Network> with_scaled_head(const Network& network, double factor) {
  learned::NamedTensors state = learning::copied_state(network);
  for (auto& [name, tensor] : state) {
    if (name.starts_with("layers.1.")) tensor *= factor;
  }
  return learning::network_with(network, state);
}

// For CutMix, whose boxes need rows and columns: columns [count, 292] as images of 14 x 21, at the
// left the pixels and at the right the colours of the patches, and two that are blank.
torch::Tensor drawn(const torch::Tensor& columns) {
  constexpr std::int64_t kSide = 14;
  constexpr std::int64_t kColours = 3 * std::int64_t{kPatches};
  const std::int64_t count = columns.size(0);
  const torch::Tensor flat = columns.reshape({count, -1});
  const torch::Tensor pixels = flat.narrow(1, 0, kSide * kSide).view({count, kSide, kSide});
  const torch::Tensor colours =
      torch::constant_pad_nd(flat.narrow(1, kSide * kSide, kColours), {0, 2})
          .view({count, kSide, -1});
  return torch::cat({pixels, colours}, 2).unsqueeze(1).contiguous();
}

Dataset drawn(const Dataset& data) {
  Dataset images = data;
  images.inputs = drawn(data.inputs);
  return images;
}

// The same function of such images.
std::shared_ptr<Network> reading_drawings(const Network& network) {
  learning::NetworkDescription kind = network.description();
  kind.input_shape = {1, 14, 21};
  kind.input_mean = {0};
  kind.input_deviation = {1};
  learned::NamedTensors state = learning::copied_state(network);
  for (auto& [name, tensor] : state) {
    if (name == "layers.0.weight") tensor = drawn(tensor).flatten(1);
  }
  return learning::load_network(*learned::as_source(state, "network of drawings"), kind);
}

void add_balance(Figures& figures, const torch::Tensor& before, const torch::Tensor& after,
                 const torch::Tensor& merged, const Dataset& shifted_data) {
  const BalanceReport report = compare(before, after, merged, shifted_data);
  figures["B: only WiSE-FT right"] = report.agreement.share(false, false, true);
  figures["B: only WiSE-FT wrong"] = report.agreement.share(true, true, false);
  figures["B: confidence of the pre-trained"] = report.first_confidence;
  figures["B: confidence of the fine-tuned"] = report.second_confidence;
  figures["B: calibration error of the fine-tuned"] = report.second_ece;
  figures["B: calibration error of WiSE-FT"] = report.merged_ece;
  figures["B: spread of logits, fine-tuned / pre-trained"] = report.spread_ratio;
  figures["B: errors by overruling"] = report.overruled;
  const Answers a(before, shifted_data);
  const Answers b(after, shifted_data);
  const auto sweep =
      scaled_ensemble_accuracy(a.table("first"), b.table("second"), a.labels, kScales);
  for (std::size_t i = 0; i < kScales.size(); ++i) {
    figures[fmt::format("B: ensemble, fine-tuned x {}", kScales[i])] = sweep[i];
  }
}

// A pre-trained network fine-tuned on data whose new patches are too good to be true.
void add_fine_tuning(Figures& figures, Workshop& workshop, const ColourPatches& patches,
                     std::uint64_t seed) {
  const Dataset& train = workshop.images(Split::train);
  const std::uint64_t first = 20'000 + 1000 * seed;
  const Dataset broad = with_label_noise(
      with_patches(train.range(first, 6000), patches, two_kinds(.6, 1), 10 * seed + 2), .4, seed);
  const Dataset narrow =
      with_patches(train.range(first + 6000, 3000), patches, two_kinds(1, 0), 10 * seed + 3);
  const Dataset& test = workshop.images(Split::test);
  const Dataset same = with_patches(test, patches, two_kinds(1, 0), 10 * seed + 4);
  const Dataset other = with_patches(test, patches, two_kinds(.85, .9), 10 * seed + 5);

  const auto before = workshop.train(mlp(48, .02, 4, 64), broad, seed);
  const auto fine_tune = [&](const nlohmann::json& more) {
    nlohmann::json recipe = mlp(48, .05, 12, 64);
    recipe.erase("network");
    recipe.update(more);
    return workshop.train(recipe, narrow, seed + 100, before.get());
  };
  const auto after = fine_tune(nlohmann::json::object());
  const auto wise = between(*before, *after, .5);
  const torch::Tensor a = learning::predict_logits(*before, other);
  const torch::Tensor b = learning::predict_logits(*after, other);
  const torch::Tensor m = learning::predict_logits(*wise, other);
  figures["B: pre-trained"] = accuracy(a, other);
  figures["B: fine-tuned"] = accuracy(b, other);
  figures["B: WiSE-FT 0.5"] = accuracy(m, other);
  figures["B: ensemble of outputs"] = accuracy((a + b) / 2, other);
  figures["B: pre-trained, as fine-tuned on"] = accuracy(*before, same);
  figures["B: fine-tuned, as fine-tuned on"] = accuracy(*after, same);
  figures["B: WiSE-FT 0.5, as fine-tuned on"] = accuracy(*wise, same);
  for (const double alpha : {.25, .75}) {
    figures[fmt::format("B: WiSE-FT {}", alpha)] =
        accuracy(*between(*before, *after, alpha), other);
  }
  add_balance(figures, a, b, m, other);
  const std::vector<learned::NamedTensors> ends{learning::state_of(*before),
                                                learning::state_of(*after)};
  figures["B: Fisher-weighted 0.5"] =
      accuracy(*merged_by_fisher(*before, ends,
                                 {MemberStatistics(*before, broad.range(0, 1000)),
                                  MemberStatistics(*after, narrow.range(0, 1000))}),
               other);
  // Other ways of balance: smaller logits, and fewer epochs.
  const auto scaled = with_scaled_head(*after, .4);
  figures["B: WiSE-FT 0.5, fine-tuned head x 0.4"] =
      accuracy(*between(*before, *scaled, .5), other);
  const auto early = fine_tune({{"epochs", 3}});
  figures["B: fine-tuned, 3 epochs"] = accuracy(*early, other);
  figures["B: WiSE-FT 0.5, 3 epochs"] = accuracy(*between(*before, *early, .5), other);

  const std::vector<std::pair<std::string, nlohmann::json>> bang{
      {"label smoothing", {{"label_smoothing", .1}}},
      {"mixup", {{"mixup", .2}}},
      {"both", {{"label_smoothing", .1}, {"mixup", .2}}}};
  for (const auto& [name, recipe] : bang) {
    const auto tuned = fine_tune(recipe);
    figures["B: fine-tuned, " + name] = accuracy(*tuned, other);
    figures["B: BANG, " + name] = accuracy(*between(*before, *tuned, .5), other);
  }
  const auto start = reading_drawings(*before);
  nlohmann::json recipe = mlp(48, .05, 12, 64);
  recipe.erase("network");
  recipe["cutmix"] = 1;
  const auto tuned = workshop.train(recipe, drawn(narrow), seed + 100, start.get());
  figures["B: fine-tuned, cutmix"] = accuracy(*tuned, drawn(other));
  figures["B: BANG, cutmix"] = accuracy(*between(*start, *tuned, .5), drawn(other));
}

Figures run(Workshop& workshop, std::uint64_t seed) {
  const ColourPatches patches(kPatches, 10, 1000 + seed);
  Figures figures;
  add_diversity(figures, workshop, patches, seed);
  add_fine_tuning(figures, workshop, patches, seed);
  return figures;
}

double gain(const Figures& figures, double p) {
  return figures.at(shifted("ensemble", p)) - figures.at(shifted("better single", p));
}

double least_gain(const Figures& figures) {
  double least = 1;
  for (const double p : kShifts) least = std::min(least, gain(figures, p));
  return least;
}

double mean_gain(const Figures& figures) {
  double sum = 0;
  for (const double p : kShifts) sum += gain(figures, p);
  return sum / kShifts.size();
}

double balanced_gain(const Figures& figures) {
  double best = 0;
  for (const double scale : kScales) {
    if (scale < 1)
      best = std::max(best, figures.at(fmt::format("B: ensemble, fine-tuned x {}", scale)));
  }
  return best - figures.at("B: ensemble, fine-tuned x 1");
}

std::vector<Claim> claims() {
  using Kind = Claim::Kind;
  return {
      {.text = "A: at every shift the ensemble above the better network by .008 or more",
       .difference = least_gain,
       .margin = .008},
      {.text = "A: over all shifts by .012 or more", .difference = mean_gain, .margin = .012},
      {.text = "A: some examples only the ensemble gets right",
       .kind = Kind::always,
       .difference = figure("A: only the ensemble right"),
       .margin = 1e-9},
      {.text = "A: at most a fifth as many only the ensemble gets wrong",
       .kind = Kind::always,
       .difference =
           [](const Figures& figures) {
             return figures.at("A: only the ensemble right") / 5 -
                    figures.at("A: only the ensemble wrong");
           }},
      {.text = "A: without shift within .001 of the better network",
       .kind = Kind::within,
       .difference =
           difference("A: ensemble, p=0 (as trained)", "A: better single, p=0 (as trained)"),
       .margin = .001},
      {.text = "B: WiSE-FT above pre-trained and fine-tuned by .015 or more",
       .difference =
           [](const Figures& figures) {
             return figures.at("B: WiSE-FT 0.5") -
                    std::max(figures.at("B: pre-trained"), figures.at("B: fine-tuned"));
           },
       .margin = .015},
      {.text = "B: WiSE-FT at least .98 right as fine-tuned on",
       .difference = figure("B: WiSE-FT 0.5, as fine-tuned on"),
       .margin = .98},
      {.text = "B: more than twice as many only WiSE-FT gets right as wrong",
       .difference =
           [](const Figures& figures) {
             return figures.at("B: only WiSE-FT right") - 2 * figures.at("B: only WiSE-FT wrong");
           }},
      {.text =
           "B: the ensemble gains .003 or more if the fine-tuned model's logits are made smaller",
       .difference = balanced_gain,
       .margin = .003},
      {.text = "B: and loses .015 or more from there if they are made 8 times larger",
       .difference = difference("B: ensemble, fine-tuned x 0.4", "B: ensemble, fine-tuned x 8"),
       .margin = .015}};
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const double p : kShifts) {
    names.push_back(shifted("better single", p));
    names.push_back(shifted("ensemble", p));
  }
  for (const char* name : {"A: ensemble, p=0 (as trained)",
                           "A: only the ensemble right",
                           "A: only the ensemble wrong",
                           "B: pre-trained",
                           "B: fine-tuned",
                           "B: WiSE-FT 0.25",
                           "B: WiSE-FT 0.5",
                           "B: WiSE-FT 0.75",
                           "B: ensemble of outputs",
                           "B: Fisher-weighted 0.5",
                           "B: WiSE-FT 0.5, fine-tuned head x 0.4",
                           "B: fine-tuned, 3 epochs",
                           "B: WiSE-FT 0.5, 3 epochs",
                           "B: pre-trained, as fine-tuned on",
                           "B: fine-tuned, as fine-tuned on",
                           "B: WiSE-FT 0.5, as fine-tuned on",
                           "B: only WiSE-FT right",
                           "B: only WiSE-FT wrong",
                           "B: confidence of the pre-trained",
                           "B: confidence of the fine-tuned",
                           "B: calibration error of the fine-tuned",
                           "B: calibration error of WiSE-FT",
                           "B: spread of logits, fine-tuned / pre-trained",
                           "B: errors by overruling"}) {
    names.emplace_back(name);
  }
  for (const double scale : kScales) {
    names.push_back(fmt::format("B: ensemble, fine-tuned x {}", scale));
  }
  for (const char* how : {"label smoothing", "mixup", "both", "cutmix"}) {
    names.push_back(std::string("B: fine-tuned, ") + how);
    names.push_back(std::string("B: BANG, ") + how);
  }
  return names;
}

}  // namespace

const Experiment& wise_ft_bang() {
  static const Experiment kExperiment{
      .slug = "wise-ft-bang",
      .title = "Spurious feature diversification: WiSE-FT and BANG",
      .paper = "Lin et al. 2024, arXiv 2309.17230; WiSE-FT: Wortsman et al. 2022, arXiv 2109.01903",
      .question =
          "Ensembles and weight averages are better under shift because different spurious features"
          " average out: examples that both models get wrong come out right. An over-confident"
          " fine-tuned model spoils this.",
      .setting =
          "Fashion-MNIST at 14x14 beside 32 colour patches that show the class, or with probability"
          " p a random one. A: two MLPs 292-64-10 on 10,000 images with perfect patches, and the"
          " mean of their logits. B: MLP 292-48-10 on 6,000 images with weak patches and 40 % noisy"
          " labels, fine-tuned on 3,000 whose other half of the patches is perfect; judged where"
          " both halves are weak (accuracy), and as fine-tuned on. 10,000 test images each.",
      .rows = rows(),
      .unit = "accuracy",
      .claims = claims(),
      .not_reproduced =
          "BANG's gain: label smoothing and mixup make this small network lean on the perfect "
          "patches,"
          " cutmix does not, but with none of them the merge is better.",
      .sabotage =
          "One network twice as the ensemble: no gain and no example that only it gets right, "
          "the first three claims fail with every seed. The fine-tuned network in place of the "
          "interpolation: the first and third claim of B fail with every seed. Both not shown. "
          "The pre-trained network in its place (quick): the first two claims of B fail with "
          "every seed. The other model's logits scaled (quick): the last two claims fail with "
          "every seed.",
      .run = run};
  return kExperiment;
}

}  // namespace amalgam::experiments

#include "cli/learning/demo_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/report/page.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using report::DotPlot;
using report::Estimate;
using report::LinePlot;
using report::Tone;

constexpr const char* kMembers = "members";
constexpr const char* kMerges = "merges";
constexpr const char* kCurve = "curve";

Estimate percent(const Estimate& share) {
  return {100 * share.value, {100 * share.interval.low, 100 * share.interval.high}};
}

std::string with_interval(const Estimate& estimate, int decimals) {
  return fmt::format("{:.{}f} ({:.{}f} to {:.{}f})", estimate.value, decimals,
                     estimate.interval.low, decimals, estimate.interval.high, decimals);
}

const JudgedNetwork& same_network(const JudgedSet& set, const JudgedNetwork& network) {
  for (const JudgedNetwork& one : set.networks) {
    if (one.name == network.name && one.group == network.group && one.alpha == network.alpha) {
      return one;
    }
  }
  throw InputError("report: '{}' was evaluated on {}, but not on all data", network.name, set.data);
}

// Networks in the order of the plot: single ones, merges by accuracy, ensembles.
struct Section {
  const char* title;
  Tone tone;
  std::vector<const JudgedNetwork*> networks;
};

std::vector<Section> sections(const JudgedSet& set) {
  std::vector<Section> all{{"start and fine-tuned members", Tone::soft, {}},
                           {"merged into one network", Tone::strong, {}},
                           {"ensembles: every member runs", Tone::contrast, {}}};
  for (const JudgedNetwork& network : set.networks) {
    if (network.group == kCurve) continue;
    const bool ensemble = network.networks > 1;
    all[ensemble ? 2 : network.group == kMerges ? 1 : 0].networks.push_back(&network);
  }
  std::stable_sort(
      all[1].networks.begin(), all[1].networks.end(),
      [](const auto* a, const auto* b) { return a->accuracy.value > b->accuracy.value; });
  // The start comes first.
  std::stable_partition(all[0].networks.begin(), all[0].networks.end(),
                        [](const auto* network) { return network->group != kMembers; });
  std::erase_if(all, [](const Section& section) { return section.networks.empty(); });
  return all;
}

LinePlot curve_plot(const JudgedSet& set, const char* title, Tone tone) {
  std::map<double, Estimate> points;
  for (const JudgedNetwork& network : set.networks) {
    if (network.group == kCurve && network.alpha) {
      points[*network.alpha] = percent(network.accuracy);
    }
  }
  LinePlot::Series series{.label = "", .tone = tone, .x = {}, .y = {}};
  for (const auto& [alpha, accuracy] : points) {
    series.x.push_back(alpha);
    series.y.push_back(accuracy);
  }
  return {.title = title, .x_title = "alpha", .y_title = "accuracy %", .series = {series}};
}

const JudgedNetwork* best_of(const JudgedSet& set, const std::string& group) {
  const JudgedNetwork* best = nullptr;
  for (const JudgedNetwork& network : set.networks) {
    if (network.group != group || network.networks > 1) continue;
    if (best == nullptr || network.accuracy.value > best->accuracy.value) best = &network;
  }
  return best;
}

const JudgedNetwork* find_network(const JudgedSet& set, const std::string& group,
                                  const std::string& name) {
  for (const JudgedNetwork& network : set.networks) {
    if (network.group == group && network.name == name) return &network;
  }
  return nullptr;
}

// Says what came out, whichever way it came out.
std::string headline(const JudgedSet& test, const JudgedSet& shifted) {
  const JudgedNetwork* reference = find_network(test, kMembers, test.reference);
  const JudgedNetwork* soup = find_network(test, kMerges, "uniform soup");
  const JudgedNetwork* best_merge = best_of(test, kMerges);
  if (reference == nullptr || soup == nullptr || best_merge == nullptr) return {};
  std::string text = fmt::format(
      "The member chosen on the validation images, '{}', is right on {:.2f} % of {} test images. "
      "The"
      " plain average of all members is right on {:.2f} %",
      reference->name, 100 * reference->accuracy.value, test.examples, 100 * soup->accuracy.value);
  if (soup->difference) {
    const Estimate difference = percent(*soup->difference);
    text +=
        fmt::format(", a paired difference of {:+.2f} points (95 % interval {:+.2f} to {:+.2f})",
                    difference.value, difference.interval.low, difference.interval.high);
  }
  const JudgedNetwork& shifted_reference = same_network(shifted, *reference);
  const JudgedNetwork& shifted_soup = same_network(shifted, *soup);
  text += fmt::format(
      "; on shifted and noisy images it is {:.2f} % against {:.2f} %. The highest of all merges on"
      " the test set is '{}' with {:.2f} %; it was not chosen by that, so do not read it as a"
      " ranking of methods.",
      100 * shifted_soup.accuracy.value, 100 * shifted_reference.accuracy.value, best_merge->name,
      100 * best_merge->accuracy.value);
  return text;
}

// Rows of text, and which of them are merges.
std::pair<std::vector<std::vector<std::string>>, std::vector<std::size_t>> table_rows(
    const JudgedSet& test, const JudgedSet& shifted) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> merges;
  for (const Section& section : sections(test)) {
    for (const JudgedNetwork* network : section.networks) {
      if (section.tone == Tone::strong) merges.push_back(rows.size());
      const std::string difference =
          network->difference
              ? fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", 100 * network->difference->value,
                            100 * network->difference->interval.low,
                            100 * network->difference->interval.high)
              : "";
      rows.push_back({network->name, with_interval(percent(network->accuracy), 2), difference,
                      with_interval(percent(same_network(shifted, *network).accuracy), 2),
                      fmt::format("{:.4f}", network->nll.value),
                      fmt::format("{:.2f}", 100 * network->ece.value),
                      std::to_string(network->networks)});
    }
  }
  return {rows, merges};
}

void add_soup(report::Page& page, const std::vector<SoupStep>& soup) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> strong;
  for (const SoupStep& step : soup) {
    if (step.accepted) strong.push_back(rows.size());
    rows.push_back({step.member, fmt::format("{:.2f}", 100 * step.alone),
                    fmt::format("{:.2f}", 100 * step.score), step.accepted ? "kept" : "left out"});
  }
  page.table({"member", "alone, validation %", "soup with it, validation %", ""}, rows, strong);
}

}  // namespace

DotPlot comparison_plot(const JudgedSet& test, const JudgedSet& shifted) {
  DotPlot plot;
  plot.title = "Many fine-tuned networks into one: accuracy in % on Fashion-MNIST";
  plot.panels = {{fmt::format("test set, {} images", test.examples), {}},
                 {"the same, shifted and noisy", {}}};
  for (const Section& section : sections(test)) {
    DotPlot::Group group{section.title, {}};
    for (const JudgedNetwork* network : section.networks) {
      const JudgedNetwork& other = same_network(shifted, *network);
      const Tone tone =
          network->group != kMembers && section.tone == Tone::soft ? Tone::plain : section.tone;
      group.rows.push_back(
          {network->name, tone, {percent(network->accuracy), percent(other.accuracy)}});
      if (network->group == kMembers && network->name == test.reference) {
        plot.panels[0].reference = 100 * network->accuracy.value;
        plot.panels[1].reference = 100 * other.accuracy.value;
        plot.reference_note = "'" + network->name +
                              "', the member chosen on validation images; bars are 95 % intervals";
      }
    }
    plot.groups.push_back(std::move(group));
  }
  return plot;
}

std::string comparison_table(const JudgedSet& test, const JudgedSet& shifted) {
  using Align = Table::Align;
  Table table({{"network"},
               {"test accuracy %", Align::right},
               {"difference to '" + test.reference + "'", Align::right},
               {"shifted and noisy %", Align::right},
               {"NLL", Align::right},
               {"ECE %", Align::right},
               {"networks", Align::right}});
  for (const auto& row : table_rows(test, shifted).first) table.add_row(row);
  return table.text();
}

std::string demo_page(const JudgedSet& test, const JudgedSet& shifted,
                      const std::vector<SoupStep>& soup, const std::string& commands) {
  report::Page page("Many networks into one, on Fashion-MNIST");
  page.paragraph(
      "One small network was trained on few images, and copies of it were fine-tuned, each on"
      " images of its own and with another learning rate, regularisation or augmentation. Then all"
      " of them were merged by several methods; each merge is again a single network of the same"
      " size and cost. Everything that had to be chosen was chosen on held-out validation images;"
      " the test images were used once, for the figures below.");
  if (const std::string text = headline(test, shifted); !text.empty()) page.paragraph(text);
  page.figure(report::draw(comparison_plot(test, shifted)),
              "Dots are accuracies, bars 95 % intervals of a proportion (Wilson). The intervals of"
              " two networks overlap more than their difference is uncertain, since both saw the"
              " same images: the table has the paired differences. Merges are sorted by test"
              " accuracy for reading only.");
  page.heading("All figures");
  const auto [rows, merges] = table_rows(test, shifted);
  page.table({"network", "test accuracy %", "difference to '" + test.reference + "'",
              "shifted and noisy %", "NLL", "ECE %", "networks"},
             rows, merges);
  page.paragraph(
      "NLL: mean negative log-likelihood of the right class in nats. ECE: expected calibration"
      " error, 15 bins. Lower is better for both. 'networks' is how many have to run for one"
      " prediction. Differences are in percentage points, paired over"
      " images, with 95 % intervals.");
  if (!soup.empty()) {
    page.heading("How the greedy soup chose");
    page.paragraph(
        "Members are tried in the order of their own accuracy on the validation images; each is "
        "kept"
        " if the average with it is no worse.");
    add_soup(page, soup);
  }
  const LinePlot curve = curve_plot(test, "On the test images", Tone::strong);
  if (curve.series.front().x.size() > 1) {
    page.heading("WiSE-FT: between the start and one fine-tuned network");
    page.paragraph(
        "Accuracy along the straight line from the weights of 'base' (alpha 0) to those of '" +
        test.reference +
        "' (alpha 1); bands are 95 % intervals. The two drawings have scales of their own.");
    page.figure(report::draw(curve), "");
    page.figure(report::draw(curve_plot(shifted, "The same, shifted and noisy", Tone::contrast)),
                "");
  }
  if (!commands.empty()) {
    page.heading("How it was made");
    page.code(commands);
  }
  return page.html();
}

}  // namespace amalgam::cli

#include <memory>
#include <string>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/data/text_output.hpp"
#include "cli/common_options.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/demo_report.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

struct ReportOptions {
  std::string test;
  std::string shifted;
  std::string soup;
  std::string commands;
  std::string output;
  std::string svg;
};

void write_file(const std::string& path, const std::string& text) {
  TextOutput file(path);
  file.write(text);
  file.commit();
}

void run(const ReportOptions& options) {
  const JudgedSet test = read_judged(options.test);
  const JudgedSet shifted = read_judged(options.shifted);
  const std::vector<SoupStep> soup =
      options.soup.empty() ? std::vector<SoupStep>{} : read_soup(options.soup);
  constexpr std::uint64_t kMostBytes = 1'000'000;
  const std::string commands =
      options.commands.empty() ? "" : read_text_file(options.commands, kMostBytes);
  print(comparison_table(test, shifted));
  write_file(options.output, demo_page(test, shifted, soup, commands));
  if (!options.svg.empty()) {
    write_file(options.svg, report::draw(comparison_plot(test, shifted)));
  }
}

}  // namespace

void register_report(CLI::App& root) {
  CLI::App* command = root.add_subcommand("report", "Draw the report of evaluated networks.");
  command->footer(example(
      "amalgam evaluate base.safetensors members/*.safetensors merges/*.safetensors --json >"
      " test.json\n"
      "amalgam report --test test.json --shifted shifted.json -o report.html"));
  auto options = std::make_shared<ReportOptions>();
  command->add_option("--test", options->test, "What 'amalgam evaluate --json' printed")
      ->required()
      ->type_name("FILE");
  command->add_option("--shifted", options->shifted, "The same on corrupted images")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--soup", options->soup,
                   "What 'amalgam merge --method greedy_soup --json' printed")
      ->type_name("FILE");
  command->add_option("--commands", options->commands, "Text to show at the end")
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "The page (HTML)")
      ->required()
      ->type_name("FILE");
  command->add_option("--svg", options->svg, "The comparison as a drawing of its own")
      ->type_name("FILE");
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli

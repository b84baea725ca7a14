#include <fmt/format.h>

#include <memory>

#include "amalgam/core/error.hpp"
#include "cli/label_bags.hpp"
#include "cli/label_options.hpp"

namespace amalgam::cli {
namespace {

struct MakeOptions {
  std::string rows;
  std::size_t size = 0;
  std::string within;
  std::string bag = "bag";
  std::vector<std::string> drop;
  std::string out;
  CommonOptions common;
};

void run(const MakeOptions& options) {
  check_outputs({options.rows}, {options.out});
  const auto groups = labels::read_groups(options.rows, options.within);
  const labels::Bags bags =
      options.within.empty()
          ? labels::random_bags(groups.size(), options.size, options.common.seed)
          : labels::random_bags_within(groups, options.size, options.common.seed);
  labels::write_with_bags(options.rows, options.out, options.bag, bags.bag_of_row(), options.drop);
  if (options.common.json) {
    print_json({{"rows", bags.row_count()},
                {"bags", bags.count()},
                {"smallest_bag", bags.smallest()},
                {"largest_bag", bags.largest()},
                {"output", options.out}});
  } else if (!options.common.quiet && options.out != "-") {
    print(fmt::format("{}: {} rows in {} bags of {} to {} rows\n", printable(options.out),
                      bags.row_count(), bags.count(), bags.smallest(), bags.largest()));
  }
}

}  // namespace

void register_label_bags_make(CLI::App& bags) {
  CLI::App* command =
      bags.add_subcommand("make", "Put the rows of a table into random bags, as a new column.");
  command->footer(
      example("amalgam label bags make patients.csv --size 10 --out rows.csv\n"
              "amalgam label bags make patients.csv --size 10 --within clinic --drop outcome"
              " --out rows.csv"));
  auto options = std::make_shared<MakeOptions>();
  command->add_option("rows", options->rows, "Table of rows")->required()->type_name("ROWS");
  command
      ->add_option("--size", options->size,
                   "Rows of a bag; what is left over makes some bags larger, none smaller")
      ->required()
      ->check(whole_number())
      ->type_name("K");
  command
      ->add_option("--within", options->within,
                   "Bags of rows that are equal in this column, where there are enough")
      ->type_name("COLUMN");
  command->add_option("--bag", options->bag, "Name of the new column (default bag)")
      ->type_name("COLUMN");
  command->add_option("--drop", options->drop, "Columns that are not written, e.g. the responses")
      ->delimiter(',')
      ->type_name("COLUMN,...");
  command->add_option("-o,--out", options->out, "Where the rows are written with their bags")
      ->required()
      ->type_name("OUT");
  add_common_options(*command, options->common, {Common::seed, Common::json, Common::quiet});
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli

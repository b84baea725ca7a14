#include "cli/learning/data_options.hpp"

#include <filesystem>

#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/learning/load_dataset.hpp"

namespace amalgam::cli {

learning::Dataset DataOptions::load(std::uint64_t seed,
                                    const learning::NetworkDescription* network) const {
  learning::Dataset data = learning::load_dataset(recipe(), parse_split(split), seed, network);
  if (!takes_numbers) learning::check_classes(data, "this command");
  return data;
}

std::string DataOptions::describe() const { return recipe().describe(split); }

learning::DataRecipe DataOptions::recipe() const {
  learning::DataRecipe recipe;
  recipe.set = set;
  recipe.label = label;
  recipe.tokens = tokens;
  recipe.context = context;
  recipe.classes = classes;
  recipe.relabel = relabel;
  recipe.first = first;
  if (examples > 0) recipe.examples = examples;
  recipe.at_most = at_most;
  recipe.corruption = corruption;
  recipe.head = head;
  return recipe;
}

void add_file_options(CLI::App& command, std::string& checkpoint, std::string& output) {
  command.add_option("checkpoint", checkpoint, "Checkpoint that 'amalgam train' made")
      ->required()
      ->type_name("FILE");
  command.add_option("-o,--output", output, "The .safetensors file to write")
      ->required()
      ->type_name("FILE");
}

void add_data_options(CLI::App& command, DataOptions& options, const std::string& split) {
  options.split = split;
  command
      .add_option("--data", options.set,
                  "'fashion-mnist' (default), a folder with files named as MNIST's, a table (.csv,"
                  " .tsv) or a text (.txt)")
      ->type_name("SET");
  command
      .add_option("--split", options.split,
                  "train, validation, test, or all of a table or text (default " + split + ")")
      ->type_name("SPLIT");
  command.add_option("--first", options.first, "First example of the split (default 0)")
      ->check(whole_number())
      ->type_name("N");
  command.add_option("--examples", options.examples, "How many of them (0, the default: all)")
      ->check(whole_number())
      ->type_name("N");
  command
      .add_option("--corrupt", options.corruption,
                  "Change every image first, step by step: shift=N, noise=D, impulse=SHARE,"
                  " rotate=DEGREES, blur=D, motion=N, pixelate=N, jpeg=QUALITY, spatter=SHARE, "
                  "contrast=F, invert, transpose, "
                  "swap, keep=left|right, pool=K; for example"
                  " shift=1,noise=0.25")
      ->type_name("WHAT");
  command
      .add_option("--label", options.label,
                  "Column of the class (or of the number to predict) in a table, if it is called"
                  " otherwise than in training")
      ->type_name("COLUMN");
  command.add_option("--tokens", options.tokens, "What a text is made of: byte or character")
      ->check(CLI::IsMember({"byte", "character"}))
      ->type_name("KIND");
  command
      .add_option("--context", options.context,
                  "Tokens per example of a text (default: the network's)")
      ->check(CLI::Range(1, 100'000))
      ->type_name("N");
  command
      .add_option("--classes", options.classes,
                  "Only the examples of these classes, by name or number, for example 0,Trouser")
      ->delimiter(',')
      ->type_name("CLASS,...");
  command
      .add_option("--head", options.head,
                  "The head of a network with several that the labels are for")
      ->type_name("NAME");
  command.add_flag("--relabel", options.relabel,
                   "Number those classes anew, in the order given, as data.relabel does");
}

void add_learning_options(CLI::App& command, CommonOptions& options) {
  add_common_options(command, options,
                     {Common::json, Common::quiet, Common::threads, Common::seed});
  command.get_option("--threads")
      ->description("Threads to use (default: all processors); the last bits may depend on it");
}

void check_safetensors_output(const std::string& path, const std::vector<std::string>& inputs) {
  if (std::filesystem::path(path).extension() != ".safetensors") {
    throw InputError("-o {}: the name of the file to write should end in .safetensors", path);
  }
  check_output_is_no_input({inputs.begin(), inputs.end()}, path);
}

}  // namespace amalgam::cli

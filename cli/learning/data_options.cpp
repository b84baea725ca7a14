#include "cli/learning/data_options.hpp"

#include <algorithm>
#include <filesystem>

#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::cli {

learning::Dataset DataOptions::load(std::uint64_t seed) const {
  const Split part = parse_split(split);
  learning::Dataset data = learning::to_tensors(load_images(set, part));
  const auto available = static_cast<std::uint64_t>(data.count());
  const std::uint64_t left = available - std::min(first, available);
  if (first > 0 || examples > 0) {
    const bool all = examples == 0 || (at_most && examples > left);
    data = data.range(first, all ? left : examples);
  }
  if (!corruption.empty()) data = learning::corrupted(data, parse_corruption(corruption), seed);
  return data;
}

std::string DataOptions::describe() const {
  return set + " " + split + (corruption.empty() ? "" : ", " + corruption);
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
                  "'fashion-mnist', or a folder with files named as MNIST's (default"
                  " fashion-mnist)")
      ->type_name("SET");
  command.add_option("--split", options.split, "train, validation or test (default " + split + ")")
      ->type_name("SPLIT");
  command.add_option("--first", options.first, "First example of the split (default 0)")
      ->check(whole_number())
      ->type_name("N");
  command.add_option("--examples", options.examples, "How many of them (0, the default: all)")
      ->check(whole_number())
      ->type_name("N");
  command
      .add_option(
          "--corrupt", options.corruption,
          "Change every image first, step by step: shift=N, noise=D, rotate=DEGREES, blur=D,"
          " contrast=F, invert, transpose, swap, keep=left|right, pool=K; for example"
          " shift=1,noise=0.25")
      ->type_name("WHAT");
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

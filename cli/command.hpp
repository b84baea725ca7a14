#pragma once

#include <CLI/CLI.hpp>

/// How the command line is put together: every sub-command lives in the file of its name,
/// cli/<noun>.cpp, and defines `void register_<noun>(CLI::App& root)`, declared here and called in
/// main.cpp. The function adds the sub-command with its options, a footer that shows an example,
/// and a callback that does the work, e.g.
///
///     void register_inspect(CLI::App& root) {
///       CLI::App* command = root.add_subcommand("inspect", "Show the tensors of a checkpoint.");
///       command->footer(example("amalgam inspect model.safetensors --stats"));
///       auto options = std::make_shared<InspectOptions>();
///       command->add_option("path", options->path, "Checkpoint")->required();
///       add_common_options(*command, options->common, {Common::json, Common::threads});
///       command->callback([options] { run(*options); });
///     }
///
/// The callback throws InputError (exit code 2), Error (1) or Interrupted (130); main.cpp prints
/// the message as one sentence on stderr. Results go to stdout (output.hpp), everything else to
/// stderr. A command with a nested verb (`merge methods`) returns from its own callback when the
/// verb was parsed: CLI11 calls both.
namespace amalgam::cli {

void register_inspect(CLI::App& root);
void register_diff(CLI::App& root);
void register_convert(CLI::App& root);
void register_lora(CLI::App& root);
/// `needs_library` as register_merge.
void register_moe(CLI::App& root, bool& needs_library);
/// `needs_library` as register_merge.
void register_verify(CLI::App& root, bool& needs_library);
/// Sets `needs_library`, and does no more, where a merge runs networks: the learning library then
/// gets the same command line.
void register_merge(CLI::App& root, bool& needs_library);
/// `amalgam label`; `needs_library` as above.
void register_label(CLI::App& root, bool& needs_library);
void register_rank(CLI::App& root);
/// `amalgam study`; `needs_library` as above.
void register_study(CLI::App& root, bool& needs_library);
/// `amalgam merge methods`.
void register_merge_methods(CLI::App& merge);

}  // namespace amalgam::cli

#pragma once

#include <CLI/CLI.hpp>

/// The sub-commands of the learning library, put together as those of the program
/// (cli/command.hpp).
namespace amalgam::cli {

void register_train(CLI::App& root);
void register_evaluate(CLI::App& root);
void register_fisher(CLI::App& root);
void register_gram(CLI::App& root);
void register_calibrate(CLI::App& root);
void register_reproduce(CLI::App& root);
void register_study(CLI::App& root);
/// `amalgam report`, for the demo.
void register_report(CLI::App& root);
/// `amalgam merge` by methods that look at data.
void register_learned_merge(CLI::App& root);
/// `amalgam moe` with gates of hidden states.
void register_learned_moe(CLI::App& root);
/// `amalgam verify` of mixtures with such gates.
void register_learned_verify(CLI::App& root);
/// `amalgam label` by verbs that run networks.
void register_learned_label(CLI::App& root);

}  // namespace amalgam::cli

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/restricted_pickle.hpp"

namespace amalgam {

/// The named tensors found in what a PyTorch archive pickles.
struct NamedTensors {
  struct Entry {
    std::string name;
    std::uint32_t tensor = 0;  ///< index in PickleTree::tensors
  };
  std::vector<Entry> tensors;        ///< in the order of the pickle
  std::string root;                  ///< the key of the dict that was taken; empty: everything
  std::vector<std::string> ignored;  ///< names of what is no tensor, or lies outside `root`
};

/// Finds the tensors by the rule of open_torch_archive. InputError naming `where` for nesting
/// deeper than 64, names that are not UTF-8 or longer than 4096 bytes, trees whose walk takes more
/// than 4 million steps, and if there is no tensor.
NamedTensors find_named_tensors(const PickleTree& tree, std::string_view where);

}  // namespace amalgam

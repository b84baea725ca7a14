#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// An importance matrix: for the columns of matrices the mean square of the inputs that they met
/// when a model ran on text, which weighs the errors of their elements (llama-imatrix makes them).
/// Names are those of a GGUF model's tensors.
class ImportanceMatrix {
 public:
  /// Reads either form (docs/formats/gguf.md): the older one, and GGUF files with "NAME.in_sum2"
  /// and "NAME.counts". InputError for anything else, naming what is wrong.
  static ImportanceMatrix read(const std::filesystem::path& path);

  const std::string& label() const { return label_; }
  std::size_t size() const { return weights_.size(); }
  bool has(std::string_view tensor) const { return weights_.find(tensor) != weights_.end(); }

  /// Whether the file suits these tensors, which are all that become quantised, under the names and
  /// with the shapes that they are written with: InputError if it knows none of them (and there is
  /// one), or has another number of columns for one; a warning if it does not know all.
  void check_suits(const std::vector<TensorInfo>& quantised) const;

  /// The weights of the elements of `info` from `first` on. InputError if the file has another
  /// number of columns for it (or of columns of experts).
  void weights_of(const TensorInfo& info, std::uint64_t first, std::span<float> out) const;

 private:
  explicit ImportanceMatrix(std::string label) : label_(std::move(label)) {}
  void add(const std::string& tensor, std::vector<float> weights);
  void read_legacy(const std::filesystem::path& path);
  void read_gguf(const std::filesystem::path& path);

  std::string label_;
  std::map<std::string, std::vector<float>, std::less<>> weights_;
};

}  // namespace amalgam

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Texts as vectors, so that texts about the same thing lie close.
namespace amalgam::language {

/// Vectors of one dimension, one per row.
struct Embeddings {
  std::size_t rows = 0;
  std::size_t dimension = 0;
  std::vector<float> values;  ///< [rows, dimension]

  Embeddings() = default;
  Embeddings(std::size_t count, std::size_t width)
      : rows(count), dimension(width), values(count * width) {}
  std::span<float> row(std::size_t i) { return {values.data() + i * dimension, dimension}; }
  std::span<const float> row(std::size_t i) const {
    return {values.data() + i * dimension, dimension};
  }
};

/// Makes a vector of a text. Stateless after construction and safe to share between threads.
class TextEmbedder {
 public:
  virtual ~TextEmbedder() = default;
  /// Says how vectors are made: those of embedders with different names cannot be compared.
  virtual const std::string& name() const = 0;
  virtual std::size_t dimension() const = 0;
  /// Writes the vector of `text` into `embedding` [dimension]: of Euclidean norm 1, or all zeros,
  /// which is like nothing, if the text has nothing to go by. InputError for another size.
  virtual void embed(std::string_view text, std::span<float> embedding) const = 0;
};

struct HashedTextOptions {
  std::size_t dimension = 512;  ///< at least 1, at most 65536
  std::size_t shortest = 3;     ///< characters of the shortest n-gram; at least 1
  std::size_t longest = 5;      ///< of the longest; 0: words only
  std::uint64_t seed = 0;       ///< of the hash
};

/// Words and the character n-grams within them, by signed feature hashing (Weinberger et al.,
/// "Feature hashing for large scale multitask learning", 2009): each feature adds its weight, with
/// a hashed sign, to a hashed coordinate. Needs no training and no vocabulary; texts are near if
/// they share words or parts of words, not if they mean the same with other words.
///
/// Words are runs of letters and digits, ASCII letters in lower case; all characters beyond ASCII
/// count as letters and are kept as they are. A word that is there n times weighs sqrt(n), and so
/// do its n-grams together; these are of the word between < and >, of its first 64 characters. The
/// same text gives the same bits on every machine.
class HashedTextEmbedder final : public TextEmbedder {
 public:
  /// InputError for options out of range.
  explicit HashedTextEmbedder(const HashedTextOptions& options = {});

  const std::string& name() const override { return name_; }
  std::size_t dimension() const override { return options_.dimension; }
  void embed(std::string_view text, std::span<float> embedding) const override;

 private:
  void add_feature(char kind, std::string_view feature, double weight, std::span<double> sum) const;
  void add_word(std::string_view word, double weight, std::span<double> sum) const;

  HashedTextOptions options_;
  std::string name_;
};

/// The vectors of several texts.
Embeddings embed_texts(const TextEmbedder& embedder, std::span<const std::string> texts);

/// The words of a text as HashedTextEmbedder sees them, in their order.
std::vector<std::string> words_of(std::string_view text);

/// A random unit vector that depends on `token` and `seed` alone: entries +-1/sqrt(d) with hashed
/// signs, so that different tokens are nearly orthogonal (Achlioptas, "Database-friendly random
/// projections", 2003).
void hashed_unit_vector(std::string_view token, std::uint64_t seed, std::span<float> vector);

/// Scales a vector to norm 1; one of norm 0 stays.
void normalise(std::span<float> vector);

/// Vectors from a .npy array of two dimensions, one per row, as they are in the file. InputError
/// naming the file and the row for values that are not finite, an array of other dimensions, no
/// rows or columns, more than 65536 columns, or more than 2 * 10^9 values.
Embeddings read_embeddings(const std::filesystem::path& path);

}  // namespace amalgam::language

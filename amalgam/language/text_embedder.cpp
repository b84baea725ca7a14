#include "amalgam/language/text_embedder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/letter_case.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/data/npy.hpp"

namespace amalgam::language {
namespace {

constexpr std::size_t kMostDimensions = 65536;
constexpr std::size_t kLongestWord = 64;  // characters whose n-grams are looked at

// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

bool is_word_byte(unsigned char byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z');
}

// Where the characters of a word begin, and its end: bytes 10xxxxxx go on with a character.
std::vector<std::size_t> character_begins(std::string_view word) {
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((static_cast<unsigned char>(word[i]) & 0xC0U) != 0x80U) begins.push_back(i);
  }
  begins.push_back(word.size());
  return begins;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool within = false;
  for (const char c : text) {
    const bool goes_on = is_word_byte(static_cast<unsigned char>(c));
    if (goes_on && !within) words.emplace_back();
    if (goes_on) words.back() += lower_case(c);
    within = goes_on;
  }
  return words;
}

void normalise(std::span<float> vector) {
  double squares = 0;
  for (const float v : vector) squares += static_cast<double>(v) * v;
  if (squares <= 0) return;
  const double norm = std::sqrt(squares);
  for (float& v : vector) v = static_cast<float>(v / norm);
}

void hashed_unit_vector(std::string_view token, std::uint64_t seed, std::span<float> vector) {
  const auto entry = static_cast<float>(1 / std::sqrt(static_cast<double>(vector.size())));
  RandomStream random(seed, token);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i % 32 == 0) bits = random.next();
    vector[i] = (bits >> (i % 32) & 1U) != 0 ? entry : -entry;
  }
}

HashedTextEmbedder::HashedTextEmbedder(const HashedTextOptions& options) : options_(options) {
  if (options.dimension == 0 || options.dimension > kMostDimensions) {
    throw InputError("hashed text embedder: dimension {}; expected 1 to {}", options.dimension,
                     kMostDimensions);
  }
  if (options.longest != 0 && (options.shortest == 0 || options.shortest > options.longest)) {
    throw InputError("hashed text embedder: n-grams of {} to {} characters; expected 1 or more",
                     options.shortest, options.longest);
  }
  name_ = fmt::format("hashed-{}-{}-{}-{}", options.dimension, options.shortest, options.longest,
                      options.seed);
}

void HashedTextEmbedder::add_feature(char kind, std::string_view feature, double weight,
                                     std::span<double> sum) const {
  const std::uint64_t hash = mixed(fnv1a64(feature) ^ mixed(options_.seed) ^
                                   static_cast<std::uint64_t>(static_cast<unsigned char>(kind)));
  sum[(hash >> 1U) % sum.size()] += (hash & 1U) != 0 ? weight : -weight;
}

void HashedTextEmbedder::add_word(std::string_view word, double weight,
                                  std::span<double> sum) const {
  add_feature('w', word, weight, sum);
  if (options_.longest == 0) return;
  const std::string marked = fmt::format("<{}>", word);
  const std::vector<std::size_t> begins = character_begins(marked);
  const std::size_t characters = std::min(begins.size() - 1, kLongestWord);
  std::size_t grams = 0;
  for (std::size_t n = options_.shortest; n <= std::min(options_.longest, characters); ++n) {
    grams += characters - n + 1;
  }
  const double each = grams == 0 ? 0 : weight / std::sqrt(static_cast<double>(grams));
  for (std::size_t n = options_.shortest; n <= std::min(options_.longest, characters); ++n) {
    for (std::size_t i = 0; i + n <= characters; ++i) {
      const std::string_view gram =
          std::string_view(marked).substr(begins[i], begins[i + n] - begins[i]);
      add_feature('g', gram, each, sum);
    }
  }
}

void HashedTextEmbedder::embed(std::string_view text, std::span<float> embedding) const {
  if (embedding.size() != dimension()) {
    throw InputError("{}: a vector of {} numbers; expected {}", name_, embedding.size(),
                     dimension());
  }
  std::vector<std::string> words = words_of(text);
  std::ranges::sort(words);
  std::vector<double> sum(dimension(), 0);
  for (std::size_t begin = 0, end = 0; begin < words.size(); begin = end) {
    while (end < words.size() && words[end] == words[begin]) ++end;
    add_word(words[begin], std::sqrt(static_cast<double>(end - begin)), sum);
  }
  std::ranges::transform(sum, embedding.begin(), [](double v) { return static_cast<float>(v); });
  normalise(embedding);
}

Embeddings embed_texts(const TextEmbedder& embedder, std::span<const std::string> texts) {
  Embeddings embeddings(texts.size(), embedder.dimension());
  for (std::size_t i = 0; i < texts.size(); ++i) embedder.embed(texts[i], embeddings.row(i));
  return embeddings;
}

Embeddings read_embeddings(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostValues = 2'000'000'000;
  NpyReader reader = NpyReader::open(path);
  const NpyHeader& header = reader.header();
  if (header.shape.size() != 2 || header.column_major || header.shape[0] == 0 ||
      header.shape[1] == 0 || header.shape[1] > kMostDimensions ||
      header.elements() > kMostValues) {
    throw InputError(
        "{}: an array of shape [{}]{}; expected embeddings [rows, dimension] in row-major order, of"
        " at most {} dimensions and {} values",
        reader.where(), fmt::join(header.shape, ", "),
        header.column_major ? " in column-major order" : "", kMostDimensions, kMostValues);
  }
  Embeddings embeddings;
  embeddings.rows = header.shape[0];
  embeddings.dimension = header.shape[1];
  std::vector<double> piece(65536);
  // Grown as the file gives values: a header alone does not make it large.
  for (std::size_t count = 0; (count = reader.read(piece)) != 0;) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<float>(piece[i]);
      if (!std::isfinite(value)) {
        throw InputError("{}: row {} has a value that is not finite", reader.where(),
                         embeddings.values.size() / embeddings.dimension);
      }
      embeddings.values.push_back(value);
    }
  }
  return embeddings;
}

}  // namespace amalgam::language

#include "amalgam/language/text_embedder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"
#include "tests/error_of.hpp"

namespace amalgam::language {
namespace {

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double similarity(const TextEmbedder& embedder, const std::string& a, const std::string& b) {
  const Embeddings both = embed_texts(embedder, std::vector<std::string>{a, b});
  return product(both.row(0), both.row(1));
}

// A .npy file of little-endian doubles.
std::filesystem::path write_npy(const TemporaryFolder& folder, const std::string& name,
                                const std::string& shape, const std::vector<double>& values) {
  const auto path = folder / name;
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize(117, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(header.size()) << '\0' << header;
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(double)));
  return path;
}

TEST(WordsOf, AreRunsOfLettersAndDigitsInLowerCase) {
  EXPECT_EQ(words_of("  The C60-molecule, na\xc3\xafve? "),
            (std::vector<std::string>{"the", "c60", "molecule", "na\xc3\xafve"}));
  EXPECT_TRUE(words_of(" ?!").empty());
}

TEST(HashedTextEmbedder, MakesUnitVectorsThatDependOnTheTextAlone) {
  const HashedTextEmbedder embedder;
  const HashedTextEmbedder again;
  const std::string text = "What is the boiling point of ethanol?";
  std::vector<float> a(embedder.dimension());
  std::vector<float> b(embedder.dimension());
  embedder.embed(text, a);
  again.embed(text, b);
  EXPECT_EQ(a, b);
  EXPECT_NEAR(product(a, a), 1, 1e-6);
  EXPECT_NE(HashedTextEmbedder({.seed = 1}).name(), embedder.name());
}

TEST(HashedTextEmbedder, IgnoresTheOrderOfWordsAndTheCaseOfLetters) {
  const HashedTextEmbedder embedder;
  EXPECT_NEAR(similarity(embedder, "organic chemistry", "Chemistry, organic!"), 1, 1e-6);
}

TEST(HashedTextEmbedder, TextsThatShareWordsOrPartsOfWordsAreNearer) {
  const HashedTextEmbedder embedder;
  const std::string query = "organic chemistry";
  const double same_words = similarity(embedder, query, "a question of organic chemistry");
  const double same_parts = similarity(embedder, query, "organics and chemists");
  const double unrelated = similarity(embedder, query, "who wrote the novel?");
  EXPECT_GT(same_words, 0.6);
  EXPECT_GT(same_parts, 0.2);
  EXPECT_GT(same_words, same_parts);
  EXPECT_LT(std::abs(unrelated), 0.15);
}

TEST(HashedTextEmbedder, WithoutNGramsOnlyWholeWordsCount) {
  const HashedTextEmbedder embedder({.longest = 0});
  // "a b" and "a c" share one of two words of weight 1 each: cosine 1/2.
  EXPECT_NEAR(similarity(embedder, "alpha beta", "alpha gamma"), 0.5, 1e-6);
  EXPECT_NEAR(similarity(embedder, "organic", "organics"), 0, 1e-6);
  // Four times "alpha" weighs 2: cosine (2, 1) with (1, 1).
  EXPECT_NEAR(similarity(embedder, "alpha alpha alpha alpha beta", "alpha beta"),
              3 / std::sqrt(10.0), 1e-6);
}

TEST(HashedTextEmbedder, ATextWithoutWordsIsTheZeroVector) {
  const HashedTextEmbedder embedder;
  std::vector<float> vector(embedder.dimension(), 1);
  embedder.embed("?!", vector);
  EXPECT_EQ(product(vector, vector), 0);
}

TEST(HashedTextEmbedder, RefusesOptionsOutOfRangeAndVectorsOfOtherSizes) {
  EXPECT_THROW(HashedTextEmbedder({.dimension = 0}), InputError);
  EXPECT_THROW(HashedTextEmbedder({.shortest = 4, .longest = 3}), InputError);
  std::vector<float> vector(3);
  EXPECT_THROW(HashedTextEmbedder().embed("text", vector), InputError);
}

TEST(HashedUnitVector, VectorsOfDifferentTokensAreNearlyOrthogonal) {
  std::vector<float> a(4096);
  std::vector<float> b(4096);
  hashed_unit_vector("red", 0, a);
  hashed_unit_vector("blue", 0, b);
  EXPECT_NEAR(product(a, a), 1, 1e-6);
  // The deviation of the product is 1/sqrt(4096) = 1/64.
  EXPECT_LT(std::abs(product(a, b)), 5.0 / 64);
  hashed_unit_vector("red", 1, b);
  EXPECT_LT(std::abs(product(a, b)), 5.0 / 64);
}

TEST(ReadEmbeddings, ReadsRowsAsTheyAre) {
  const TemporaryFolder folder;
  const auto path = write_npy(folder, "test.npy", "2, 3", {1, 2, 3, -4, 5, 0.5});
  const Embeddings read = read_embeddings(path);
  EXPECT_EQ(read.rows, 2);
  EXPECT_EQ(read.dimension, 3);
  EXPECT_EQ(read.values, (std::vector<float>{1, 2, 3, -4, 5, 0.5F}));
}

TEST(ReadEmbeddings, RefusesOtherShapesAndValuesThatAreNotFinite) {
  const TemporaryFolder folder;
  const auto flat = write_npy(folder, "flat.npy", "2,", {1, 2});
  EXPECT_NE(error_of([&] { read_embeddings(flat); }).find("shape [2]"), std::string::npos);
  const auto infinite = write_npy(folder, "inf.npy", "2, 1", {1, INFINITY});
  EXPECT_NE(error_of([&] { read_embeddings(infinite); }).find("row 1"), std::string::npos);
}

}  // namespace
}  // namespace amalgam::language

#include "amalgam/checkpoint/quantised_types.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace amalgam {
namespace {

TensorInfo info_of(std::string name, Shape shape, DType dtype = DType::f16) {
  return make_tensor_info(std::move(name), dtype, std::move(shape), "test");
}

DType chosen(const char* quantisation, const TensorInfo& info) {
  return QuantisedTypes(*parse_quantisation(quantisation), {info}).choose(info);
}

TEST(QuantisedTypes, NamesAreReadAsUsersWriteThem) {
  EXPECT_EQ(parse_quantisation("q4_k")->dtype, DType::q4_k);
  EXPECT_FALSE(parse_quantisation("q4_k")->is_mixture);
  EXPECT_EQ(parse_quantisation("Q4_K_M")->dtype, DType::q4_k);
  EXPECT_TRUE(parse_quantisation("q5_k_m")->is_mixture);
  EXPECT_EQ(parse_quantisation("IQ4_XS")->dtype, DType::iq4_xs);
  for (const char* name : {"f16", "iq2_xxs", "q8_k", "q6_k_m", "q8_0_m", "q4_k_l", "", "_m"}) {
    EXPECT_FALSE(parse_quantisation(name)) << name;
  }
}

TEST(QuantisedTypes, MatricesAreQuantisedAndTheRestIsNot) {
  EXPECT_EQ(chosen("q4_k", info_of("blk.0.ffn_up.weight", {3, 512})), DType::q4_k);
  EXPECT_EQ(chosen("q4_k", info_of("blk.0.ffn_up_exps.weight", {8, 3, 512})), DType::q4_k);
  EXPECT_EQ(chosen("q4_k", info_of("blk.0.attn_norm.weight", {512}, DType::f32)), DType::f32);
  EXPECT_EQ(chosen("q4_k", info_of("conv.weight", {3, 3, 512})), DType::f16);
  EXPECT_EQ(chosen("q4_k", info_of("norm", {512}, DType::f64)), DType::f32);
  EXPECT_EQ(chosen("q4_k", info_of("table", {3, 512}, DType::i32)), DType::i32);
}

TEST(QuantisedTypes, RowsThatDoNotFitGetBlocksOf32) {
  const auto of_row = [](const char* quantisation, std::uint64_t row) {
    return chosen(quantisation, info_of("w", {2, row}));
  };
  EXPECT_EQ(of_row("q2_k", 96), DType::iq4_nl);
  EXPECT_EQ(of_row("q3_k", 96), DType::iq4_nl);
  EXPECT_EQ(of_row("iq4_xs", 96), DType::iq4_nl);
  EXPECT_EQ(of_row("q4_k", 96), DType::q5_0);
  EXPECT_EQ(of_row("q5_k", 96), DType::q5_1);
  EXPECT_EQ(of_row("q6_k", 96), DType::q8_0);
  EXPECT_EQ(of_row("q8_0", 96), DType::q8_0);
  for (const char* name : {"q2_k", "q6_k", "q4_0", "iq4_nl"}) {
    EXPECT_EQ(of_row(name, 33), DType::f16) << name;
  }
}

// Of the mixture's own choice for the matrix, which need not be the type it is named after.
TEST(QuantisedTypes, AWarningNamesTheTypeThatIsReplaced) {
  std::vector<TensorInfo> written = {info_of("blk.0.attn_q.weight", {4, 96}, DType::q5_0),
                                     info_of("blk.0.attn_v.weight", {4, 96}, DType::q8_0),
                                     info_of("blk.0.ffn_down.weight", {4, 96}, DType::q8_0),
                                     info_of("blk.0.ffn_up.weight", {4, 256}, DType::q4_k),
                                     info_of("output.weight", {4, 33}, DType::f16)};
  ::testing::internal::CaptureStderr();
  warn_of_replaced_types("m", *parse_quantisation("q4_k_m"), written);
  EXPECT_THAT(
      ::testing::internal::GetCapturedStderr(),
      ::testing::AllOf(
          ::testing::HasSubstr("1 of the matrices is Q5_0 instead of Q4_K, because their rows are "
                               "no multiples of 256: 'blk.0.attn_q.weight'\n"),
          ::testing::HasSubstr("2 of the matrices are Q8_0 instead of Q6_K, because their rows are "
                               "no multiples of 256: 'blk.0.attn_v.weight', "
                               "'blk.0.ffn_down.weight'\n"),
          ::testing::HasSubstr("1 of the matrices is F16 instead of Q6_K, because their rows are "
                               "no multiples of 256: 'output.weight'\n")));
}

// 16 layers: the first two, the last two and every third between are favoured.
TEST(QuantisedTypes, AMixtureGivesTheMatricesThatMatterMoreBits) {
  std::vector<TensorInfo> model;
  for (int layer = 0; layer < 16; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer);
    for (const char* name :
         {".attn_v.weight", ".attn_q.weight", ".attn_output.weight", ".ffn_down.weight"}) {
      model.push_back(info_of(prefix + name, {4, 256}));
    }
  }
  model.push_back(info_of("token_embd.weight", {4, 256}));
  const auto type = [&](const char* quantisation, const std::string& name) {
    return QuantisedTypes(*parse_quantisation(quantisation), model).choose(info_of(name, {4, 256}));
  };
  std::string favoured;
  for (int layer = 0; layer < 16; ++layer) {
    const DType down = type("q4_k_m", "blk." + std::to_string(layer) + ".ffn_down.weight");
    favoured += down == DType::q6_k ? '1' : '0';
    EXPECT_EQ(type("q4_k_m", "blk." + std::to_string(layer) + ".attn_v.weight"), down);
  }
  EXPECT_EQ(favoured, "1100100100100111");
  EXPECT_EQ(type("q4_k_m", "blk.0.attn_q.weight"), DType::q4_k);
  // Without a head of its own, the embedding is the head.
  EXPECT_EQ(type("q4_k_m", "token_embd.weight"), DType::q6_k);
  EXPECT_EQ(type("q3_k_m", "blk.1.attn_v.weight"), DType::q5_k);
  EXPECT_EQ(type("q3_k_m", "blk.2.attn_v.weight"), DType::q4_k);
  EXPECT_EQ(type("q3_k_m", "blk.0.ffn_down.weight"), DType::q5_k);
  EXPECT_EQ(type("q3_k_m", "blk.1.ffn_down.weight"), DType::q4_k);
  EXPECT_EQ(type("q3_k_m", "blk.5.attn_output.weight"), DType::q4_k);
  EXPECT_EQ(type("q3_k_m", "blk.5.attn_q.weight"), DType::q3_k);
  model.push_back(info_of("output.weight", {4, 256}));
  EXPECT_EQ(type("q4_k_m", "output.weight"), DType::q6_k);
  EXPECT_EQ(type("q4_k_m", "token_embd.weight"), DType::q4_k);
}

}  // namespace
}  // namespace amalgam

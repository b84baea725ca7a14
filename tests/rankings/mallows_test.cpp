#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/random.hpp"
#include "amalgam/scores/kemeny/kemeny.hpp"

namespace amalgam::scores {
namespace {

using kemeny::Order;

// Pairs that are in the opposite order of 0, 1, 2, ...
std::size_t inversions(const Order& order) {
  std::size_t count = 0;
  for (std::size_t a = 0; a < order.size(); ++a) {
    for (std::size_t b = a + 1; b < order.size(); ++b) count += order[a] > order[b] ? 1 : 0;
  }
  return count;
}

// Draws from the Mallows model around 0, 1, 2, ...: P(order) proportional to q^inversions. Item i
// is put k places from the end of those before it with probability proportional to q^k.
Order mallows_draw(std::size_t items, double q, RandomStream& random) {
  Order order;
  for (System item = 0; item < items; ++item) {
    double sum = 0;
    for (System k = 0; k <= item; ++k) sum += std::pow(q, k);
    double left = random.uniform() * sum;
    std::size_t from_end = 0;
    while (from_end < item && left >= std::pow(q, static_cast<double>(from_end))) {
      left -= std::pow(q, static_cast<double>(from_end));
      ++from_end;
    }
    order.insert(order.end() - static_cast<std::ptrdiff_t>(from_end), item);
  }
  return order;
}

PairTable count_orders(std::size_t systems, const std::vector<Order>& orders) {
  PairTable pairs(systems);
  for (const Order& order : orders) {
    for (std::size_t a = 0; a < systems; ++a) {
      for (std::size_t b = a + 1; b < systems; ++b) pairs.wins[order[a] * systems + order[b]] += 1;
    }
  }
  return pairs;
}

// Card best-systems, check 6: N = 3, phi = 1. By enumeration of the 6 orders, and the sampler.
TEST(Mallows, HasTheFiguresOfTheCard) {
  const double q = std::exp(-1.0);
  double normaliser = 0;
  double weighted = 0;
  Order order{0, 1, 2};
  do {
    const auto distance = static_cast<double>(inversions(order));
    normaliser += std::pow(q, distance);
    weighted += distance * std::pow(q, distance);
  } while (std::ranges::next_permutation(order).found);
  EXPECT_NEAR(normaliser, 2.056217, 1e-6);
  EXPECT_NEAR(normaliser, (1 + q) * (1 + q + q * q), 1e-12);
  EXPECT_NEAR(1 / normaliser, 0.486330, 1e-6);
  EXPECT_NEAR(weighted / normaliser, 0.693731, 1e-6);

  RandomStream random(1, "mallows");
  constexpr int kDraws = 20000;
  double centre = 0;
  double distance = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const auto inverted = static_cast<double>(inversions(mallows_draw(3, q, random)));
    centre += inverted == 0 ? 1 : 0;
    distance += inverted;
  }
  // Four standard errors: sqrt(p (1 - p) / n) = .0035, and .0055 of the distance.
  EXPECT_NEAR(centre / kDraws, 0.486330, 0.0142);
  EXPECT_NEAR(distance / kDraws, 0.693731, 0.022);
}

// Kemeny's order is the maximum-likelihood centre: neighbours are in order with probability
// 2/3, by five standard errors of 200 orders more than half.
TEST(Mallows, KemenyFindsTheCentre) {
  RandomStream random(2, "mallows");
  std::vector<Order> orders;
  for (int voter = 0; voter < 200; ++voter) orders.push_back(mallows_draw(30, 0.5, random));
  const kemeny::KemenyOrder solved = kemeny::kemeny_order(count_orders(30, orders));
  EXPECT_TRUE(solved.certificate.optimal);
  EXPECT_TRUE(std::ranges::is_sorted(solved.order));
  double against = 0;
  for (const Order& order : orders) against += static_cast<double>(inversions(order));
  EXPECT_EQ(solved.certificate.objective, against);
}

}  // namespace
}  // namespace amalgam::scores

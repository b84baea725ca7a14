#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam {

/// The examples of every client, in increasing order. Every example belongs to exactly one client.
using Partition = std::vector<std::vector<std::size_t>>;

/// Shares `count` examples out at random and evenly (sizes differ by at most one). A function of
/// the arguments. InputError if clients is 0 or there are fewer examples than clients.
Partition uniform_partition(std::size_t count, std::size_t clients, std::uint64_t seed);

/// Shares examples out so that clients have different classes (Hsu et al. 2019, Li et al. 2022): of
/// every class, shares of the clients are drawn from a symmetric Dirichlet distribution; the
/// smaller `alpha`, the fewer classes a client has. Labels are class numbers from 0; a class
/// without examples changes nothing. A function of the arguments: each class and attempt has a
/// Philox stream of its own.
///
/// Draws again while a client has fewer than `least` examples, up to 1000 times. InputError if
/// clients is 0, alpha is not a positive number, a label is negative, there are fewer examples than
/// clients times `least`, or no draw was good enough.
Partition dirichlet_partition(std::span<const std::int64_t> labels, std::size_t clients,
                              double alpha, std::uint64_t seed, std::size_t least = 1);

/// A long-tailed choice of examples (Cui et al. 2019): of class c of C at most n * factor^(-c /
/// (C - 1)), where n is the size of the largest class, so that the first class has `factor` times
/// as many examples as the last one, if there are enough of each; at least one of each class that
/// has any. Which ones is drawn by the seed. Indices in increasing order. InputError unless factor
/// >= 1 and all labels are in [0, classes).
std::vector<std::size_t> long_tailed_choice(std::span<const std::int64_t> labels,
                                            std::size_t classes, double factor, std::uint64_t seed);

}  // namespace amalgam

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace amalgam::learning {

/// One client's part of the examples, when they are shared out to many (data/partition.hpp).
struct ClientPart {
  std::uint64_t clients = 1;
  std::uint64_t part = 0;       ///< which client's, from 0
  std::optional<double> alpha;  ///< of the Dirichlet distribution; nothing: even random parts
  std::uint64_t least = 1;      ///< examples that every client has at least
};

/// Probabilities of the classes to train on in place of labels, as `amalgam label` writes them
/// (--soft): what many annotators say of an example, with their doubt.
struct SoftTargets {
  std::string file;  ///< comma-separated values: `task`, and a column of probabilities per class
  /// Tables: the column that names a row's task; empty: rows are numbered from 0, as in the file
  /// (images: as in the training split).
  std::string task = {};
  /// probabilities: cross-entropy with them, which has the gradient of the Kullback-Leibler
  /// divergence from them; sampled: a label drawn from them for each example, anew in every epoch;
  /// most_probable: the class with the largest one.
  enum class Use { probabilities, sampled, most_probable } use = Use::probabilities;
  /// With `probabilities`, of a network with heads: the head that learns the probabilities, while
  /// the data's own head learns the most probable class (the sum of both losses).
  std::string head = {};
};

/// Which examples of which data set, in the order in which it is applied: a split of the set, some
/// of its classes, a range of those, a long tail, a client's part, a change of every image.
struct DataRecipe {
  /// "fashion-mnist", a folder of IDX files, a table (.csv, .tsv) or a text (.txt).
  std::string set = "fashion-mnist";
  std::string label;                     ///< tables: the column of the class
  std::string target;                    ///< tables: instead, the column of a number to predict
  std::vector<std::string> ignore;       ///< tables: columns that are not looked at
  std::vector<std::string> categorical;  ///< tables: columns of names that look like numbers
  std::string tokens;                    ///< texts: "byte" or "character"; empty: byte
  std::uint64_t context = 0;             ///< texts: tokens per example; 0: 128, or the network's

  /// The classes to keep, by name or, if no class is called so, by number from 0; empty: all.
  std::vector<std::string> classes;
  bool relabel = false;                   ///< number the classes anew, in the order of `classes`
  std::uint64_t first = 0;                ///< the first example of those
  std::optional<std::uint64_t> examples;  ///< how many; nothing: all
  bool at_most = false;                   ///< fewer than `examples` are enough
  double imbalance = 1;  ///< the first class has this many times the examples of the last one
  std::optional<ClientPart> partition;
  std::string corruption;  ///< a fixed change of every image; see parse_corruption
  std::string head;        ///< of a network with several, which the labels are for
  /// Training examples get these; those without any are left out. Examples of other splits do so
  /// only where a table has no `label` to judge by: their label is the most probable class.
  std::optional<SoftTargets> soft;

  /// "fashion-mnist test, classes 1 2, shift=1": what reports call it.
  std::string describe(const std::string& split) const;
};

}  // namespace amalgam::learning

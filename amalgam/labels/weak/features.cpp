#include "amalgam/labels/weak/features.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/csv.hpp"
#include "amalgam/data/npy.hpp"

namespace amalgam::labels {
namespace {

constexpr std::uint64_t kMostNumbers = 1'000'000'000;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Features read_npy_features(const std::filesystem::path& path) {
  NpyReader reader = NpyReader::open(path);
  const NpyHeader& header = reader.header();
  if (header.shape.size() != 2) {
    throw InputError("{}: an array of {} dimensions; expected [rows, columns]", path.string(),
                     header.shape.size());
  }
  if (header.elements() == 0 || header.elements() > kMostNumbers) {
    throw InputError("{}: {} numbers; expected 1 to {}", path.string(), header.elements(),
                     kMostNumbers);
  }
  std::vector<double> in_file;
  std::vector<double> piece(4096);
  while (const std::size_t count = reader.read(piece)) {
    in_file.insert(in_file.end(), piece.begin(),
                   piece.begin() + static_cast<std::ptrdiff_t>(count));
  }
  Features features(header.shape[0], header.shape[1]);
  if (!header.column_major) {
    features.values = std::move(in_file);
    return features;
  }
  for (std::size_t i = 0; i < features.rows; ++i) {
    for (std::size_t c = 0; c < features.columns; ++c) {
      features.row(i)[c] = in_file[c * features.rows + i];
    }
  }
  return features;
}

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Features read_csv_features(const std::filesystem::path& path) {
  CsvReader reader = CsvReader::open(path);
  Features features;
  bool first = true;
  while (reader.next()) {
    const auto fields = reader.fields();
    const bool header = first && !std::ranges::all_of(
                                     fields, [](auto cell) { return number_of(cell).has_value(); });
    if (first) features.columns = fields.size();
    first = false;
    if (header) continue;
    if (fields.size() != features.columns) {
      throw InputError("{}: {} cells, but the first record has {}", reader.place(0), fields.size(),
                       features.columns);
    }
    if (features.values.size() > kMostNumbers) {
      throw InputError("{}: more than {} numbers", path.string(), kMostNumbers);
    }
    for (std::size_t c = 0; c < fields.size(); ++c) {
      const std::optional<double> value = number_of(fields[c]);
      if (!value) {
        throw InputError("{}: '{}'; expected a number", reader.place(c), printable(fields[c]));
      }
      features.values.push_back(*value);
    }
    ++features.rows;
  }
  return features;
}

}  // namespace

Features select_rows(const Features& features, std::span<const std::size_t> indices) {
  Features some(indices.size(), features.columns);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::ranges::copy(features.row(indices[i]), some.row(i).begin());
  }
  return some;
}

Features read_features(const std::filesystem::path& path) {
  Features features =
      path.extension() == ".npy" ? read_npy_features(path) : read_csv_features(path);
  check_finite(features, path.string());
  return features;
}

Features principal_components(const Features& features, std::size_t components) {
  check_finite(features, "principal components");
  if (components == 0) throw InputError("0 principal components; expected 1 or more");
  const Eigen::Map<const RowMajor> given(features.values.data(),
                                         static_cast<Eigen::Index>(features.rows),
                                         static_cast<Eigen::Index>(features.columns));
  const RowMajor centred = given.rowwise() - given.colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  const std::size_t most = std::min(features.columns, std::max<std::size_t>(1, features.rows - 1));
  const auto kept = static_cast<Eigen::Index>(std::min(components, most));
  Eigen::MatrixXd axes = solver.eigenvectors().rightCols(kept).rowwise().reverse();
  for (Eigen::Index c = 0; c < kept; ++c) {
    Eigen::Index largest = 0;
    axes.col(c).cwiseAbs().maxCoeff(&largest);
    if (axes(largest, c) < 0) axes.col(c) *= -1;
  }
  Features reduced(features.rows, static_cast<std::size_t>(kept));
  Eigen::Map<RowMajor>(reduced.values.data(), given.rows(), kept).noalias() = centred * axes;
  return reduced;
}

Features standardised(const Features& features) {
  check_finite(features, "features");
  Features scaled = features;
  const auto rows = static_cast<double>(features.rows);
  for (std::size_t c = 0; c < features.columns; ++c) {
    double mean = 0;
    for (std::size_t i = 0; i < features.rows; ++i) mean += features.at(i, c) / rows;
    double variance = 0;
    for (std::size_t i = 0; i < features.rows; ++i) {
      variance += (features.at(i, c) - mean) * (features.at(i, c) - mean) / rows;
    }
    const double scale = variance > 0 ? 1 / std::sqrt(variance) : 0;
    for (std::size_t i = 0; i < features.rows; ++i) {
      scaled.row(i)[c] = (features.at(i, c) - mean) * scale;
    }
  }
  return scaled;
}

Features in_unit_range(const Features& features) {
  check_finite(features, "features");
  Features scaled = features;
  const auto [least, most] = std::ranges::minmax(features.values);
  for (double& value : scaled.values) {
    value = most > least ? (value - least) / (most - least) : 0;
  }
  return scaled;
}

void check_labelled(const LabelledRows& data, const std::string& what) {
  check_finite(data.features, what);
  if (data.labels.size() != data.features.rows) {
    throw InputError("{}: {} labels for {} rows", what, data.labels.size(), data.features.rows);
  }
  if (data.classes < 2) {
    throw InputError("{}: {} classes; expected 2 or more", what, data.classes);
  }
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    if (data.labels[i] >= data.classes) {
      throw InputError("{}: the label of row {} is {}; expected a class below {}", what, i,
                       data.labels[i], data.classes);
    }
  }
  if (std::ranges::all_of(data.labels, [&](Label label) { return label == data.labels[0]; })) {
    throw InputError("{}: all {} labelled rows are of class {}; expected two classes or more", what,
                     data.labels.size(), data.labels[0]);
  }
}

std::vector<double> class_balance(std::span<const Label> labels, std::size_t classes) {
  std::vector<double> balance(classes, 1.0);
  for (const Label label : labels) balance[label] += 1;
  for (double& share : balance) share /= static_cast<double>(labels.size() + classes);
  return balance;
}

}  // namespace amalgam::labels

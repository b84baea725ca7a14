#include "amalgam/data/image_transforms.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace amalgam {
void flip_image(std::span<float> image, const ImageSize& size) {
  for (std::size_t row = 0; row < size.channels * size.rows; ++row) {
    const auto line = image.subspan(row * size.columns, size.columns);
    std::reverse(line.begin(), line.end());
  }
}

void shift_image(std::span<float> image, const ImageSize& size, int rows, int columns) {
  const auto height = static_cast<std::ptrdiff_t>(size.rows);
  const auto width = static_cast<std::ptrdiff_t>(size.columns);
  std::vector<float> plane(size.rows * size.columns);
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto target = image.subspan(channel * plane.size(), plane.size());
    std::copy(target.begin(), target.end(), plane.begin());
    for (std::ptrdiff_t row = 0; row < height; ++row) {
      for (std::ptrdiff_t column = 0; column < width; ++column) {
        const std::ptrdiff_t from_row = row - rows;
        const std::ptrdiff_t from_column = column - columns;
        const bool inside =
            from_row >= 0 && from_row < height && from_column >= 0 && from_column < width;
        target[static_cast<std::size_t>(row * width + column)] =
            inside ? plane[static_cast<std::size_t>(from_row * width + from_column)] : 0.0F;
      }
    }
  }
}

void rotate_image(std::span<float> image, const ImageSize& size, double degrees) {
  const double quarters = degrees / 90;
  const bool exact = size.rows == size.columns && quarters == std::floor(quarters);
  const double angle = degrees * std::numbers::pi / 180;
  // Exact multiples have sines and cosines that are not quite whole.
  const double sine = exact ? std::round(std::sin(angle)) : std::sin(angle);
  const double cosine = exact ? std::round(std::cos(angle)) : std::cos(angle);
  const double middle_row = (static_cast<double>(size.rows) - 1) / 2;
  const double middle_column = (static_cast<double>(size.columns) - 1) / 2;
  std::vector<float> plane(size.rows * size.columns);
  const auto at = [&](double row, double column) {
    const bool inside = row >= 0 && row < static_cast<double>(size.rows) && column >= 0 &&
                        column < static_cast<double>(size.columns);
    return inside ? static_cast<double>(plane[static_cast<std::size_t>(row) * size.columns +
                                              static_cast<std::size_t>(column)])
                  : 0.0;
  };
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto target = image.subspan(channel * plane.size(), plane.size());
    std::copy(target.begin(), target.end(), plane.begin());
    for (std::size_t row = 0; row < size.rows; ++row) {
      for (std::size_t column = 0; column < size.columns; ++column) {
        const double down = static_cast<double>(row) - middle_row;
        const double right = static_cast<double>(column) - middle_column;
        const double from_row = middle_row + cosine * down + sine * right;
        const double from_column = middle_column - sine * down + cosine * right;
        const double r = std::floor(from_row);
        const double c = std::floor(from_column);
        const double v = from_row - r;
        const double h = from_column - c;
        target[row * size.columns + column] =
            static_cast<float>((1 - v) * ((1 - h) * at(r, c) + h * at(r, c + 1)) +
                               v * ((1 - h) * at(r + 1, c) + h * at(r + 1, c + 1)));
      }
    }
  }
}

namespace {

// Along one axis of a plane: `count` values that lie `stride` apart.
void blur_line(std::span<float> plane, std::size_t first, std::size_t count, std::size_t stride,
               std::span<const double> half_kernel) {
  std::vector<double> line(count);
  for (std::size_t i = 0; i < count; ++i) line[i] = plane[first + i * stride];
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    double weights = 0;
    for (std::size_t j = i >= half_kernel.size() ? i - half_kernel.size() + 1 : 0;
         j < std::min(count, i + half_kernel.size()); ++j) {
      const double weight = half_kernel[j > i ? j - i : i - j];
      sum += weight * line[j];
      weights += weight;
    }
    plane[first + i * stride] = static_cast<float>(sum / weights);
  }
}

}  // namespace

void blur_image(std::span<float> image, const ImageSize& size, double deviation) {
  std::vector<double> half_kernel;
  for (double distance = 0; distance <= 3 * deviation; ++distance) {
    half_kernel.push_back(std::exp(-distance * distance / (2 * deviation * deviation)));
  }
  for (std::size_t channel = 0; channel < size.channels; ++channel) {
    const auto plane = image.subspan(channel * size.rows * size.columns, size.rows * size.columns);
    for (std::size_t row = 0; row < size.rows; ++row) {
      blur_line(plane, row * size.columns, size.columns, 1, half_kernel);
    }
    for (std::size_t column = 0; column < size.columns; ++column) {
      blur_line(plane, column, size.rows, size.columns, half_kernel);
    }
  }
}

void add_noise(std::span<float> image, double deviation, RandomStream& random) {
  for (float& value : image) {
    value = std::clamp(static_cast<float>(value + deviation * random.normal()), 0.0F, 1.0F);
  }
}

void augment_image(std::span<float> image, const ImageSize& size, const Augmentation& augmentation,
                   RandomStream& random) {
  if (augmentation.flip && random.below(2) == 1) flip_image(image, size);
  if (augmentation.shift > 0) {
    const auto draw = [&] {
      return static_cast<int>(random.below(2 * std::uint64_t{augmentation.shift} + 1)) -
             static_cast<int>(augmentation.shift);
    };
    const int rows = draw();
    const int columns = draw();
    shift_image(image, size, rows, columns);
  }
  if (augmentation.noise > 0) add_noise(image, augmentation.noise, random);
}

}  // namespace amalgam

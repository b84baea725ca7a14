#include "amalgam/data/images.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/data/idx.hpp"
#include "amalgam/data/shuffle.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFashionMnist = "fashion-mnist";
constexpr const char* kDebianFolder = "/usr/share/datasets/fashion-mnist";
constexpr std::size_t kValidationShare = 12;

std::vector<std::string> fashion_mnist_classes() {
  return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
}

// The file in `folder`, plain or compressed; empty if there is neither.
fs::path find_file(const fs::path& folder, const std::string& name) {
  for (const char* extension : {"", ".gz"}) {
    fs::path path = folder / (name + extension);
    if (names_file(path)) return path;
  }
  return {};
}

std::pair<fs::path, fs::path> find_pair(const fs::path& folder, const std::string& prefix) {
  return {find_file(folder, prefix + "-images-idx3-ubyte"),
          find_file(folder, prefix + "-labels-idx1-ubyte")};
}

std::vector<fs::path> candidate_folders(const std::string& set) {
  if (set != kFashionMnist) return {set};
  // Nothing else in the process changes the environment.
  const char* place = std::getenv("AMALGAM_FASHION_MNIST");  // NOLINT(concurrency-mt-unsafe)
  if (place != nullptr && *place != '\0') return {fs::path(place), fs::path(place) / kFashionMnist};
  return {kDebianFolder};
}

LabelledImages load_official(const std::string& set, bool training) {
  const std::string prefix = training ? "train" : "t10k";
  const std::vector<fs::path> folders = candidate_folders(set);
  for (const fs::path& folder : folders) {
    const auto [images, labels] = find_pair(folder, prefix);
    if (images.empty() || labels.empty()) continue;
    return load_idx_images(
        images, labels,
        set == kFashionMnist ? fashion_mnist_classes() : std::vector<std::string>{});
  }
  const std::string missing =
      prefix + "-images-idx3-ubyte[.gz] and " + prefix + "-labels-idx1-ubyte[.gz]";
  if (set == kFashionMnist) {
    throw InputError(
        "Fashion-MNIST is not in {} (looked for {}); install Debian's package dataset-fashion-mnist"
        " or set AMALGAM_FASHION_MNIST to a folder that has the files",
        folders.front().string(), missing);
  }
  throw InputError(
      "data set '{}': no such data set or folder with {}; expected 'fashion-mnist' or"
      " a folder with files named as MNIST's",
      set, missing);
}

}  // namespace

LabelledImages select_images(const LabelledImages& images, std::span<const std::size_t> indices) {
  LabelledImages selected;
  selected.source = images.source;
  selected.channels = images.channels;
  selected.rows = images.rows;
  selected.columns = images.columns;
  selected.class_names = images.class_names;
  const std::size_t size = images.image_size();
  selected.pixels.reserve(indices.size() * size);
  selected.labels.reserve(indices.size());
  for (const std::size_t index : indices) {
    const auto begin = images.pixels.begin() + static_cast<std::ptrdiff_t>(index * size);
    selected.pixels.insert(selected.pixels.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    selected.labels.push_back(images.labels[index]);
  }
  return selected;
}

LabelledImages load_idx_images(const fs::path& images_path, const fs::path& labels_path,
                               std::vector<std::string> class_names) {
  IdxArray images = read_idx(images_path);
  IdxArray labels = read_idx(labels_path);
  const std::size_t dimensions = images.shape.size();
  if (dimensions != 3 && dimensions != 4) {
    throw InputError(
        "{}: shape {}; expected images as [count, rows, columns] or"
        " [count, channels, rows, columns]",
        images_path.string(), format_shape(images.shape));
  }
  if (labels.shape.size() != 1 || labels.shape[0] != images.shape[0]) {
    throw InputError("{}: labels of shape {}, but '{}' has {} images", labels_path.string(),
                     format_shape(labels.shape), images_path.string(), images.shape[0]);
  }
  if (images.values.empty()) {
    throw InputError("{}: no images (shape {})", images_path.string(), format_shape(images.shape));
  }
  const auto largest = std::max_element(labels.values.begin(), labels.values.end());
  if (class_names.empty()) {
    for (unsigned c = 0; c <= *largest; ++c) class_names.push_back(std::to_string(c));
  }
  if (*largest >= class_names.size()) {
    throw InputError("{}: label {} at index {}, but there are {} classes", labels_path.string(),
                     *largest, largest - labels.values.begin(), class_names.size());
  }
  LabelledImages result;
  result.source = images_path.string();
  result.channels = dimensions == 4 ? images.shape[1] : 1;
  result.rows = images.shape[dimensions - 2];
  result.columns = images.shape[dimensions - 1];
  result.pixels = std::move(images.values);
  result.labels = std::move(labels.values);
  result.class_names = std::move(class_names);
  return result;
}

LabelledImages load_images(const std::string& set, Split split) {
  if (split == Split::all) {
    throw InputError("{}: images have no split 'all'; expected train, validation or test", set);
  }
  LabelledImages images = load_official(set, split != Split::test);
  if (split == Split::test) return images;
  const std::vector<std::size_t> order = shuffled_indices(images.count(), 0, "split");
  const std::size_t held_out = images.count() / kValidationShare;
  const std::span<const std::size_t> all(order);
  LabelledImages part = select_images(
      images, split == Split::validation ? all.first(held_out) : all.subspan(held_out));
  if (part.count() == 0) {
    throw InputError(
        "{}: {} images are too few to hold out a validation split; expected at least"
        " {}",
        images.source, images.count(), kValidationShare);
  }
  return part;
}

}  // namespace amalgam

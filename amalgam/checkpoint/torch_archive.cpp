#include "amalgam/checkpoint/torch_archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "amalgam/checkpoint/restricted_pickle.hpp"
#include "amalgam/checkpoint/strided.hpp"
#include "amalgam/checkpoint/torch_tensors.hpp"
#include "amalgam/checkpoint/zip_archive.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam {
namespace {

constexpr std::string_view kPickle = "/data.pkl";
constexpr std::size_t kIgnoredShown = 20;

// Legacy files and other things that are no zip archive deserve a better word than libzip's.
void check_is_zip(const std::filesystem::path& path) {
  const File file = File::open(path);
  std::array<char, 4> start{};
  const std::size_t bytes = std::min<std::uint64_t>(start.size(), file.size());
  file.read_exactly(0, std::as_writable_bytes(std::span(start).first(bytes)));
  const std::string_view text(start.data(), bytes);
  if (text.starts_with("PK")) return;
  if (text.starts_with('\x80')) {
    throw InputError(
        "{}: a bare pickle, as torch.save wrote before PyTorch 1.6, which is not read; save it "
        "again: torch.save(torch.load(OLD, map_location='cpu'), NEW)",
        path.string());
  }
  throw InputError("{}: not a PyTorch file: not a zip archive", path.string());
}

// "archive" where the archive has archive/data.pkl.
std::string find_prefix(const ZipArchive& zip, const std::string& label) {
  std::optional<std::string> prefix;
  for (const auto& [name, entry] : zip.entries()) {
    if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
    if (prefix) throw InputError("{}: has two pickles, expected one data.pkl", label);
    prefix = name.substr(0, name.size() - kPickle.size());
  }
  if (!prefix) {
    throw InputError("{}: a zip archive, but not PyTorch's: it has no FOLDER/data.pkl", label);
  }
  return *prefix;
}

void refuse_torchscript(const ZipArchive& zip, const std::string& prefix,
                        const std::string& label) {
  const std::string code = prefix + "/code/";
  const auto first = zip.entries().lower_bound(code);
  const bool has_code = first != zip.entries().end() && first->first.starts_with(code);
  if (has_code || zip.find(prefix + "/constants.pkl") != nullptr) {
    throw InputError(
        "{}: a TorchScript archive, which holds a program; save its weights: "
        "torch.save(torch.jit.load(IN).state_dict(), OUT)",
        label);
  }
}

void check_byte_order(const ZipArchive& zip, const std::string& prefix, const std::string& label) {
  const std::string name = prefix + "/byteorder";
  if (zip.find(name) == nullptr) return;  // before PyTorch 2.1
  const std::string order = zip.read_record(name, 16);
  if (order != "little") {
    throw InputError("{}: its byte order is '{}', only 'little' is read", label, printable(order));
  }
}

std::string describe_ignored(const std::vector<std::string>& names) {
  std::vector<std::string> shown(
      names.begin(),
      names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kIgnoredShown)));
  std::string text = join(shown, ", ");
  if (names.size() > shown.size()) text += fmt::format(" and {} more", names.size() - shown.size());
  return text;
}

class TorchArchive final : public TensorSource {
 public:
  explicit TorchArchive(const std::filesystem::path& path) : zip_(path) {
    const std::string label = path.string();
    prefix_ = find_prefix(zip_, label);
    refuse_torchscript(zip_, prefix_, label);
    check_byte_order(zip_, prefix_, label);
    const std::string pickle =
        zip_.read_record(prefix_ + std::string(kPickle), PickleLimits{}.bytes);
    const PickleTree tree = read_restricted_pickle(pickle, label);
    NamedTensors found = find_named_tensors(tree, label);

    std::map<std::uint32_t, std::uint64_t> places;  // of storages
    std::vector<View> views;
    views.reserve(found.tensors.size());
    for (auto& [name, index] : found.tensors) {
      views.push_back(make_view(tree, tree.tensors[index], std::move(name), places, label));
    }
    find_aliases(views);
    take(std::move(views), label);

    std::map<std::string, std::string> metadata;
    if (!found.root.empty()) metadata.emplace("root", found.root);
    if (!found.ignored.empty()) metadata.emplace("ignored", describe_ignored(found.ignored));
    set_metadata(std::move(metadata));
  }

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override {
    const TensorInfo& info = tensors().at(tensor);
    if (offset > info.bytes || out.size() > info.bytes - offset) {
      throw Error("{}: read past the end of '{}'", label(), info.name);
    }
    if (out.empty()) return;
    const Placed& placed = placed_[tensor];
    const std::size_t element = dtype_block_bytes(info.dtype);
    if (placed.is_contiguous) {
      zip_.file().read_exactly(placed.start + placed.layout.offset * element + offset, out);
      return;
    }
    const std::uint64_t first = offset / element;
    const std::size_t before = offset % element;
    if (before == 0 && out.size() % element == 0) {
      gather(placed, element, first, out);
      return;
    }
    const std::uint64_t covered = (before + out.size() + element - 1) / element * element;
    std::vector<std::byte> whole(covered);
    gather(placed, element, first, whole);
    std::memcpy(out.data(), whole.data() + before, out.size());
  }

  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override {
    const Placed& placed = placed_.at(tensor);
    if (!placed.is_contiguous) return;
    const std::size_t element = dtype_block_bytes(tensors()[tensor].dtype);
    zip_.file().will_need(placed.start + placed.layout.offset * element + offset, bytes);
  }

  std::map<std::string, std::string> aliases() const override { return aliases_; }

 private:
  // A tensor's place in the file, in the order of tensors().
  struct Placed {
    StridedLayout layout;
    std::uint64_t start = 0;  // file offset of its storage
    bool is_contiguous = true;
  };
  struct View {
    TensorInfo info;
    Placed placed;
  };

  // The file offset of a storage, whose size is checked the first time it is met.
  std::uint64_t place_of(const PickleTree& tree, std::uint32_t storage_index,
                         std::map<std::uint32_t, std::uint64_t>& places,
                         const std::string& label) const {
    const auto known = places.find(storage_index);
    if (known != places.end()) return known->second;
    const PickleStorage& storage = tree.storages[storage_index];
    const std::string& key = tree.key_of(storage);
    const std::string name = prefix_ + "/data/" + key;
    const std::uint64_t place = zip_.data_offset(name);
    const std::uint64_t expected = storage.elements * dtype_block_bytes(storage.dtype);
    if (const std::uint64_t bytes = zip_.find(name)->bytes; bytes != expected) {
      throw InputError("{}: storage '{}' has {} bytes, but its {} elements of {} take {}", label,
                       printable(key), bytes, storage.elements, dtype_name(storage.dtype),
                       expected);
    }
    places.emplace(storage_index, place);
    return place;
  }

  View make_view(const PickleTree& tree, const PickleTensor& tensor, std::string name,
                 std::map<std::uint32_t, std::uint64_t>& places, const std::string& label) const {
    View view;
    view.placed.start = place_of(tree, tensor.storage, places, label);
    view.placed.layout = {tensor.shape, tensor.strides, tensor.offset};
    const std::string what = fmt::format("{}: tensor '{}'", label, printable(name));
    const std::uint64_t extent = strided_extent(view.placed.layout, what);
    const PickleStorage& storage = tree.storages[tensor.storage];
    const std::uint64_t available =
        storage.elements * dtype_block_bytes(storage.dtype) / dtype_block_bytes(tensor.dtype);
    if (extent > available) {
      throw InputError("{} reaches element {} of a storage of {} (offset {}, shape {}, strides {})",
                       what, extent - 1, available, tensor.offset, format_shape(tensor.shape),
                       format_shape(tensor.strides));
    }
    view.placed.is_contiguous = is_contiguous(view.placed.layout);
    view.info = make_tensor_info(std::move(name), tensor.dtype, tensor.shape, label);
    return view;
  }

  // The first tensor in the order of the pickle is the one that later ones are aliases of.
  void find_aliases(const std::vector<View>& views) {
    using Key = std::tuple<std::uint64_t, DType, std::uint64_t, Shape, std::vector<std::uint64_t>>;
    std::map<Key, std::string_view> first;
    for (const auto& [info, placed] : views) {
      if (info.elements == 0) continue;
      const auto [same, is_new] = first.emplace(Key(placed.start, info.dtype, placed.layout.offset,
                                                    placed.layout.shape, placed.layout.strides),
                                                info.name);
      if (!is_new) aliases_.emplace(info.name, same->second);
    }
  }

  void take(std::vector<View> views, const std::string& label) {
    std::sort(views.begin(), views.end(),
              [](const View& a, const View& b) { return a.info.name < b.info.name; });
    std::vector<TensorInfo> infos;
    infos.reserve(views.size());
    placed_.reserve(views.size());
    for (View& view : views) {
      infos.push_back(std::move(view.info));
      placed_.push_back(std::move(view.placed));
    }
    set_tensors(label, std::move(infos));
  }

  void gather(const Placed& placed, std::size_t element, std::uint64_t first,
              std::span<std::byte> out) const {
    gather_strided(placed.layout, element, first, out,
                   [&](std::uint64_t offset, std::span<std::byte> piece) {
                     zip_.file().read_exactly(placed.start + offset, piece);
                   });
  }

  ZipArchive zip_;
  std::string prefix_;
  std::vector<Placed> placed_;
  std::map<std::string, std::string> aliases_;
};

}  // namespace

std::unique_ptr<TensorSource> open_torch_archive(const std::filesystem::path& path) {
  check_is_zip(path);
  return std::make_unique<TorchArchive>(path);
}

}  // namespace amalgam

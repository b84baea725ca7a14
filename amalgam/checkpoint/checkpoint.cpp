#include "amalgam/checkpoint/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>

#include "amalgam/checkpoint/adapter.hpp"
#include "amalgam/checkpoint/csr.hpp"
#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/folder.hpp"
#include "amalgam/checkpoint/gguf.hpp"
#include "amalgam/checkpoint/packed_formats.hpp"
#include "amalgam/checkpoint/safetensors.hpp"
#include "amalgam/checkpoint/scaled_fp8.hpp"
#include "amalgam/checkpoint/torch_archive.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/system_failure.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

// Enough to recognise every format and the usual mistakes.
constexpr std::uint64_t kSniffedBytes = 512;
// How a file of torch.save before PyTorch 1.6 begins: a pickled magic number.
constexpr std::string_view kLegacyTorch =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;

struct KnownStart {
  std::string_view bytes;
  const char* what;
};
constexpr std::array kKnownStarts = {
    KnownStart{"version https://git-lfs.github.com/spec/"sv,
               "this is a Git LFS pointer; download the real file (git lfs pull)"},
    KnownStart{
        kLegacyTorch,
        "this is a PyTorch file of the format before version 1.6 (a bare pickle), which is not "
        "read; load and save it again with a current PyTorch, or as safetensors"},
    KnownStart{"\x89HDF\r\n\x1a\n"sv, "this is an HDF5 file; save the weights as safetensors"},
    KnownStart{"\x1f\x8b"sv, "this file is compressed with gzip; decompress it first"},
    KnownStart{"\x28\xb5\x2f\xfd"sv, "this file is compressed with zstd; decompress it first"},
};

std::string first_bytes(const File& file) {
  std::string start(std::min(file.size(), kSniffedBytes), '\0');
  file.read_exactly(0, std::as_writable_bytes(std::span(start)));
  return start;
}

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) {
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

// Byte 8 begins the JSON header, whose length, in bytes 0 to 7, has no use for the upper four.
bool looks_like_safetensors(std::string_view start) {
  return start.size() > kSafetensorsLengthBytes && start[kSafetensorsLengthBytes] == '{' &&
         start.substr(4, 4) == "\0\0\0\0"sv;
}

CheckpointFormat detect_file_format(const fs::path& path) {
  const File file = File::open(path);
  const std::string name = path.string();
  if (file.size() == 0) throw InputError("{}: the file is empty", name);
  const std::string start = first_bytes(file);

  if (start.starts_with("GGUF")) return CheckpointFormat::gguf;
  if (start.starts_with("PK\x03\x04")) return CheckpointFormat::torch_archive;
  if (looks_like_safetensors(start)) return CheckpointFormat::safetensors_file;
  for (const KnownStart& known : kKnownStarts) {
    if (start.starts_with(known.bytes)) throw InputError("{}: {}", name, known.what);
  }
  if (start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5) {
    throw InputError(
        "{}: this is a bare Python pickle, which is not read; save the weights with "
        "torch.save or as safetensors",
        name);
  }
  if (is_text(start)) {
    const bool is_page = start.starts_with("<!") || start.starts_with("<html");
    throw InputError("{}: this is {}, not a checkpoint", name,
                     is_page ? "a web page (a download that failed?)" : "a text file");
  }
  // Whatever claims to be safetensors gets that reader's more precise error.
  if (path.extension() == ".safetensors") return CheckpointFormat::safetensors_file;
  throw InputError(
      "{}: not a known checkpoint format (expected safetensors, GGUF, a PyTorch zip archive or a "
      "folder of them)",
      name);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    throw InputError("{}: no such file or folder", path.string());
  }
  if (error) throw_system_error(error, fmt::format("{}: {}", path.string(), error.message()));
  return status.type() == fs::file_type::directory;
}

}  // namespace

CheckpointFormat detect_format(const fs::path& path) {
  const fs::path base = without_adapters(path);
  if (!is_folder(base)) return detect_file_format(base);
  return find_folder_weights(base).is_torch ? CheckpointFormat::torch_folder
                                            : CheckpointFormat::safetensors_folder;
}

std::unique_ptr<TensorSource> open_checkpoint(const fs::path& path) {
  if (const auto parts = split_adapted_path(path)) {
    auto base = open_checkpoint(parts->base);
    // An adapter is added to numbers, which are F32 then.
    refuse_unscaled_fp8(*base, without_adapters(parts->base));
    return apply_adapter(std::move(base), open_adapter(parts->adapter));
  }
  std::unique_ptr<TensorSource> stored = open_stored_checkpoint(path);
  if (!is_folder(path)) return unscale_fp8(std::move(stored));
  return unscale_fp8(std::move(stored), read_fp8_layout(path));
}

std::unique_ptr<TensorSource> open_stored_checkpoint(const fs::path& path) {
  return is_folder(path) ? open_folder(path) : open_checkpoint_file(path);
}

std::unique_ptr<TensorSource> open_checkpoint_file(const fs::path& path) {
  switch (detect_file_format(path)) {
    case CheckpointFormat::gguf:
      return open_gguf(path);
    case CheckpointFormat::torch_archive:
      return open_torch_archive(path);
    default:
      return expand_csr(open_safetensors(path));
  }
}

std::string_view format_name(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::safetensors_file:
      return "safetensors";
    case CheckpointFormat::safetensors_folder:
      return "safetensors folder";
    case CheckpointFormat::gguf:
      return "gguf";
    case CheckpointFormat::torch_archive:
      return "torch archive";
    case CheckpointFormat::torch_folder:
      return "torch folder";
  }
  return "unknown";
}

}  // namespace amalgam

#pragma once

#include <filesystem>
#include <memory>

#include "amalgam/checkpoint/source.hpp"

namespace amalgam {

/// Opens a PyTorch zip archive as torch.save writes it since version 1.6 (`.pt`, `.pth`, `.bin`;
/// docs/formats/torch.md). No code is executed: the pickle inside is read by a restricted
/// unpickler that refuses, by name, everything but tensors, containers and plain values.
///
/// Which tensors: if the outermost object is a dict with a dict of tensors under `state_dict`,
/// `model` or `module` (the first of them in this order), the tensors of that one; otherwise all
/// tensors. Nested dicts, lists and tuples give names joined with '.' (indices for lists); a lone
/// tensor is called `tensor`. Everything else is left out and listed in metadata()["ignored"];
/// metadata()["root"] says which dict was taken, if one was. Tensors are presented contiguous
/// whatever their strides; tied ones are reported by aliases().
///
/// InputError for legacy files (before 1.6), TorchScript archives, big-endian archives, compressed
/// storages, and for anything malformed.
std::unique_ptr<TensorSource> open_torch_archive(const std::filesystem::path& path);

}  // namespace amalgam

#pragma once

#include <string_view>

#include "amalgam/checkpoint/restricted_pickle.hpp"

namespace amalgam {

/// What calling the known global `function` with the tuple `arguments` would make, as data: a dict,
/// bytes, a tuple or a tensor. Returns the new value's index in `tree` (or that of an argument, for
/// functions that hand it on). InputError naming `where` for arguments of other kinds.
PickleId rebuild_pickle_value(PickleTree& tree, PickleGlobal function, const PickleTuple& arguments,
                              std::string_view where);

/// The storage that the persistent id ('storage', type, key, location, elements) stands for.
PickleStorage read_persistent_id(const PickleTree& tree, PickleId id, std::string_view where);

}  // namespace amalgam

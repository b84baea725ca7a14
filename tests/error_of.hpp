#pragma once

#include <string>

#include "amalgam/core/error.hpp"

namespace amalgam {

/// The message of the InputError that `body` throws; "no error" if it throws none.
template <class Body>
std::string error_of(Body body) {
  try {
    body();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace amalgam

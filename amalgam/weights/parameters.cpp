#include "amalgam/weights/parameters.hpp"

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

template <class T>
const T& get(const std::map<std::string, ParameterValue, std::less<>>& values,
             std::string_view name) {
  const auto found = values.find(name);
  if (found == values.end()) throw Error("parameter '{}' is not set", name);
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) throw Error("parameter '{}' has another kind", name);
  return *value;
}

}  // namespace

double Parameters::number(std::string_view name) const { return get<double>(values_, name); }
bool Parameters::flag(std::string_view name) const { return get<bool>(values_, name); }
const std::string& Parameters::text(std::string_view name) const {
  return get<std::string>(values_, name);
}

}  // namespace amalgam

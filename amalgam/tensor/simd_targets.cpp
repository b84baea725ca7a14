#include "amalgam/tensor/simd_targets.hpp"

#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/simd_targets.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {

std::int64_t this_target() { return HWY_TARGET; }

}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam {
namespace {

HWY_EXPORT(this_target);

/// Makes every later HWY_DYNAMIC_DISPATCH choose among `targets`; 0: whatever the machine has.
void choose_among(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

struct RestoreTargets {
  RestoreTargets() = default;
  RestoreTargets(const RestoreTargets&) = delete;
  RestoreTargets& operator=(const RestoreTargets&) = delete;
  ~RestoreTargets() { choose_among(0); }
};

}  // namespace

std::string simd_target() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(this_target)()); }

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.emplace_back(hwy::TargetName(target));
  }
  return names;
}

void for_each_simd_target(const std::function<void(const std::string& name)>& body) {
  const RestoreTargets restore;
  const std::vector<std::int64_t> targets = hwy::SupportedAndGeneratedTargets();
  for (const std::int64_t target : targets) {
    choose_among(target);
    body(simd_target());
  }
}

}  // namespace amalgam
#endif  // HWY_ONCE

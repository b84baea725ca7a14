#pragma once

#include <memory>
#include <span>

#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// Lets a statistic be written once as templates: Derived has
///   template <class T> void absorb_block(const Block<T>&);  void combine_with(Derived& right);
template <class Derived>
class TypedStatistic : public Statistic {
 public:
  void absorb(const Block<float>& block) final { self().absorb_block(block); }
  void absorb(const Block<double>& block) final { self().absorb_block(block); }
  void combine(Statistic& right) final { self().combine_with(static_cast<Derived&>(right)); }

 private:
  Derived& self() { return static_cast<Derived&>(*this); }
};

/// Lets a merge be written once: Derived has
///   template <class T> void apply_block(const Block<T>&, std::span<double> out) const;
template <class Derived>
class TypedMerge : public UnitMerge {
 public:
  void apply(const Block<float>& block, std::span<double> out) const final {
    self().apply_block(block, out);
  }
  void apply(const Block<double>& block, std::span<double> out) const final {
    self().apply_block(block, out);
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

}  // namespace amalgam

#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "amalgam/checkpoint/adapter.hpp"

namespace amalgam {

/// What apply_adapter makes; see there.
class AdaptedSource final : public TensorSource {
 public:
  AdaptedSource(SharedSource base, Adapter adapter);

  void read_bytes(std::size_t tensor, std::uint64_t offset,
                  std::span<std::byte> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<float> out) const override;
  void read(std::size_t tensor, std::uint64_t first, std::span<double> out) const override;
  void will_need(std::size_t tensor, std::uint64_t offset, std::uint64_t bytes) const override;
  std::map<std::string, std::string> aliases() const override;

 private:
  /// What becomes of one tensor.
  struct Change {
    enum class What {
      none,
      product,  ///< + left right, and with DoRA times `vector` over the norms
      shift,    ///< + `vector`
      scale,    ///< * `vector`
    };
    What what = What::none;
    std::size_t start = 0;       ///< the tensor of the base, or of the adapter, that is changed
    bool is_saved = false;       ///< whether `start` is the adapter's
    std::size_t module = 0;      ///< index into the adapter's modules
    std::vector<double> vector;  ///< one number per row, or per group of columns
    bool by_row = false;
    std::uint64_t group = 1;  ///< columns that share a number
  };
  /// The factors of one tensor's product and, with DoRA, what its rows or columns are multiplied
  /// by.
  template <class T>
  struct Loaded {
    LowRankFactors<T> factors;
    std::vector<T> outputs;
    std::size_t bytes() const {
      return sizeof(T) * (factors.left.size() + factors.right.size() + outputs.size());
    }
  };
  /// Factors that were used last, the latest first.
  template <class T>
  struct Cache {
    std::mutex mutex;
    std::list<std::pair<std::size_t, std::shared_ptr<const Loaded<T>>>> entries;
  };

  std::size_t target(std::string_view name, std::string_view adapter_tensor) const;
  std::optional<std::size_t> find_target(std::string_view name) const;
  void replace(const std::string& name, std::size_t saved, std::vector<TensorInfo>& infos);
  void add_product(std::size_t index, std::vector<TensorInfo>& infos);
  void add_bias(std::size_t index);
  void add_scale(std::size_t index, std::vector<TensorInfo>& infos);
  bool scales_inputs(const AdapterModule& module, const TensorInfo& weight) const;
  void set_change(std::size_t base_tensor, Change change);
  void follow_aliases(std::vector<TensorInfo>& infos);
  std::vector<double> vector_of(std::size_t adapter_tensor) const;

  // Elements of a weight per index of its first axis.
  static std::uint64_t elements_per_row(const TensorInfo& info);
  bool unchanged(std::size_t tensor) const;
  const TensorSource& start_of(const Change& change) const {
    return change.is_saved ? *adapter_.tensors : *base_;
  }
  template <class T>
  void compute(std::size_t tensor, std::uint64_t first, std::span<T> out) const;
  template <class T, class Body>
  void for_each_block(std::size_t tensor, const LowRankFactors<T>& factors, std::uint64_t first,
                      std::uint64_t count, const Body& body) const;
  bool add_in_place(std::size_t tensor, std::uint64_t offset, std::span<std::byte> out) const;
  template <class T>
  void add_factors(std::size_t tensor, const LowRankFactors<T>& factors, std::uint64_t first,
                   std::span<T> out) const;
  template <class T>
  std::shared_ptr<const Loaded<T>> load(std::size_t tensor) const;
  template <class T>
  std::vector<T> output_factors(std::size_t tensor, const LowRankFactors<T>& factors) const;
  template <class T>
  Cache<T>& cache() const;

  SharedSource base_;
  Adapter adapter_;
  std::vector<Change> changes_;      // in the order of the base's tensors, then new ones
  std::vector<std::size_t> places_;  // of tensors(), in changes_
  mutable Cache<float> narrow_;
  mutable Cache<double> wide_;
};

}  // namespace amalgam

#include "amalgam/weights/plan_shapes.hpp"

#include <algorithm>

#include "amalgam/checkpoint/decorators.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/weights/layers.hpp"
#include "amalgam/weights/padded_source.hpp"

namespace amalgam {
namespace {

class Fitter {
 public:
  Fitter(const ShapeRequest& request, std::vector<std::shared_ptr<const TensorSource>>& sources)
      : request_(request), sources_(sources) {}

  ShapeResult run() {
    const PlanInput reference = request_.base.value_or(request_.members.front());
    const Shape& wanted = info(reference).shape;
    ShapeResult result{.shape = wanted, .members = {}, .kept = {}, .base = request_.base};
    const bool equal = std::all_of(request_.members.begin(), request_.members.end(),
                                   [&](const PlanInput& m) { return info(m).shape == wanted; });
    if (!equal && request_.rule.common_submatrix && is_vocabulary()) {
      cut_all(result);
      return result;
    }
    const bool pads = request_.base && !request_.rule.base_is_member && is_vocabulary();
    for (std::size_t i = 0; i < request_.members.size(); ++i) {
      PlanInput member = request_.members[i];
      if (info(member).shape != wanted) {
        const std::string differs = fmt::format(
            "{}: tensor '{}' has shape {}, but {} has {}", label(member), info(member).name,
            format_shape(info(member).shape), label(reference), format_shape(wanted));
        if (pads && request_.base) {
          member = padded(member, *request_.base);
          log::warn("{}; it is merged where both have rows and columns", differs);
        } else if (request_.allow_mismatch) {
          log::warn("{}; it is left out of this tensor", differs);
          continue;
        } else {
          throw InputError(
              "{}; expected one shape (--allow-shape-mismatch leaves such members out)", differs);
        }
      }
      result.members.push_back(member);
      result.kept.push_back(i);
    }
    return result;
  }

 private:
  const TensorInfo& info(const PlanInput& input) const {
    return sources_[input.source]->tensors()[input.tensor];
  }
  const std::string& label(const PlanInput& input) const { return sources_[input.source]->label(); }

  bool is_vocabulary() const {
    const auto is_matrix = [&](const PlanInput& input) { return info(input).shape.size() == 2; };
    return !request_.in_layers && is_vocabulary_name(request_.output) &&
           std::all_of(request_.members.begin(), request_.members.end(), is_matrix) &&
           (!request_.base || is_matrix(*request_.base));
  }

  void cut_all(ShapeResult& result) {
    const auto shrink = [&](const PlanInput& input) {
      for (std::size_t axis = 0; axis < 2; ++axis) {
        result.shape[axis] = std::min(result.shape[axis], info(input).shape[axis]);
      }
    };
    std::for_each(request_.members.begin(), request_.members.end(), shrink);
    log::warn("tensor '{}': the models have different shapes; merging the common {}",
              request_.output, format_shape(result.shape));
    for (std::size_t i = 0; i < request_.members.size(); ++i) {
      result.members.push_back(cut(request_.members[i], result.shape));
      result.kept.push_back(i);
    }
    if (result.base) result.base = cut(*result.base, result.shape);
  }

  PlanInput cut(const PlanInput& input, const Shape& shape) {
    if (info(input).shape == shape) return input;
    return view(
        std::make_shared<SubmatrixSource>(sources_[input.source],
                                          std::map<std::string, Shape>{{info(input).name, shape}}),
        info(input).name);
  }

  PlanInput padded(const PlanInput& input, const PlanInput& base) {
    return view(std::make_shared<PaddedSource>(sources_[input.source], input.tensor,
                                               sources_[base.source], base.tensor),
                info(input).name);
  }

  PlanInput view(std::shared_ptr<const TensorSource> source, const std::string& name) {
    const auto tensor = source->find(name);
    if (!tensor) throw Error("{}: a view without its tensor '{}'", source->label(), name);
    sources_.push_back(std::move(source));
    return {sources_.size() - 1, *tensor};
  }

  const ShapeRequest& request_;
  std::vector<std::shared_ptr<const TensorSource>>& sources_;
};

}  // namespace

ShapeResult fit_shapes(const ShapeRequest& request,
                       std::vector<std::shared_ptr<const TensorSource>>& sources) {
  return Fitter(request, sources).run();
}

}  // namespace amalgam

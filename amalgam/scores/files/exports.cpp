#include "amalgam/scores/files/exports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "amalgam/core/error.hpp"
#include "amalgam/core/system_failure.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::scores {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 200'000;
constexpr int kDeepestFolder = 16;

// Whether a name that someone wrote means a metric: all of it, what is before its filter, or both
// with a colon, as commas part names on the command line.
bool means(std::string_view name, std::string_view metric) {
  if (name == metric) return true;
  const std::size_t comma = metric.find(',');
  if (comma == std::string_view::npos || !name.starts_with(metric.substr(0, comma))) return false;
  const std::string_view rest = name.substr(comma);
  return rest.empty() || (rest.front() == ':' && rest.substr(1) == metric.substr(comma + 1));
}

// Of the ways to filter what a metric looks at.
std::string preferred_filter(const std::vector<std::string>& metrics) {
  for (const std::string_view filter : {",none", ",strict-match"}) {
    for (const std::string& metric : metrics) {
      if (metric.ends_with(filter)) return metric;
    }
  }
  return metrics.front();
}

std::vector<std::string> meant_by(std::string_view name,
                                  const std::vector<std::string>& available) {
  std::vector<std::string> metrics;
  std::ranges::copy_if(available, std::back_inserter(metrics),
                       [&](const std::string& metric) { return means(name, metric); });
  return metrics;
}

std::string listed(const std::vector<std::string>& names) {
  return printable(join(names, ", "), 400);
}

}  // namespace

std::string MetricChooser::usual_one(const std::string& task,
                                     const std::vector<std::string>& available,
                                     const std::vector<std::string>& usual,
                                     const std::string& where) {
  for (const std::string& name : usual) {
    const std::vector<std::string> metrics = meant_by(name, available);
    if (!metrics.empty()) return preferred_filter(metrics);
  }
  if (available.size() == 1) return available.front();
  throw InputError("{}: task '{}' has none of the usual metrics; choose with --metric, of {}",
                   where, printable(task), listed(available));
}

std::vector<MetricChooser::Choice> MetricChooser::choose(const std::string& task,
                                                         const std::vector<std::string>& available,
                                                         const std::vector<std::string>& usual,
                                                         const std::string& where) {
  std::vector<Choice> choices;
  if (available.empty()) return choices;
  const std::vector<std::string>& asked = into_.format().metrics;
  if (!asked.empty()) {
    for (const std::string& name : asked) {
      const std::vector<std::string> metrics = meant_by(name, available);
      if (metrics.empty()) continue;
      used_.insert(name);
      choices.push_back(
          {preferred_filter(metrics), asked.size() > 1 ? fmt::format("{}:{}", task, name) : task});
    }
    available_.insert(available.begin(), available.end());
    if (choices.empty()) {
      into_.warn(fmt::format("{}: task '{}' is left out: it has none of the metrics, but {}", where,
                             printable(task), listed(available)));
    }
    return choices;
  }
  const auto before = chosen_.find(task);
  if (before != chosen_.end()) {
    if (std::ranges::find(available, before->second) == available.end()) {
      throw InputError(
          "{}: task '{}' is measured by {} here, but by {} in other files; choose with --metric",
          where, printable(task), listed(available), printable(before->second));
    }
    return {{before->second, task}};
  }
  std::string metric = usual_one(task, available, usual, where);
  for (const std::string& other : available) {
    if (other != metric) into_.leave_out(other);
  }
  if (available.size() > 1 && warned_.insert(metric + "\n" + join(available, "\n")).second) {
    into_.warn(
        fmt::format("{}: of the metrics of task '{}' (and of others that have the same), {} "
                    "counts; choose with --metric, of {}",
                    where, printable(task), printable(metric), listed(available)));
  }
  chosen_[task] = metric;
  return {{std::move(metric), task}};
}

void MetricChooser::check_all_used() const {
  const std::vector<std::string> all(available_.begin(), available_.end());
  for (const std::string& name : into_.format().metrics) {
    if (used_.contains(name)) continue;
    throw InputError("--metric: no task has a metric '{}'{}; there are {}", printable(name),
                     did_you_mean(name, all), listed(all));
  }
}

void MetricValues::add(std::string_view instance, std::string_view metric, double value) {
  Mean& mean = means_[{metrics_.add(metric), instances_.add(instance)}];
  // In steps, so that no sum overflows.
  const auto count = static_cast<double>(++mean.count);
  mean.mean += value / count - mean.mean / count;
}

void MetricValues::add_whole(std::string_view metric, double value) { add("", metric, value); }

std::vector<std::string> MetricValues::metrics() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < metrics_.size(); ++i) names.emplace_back(metrics_[i]);
  std::ranges::sort(names);
  return names;
}

void MetricValues::put(std::string_view metric, Task task, System system, const std::string& where,
                       Measurements& into) const {
  const std::uint32_t number = metrics_.find(metric);
  for (auto at = means_.lower_bound({number, 0}); at != means_.end() && at->first.first == number;
       ++at) {
    const std::string_view name = instances_[at->first.second];
    const Instance instance =
        name.empty() ? into.whole() : into.instance(name, [&] { return where; });
    into.add(system, task, instance, at->second.mean);
  }
}

std::vector<MetricChooser::Choice> put_chosen(const MetricValues& values, const std::string& task,
                                              const std::string& system,
                                              const std::vector<std::string>& usual,
                                              const std::string& where, MetricChooser& chooser,
                                              Measurements& into) {
  const auto place = [&] { return where; };
  std::vector<MetricChooser::Choice> choices = chooser.choose(task, values.metrics(), usual, where);
  for (const MetricChooser::Choice& choice : choices) {
    const System number = into.system(system, place);
    values.put(choice.metric, into.task(choice.task, place), number, where, into);
  }
  return choices;
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    if (at.depth() >= kDeepestFolder) at.disable_recursion_pending();
    std::error_code ignored;
    if (at->is_symlink(ignored) || !at->is_regular_file(ignored)) continue;
    files.push_back(at->path());
    if (files.size() > kMostFiles) {
      throw InputError("{}: more than {} files; expected fewer", folder.string(), kMostFiles);
    }
  }
  // At an error the iterator is at its end too.
  if (error) {
    throw_system_error(error,
                       fmt::format("{}: cannot be listed: {}", folder.string(), error.message()));
  }
  std::ranges::sort(files);
  return files;
}

const nlohmann::json* member(const nlohmann::json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> text_member(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  std::string text = value->get<std::string>();
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace amalgam::scores

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/json.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/safetensors_sink.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kFormat = "amalgam.labels.state";
constexpr const char* kVersion = "1";
constexpr const char* kMethod = "amalgam.labels.method";
constexpr const char* kParameters = "amalgam.labels.parameters";

// Tensors in the making: bytes by name.
struct Column {
  std::string name;
  DType dtype;
  Shape shape;
  std::vector<std::byte> bytes;
};

template <class T>
Column column(std::string name, DType dtype, const std::vector<T>& values, Shape shape = {}) {
  Column result{
      std::move(name), dtype, shape.empty() ? Shape{values.size()} : std::move(shape), {}};
  result.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

// A pool as two tensors: all names one after the other, and where each begins.
void add_names(std::vector<Column>& columns, const std::string& what, const StringPool& pool) {
  std::vector<char> bytes;
  std::vector<std::uint64_t> begins{0};
  for (std::size_t id = 0; id < pool.size(); ++id) {
    const std::string_view name = pool[id];
    bytes.insert(bytes.end(), name.begin(), name.end());
    begins.push_back(bytes.size());
  }
  columns.push_back(column(what + ".names", DType::u8, bytes));
  columns.push_back(column(what + ".begins", DType::u64, begins));
}

// Reads tensors of a state, each checked for its type and length.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path), source_(open_checkpoint(path.string())) {
    const auto& metadata = source_->metadata();
    const auto format = metadata.find(kFormat);
    if (format == metadata.end() || format->second != kVersion) {
      fail("it is no state of labels (of version 1); 'amalgam label aggregate --state' makes them");
    }
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw InputError("{}: {}", path_.string(), what);
  }

  std::string text(const char* key) const {
    const auto found = source_->metadata().find(key);
    if (found == source_->metadata().end()) fail(fmt::format("it has no '{}'", key));
    return found->second;
  }

  template <class T>
  std::vector<T> column(const std::string& name, DType dtype) const {
    const auto found = source_->find(name);
    if (!found) fail(fmt::format("it has no '{}'", name));
    const TensorInfo& info = source_->tensors()[*found];
    if (info.dtype != dtype) fail(fmt::format("'{}' has another type than expected", name));
    std::vector<T> values(info.elements);
    source_->read_bytes(*found, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }

  StringPool names(const std::string& what) const {
    const auto bytes = column<char>(what + ".names", DType::u8);
    const auto begins = column<std::uint64_t>(what + ".begins", DType::u64);
    check(!begins.empty() && begins.front() == 0 && begins.back() == bytes.size(), what);
    StringPool pool;
    for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
      check(begins[i] < begins[i + 1] && begins[i + 1] <= bytes.size(), what);
      const std::string_view name(bytes.data() + begins[i], begins[i + 1] - begins[i]);
      check(is_utf8(name) && pool.add(name) == i, what);
    }
    return pool;
  }

  void check(bool holds, std::string_view what) const {
    if (!holds) fail(fmt::format("its {} do not fit together", what));
  }

 private:
  std::filesystem::path path_;
  std::unique_ptr<TensorSource> source_;
};

}  // namespace

void check_state_name(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") {
    throw InputError("{}: expected a name that ends in .safetensors for a state", path.string());
  }
}

void IncrementalFit::save(const std::filesystem::path& path) const {
  check_state_name(path);
  std::vector<Column> columns;
  add_names(columns, "tasks", tasks_);
  add_names(columns, "workers", workers_);
  add_names(columns, "labels", labels_);
  std::vector<std::uint64_t> begins{0};
  std::vector<std::uint32_t> workers;
  std::vector<std::uint16_t> labels;
  std::vector<float> weights;
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    each_row(static_cast<Task>(task), [&](const Row& row) {
      workers.push_back(row.worker);
      labels.push_back(row.label);
      weights.push_back(row.weight);
    });
    begins.push_back(workers.size());
  }
  columns.push_back(column("rows.begins", DType::u64, begins));
  columns.push_back(column("rows.workers", DType::u32, workers));
  columns.push_back(column("rows.labels", DType::u16, labels));
  columns.push_back(column("rows.weights", DType::f32, weights));
  columns.push_back(column("appearance", DType::u32, appearance_));
  columns.push_back(
      column("posterior", DType::f64, posterior_, Shape{tasks_.size(), labels_.size()}));

  std::vector<TensorInfo> tensors;
  for (const Column& one : columns) {
    tensors.push_back(make_tensor_info(one.name, one.dtype, one.shape, path.string()));
  }
  OutputTransaction transaction(path, {.overwrite = true});
  const auto sink = create_safetensors_file(
      transaction.work_path(), tensors,
      {{kFormat, kVersion}, {kMethod, method_}, {kParameters, nlohmann::json(parameters_).dump()}});
  for (const Column& one : columns) {
    const auto found = std::ranges::find(sink->tensors(), one.name, &TensorInfo::name);
    sink->write(static_cast<std::size_t>(found - sink->tensors().begin()), 0, one.bytes);
  }
  sink->finish();
  transaction.commit();
}

IncrementalFit IncrementalFit::load(const std::filesystem::path& path) {
  const Reader reader(path);
  IncrementalFit fit;
  fit.method_ = reader.text(kMethod);
  const nlohmann::json parameters = parse_json(reader.text(kParameters), path.string());
  reader.check(parameters.is_array(), "parameters");
  for (const nlohmann::json& parameter : parameters) {
    reader.check(parameter.is_string(), "parameters");
    fit.parameters_.push_back(parameter.get<std::string>());
  }
  fit.set_method();
  AnnotationTable table;
  table.task_names = reader.names("tasks");
  table.worker_names = reader.names("workers");
  table.label_names = reader.names("labels");
  table.task_begins = reader.column<std::uint64_t>("rows.begins", DType::u64);
  table.workers = reader.column<std::uint32_t>("rows.workers", DType::u32);
  table.labels = reader.column<std::uint16_t>("rows.labels", DType::u16);
  table.weights = reader.column<float>("rows.weights", DType::f32);
  table.appearance = reader.column<std::uint32_t>("appearance", DType::u32);
  fit.posterior_ = reader.column<double>("posterior", DType::f64);

  const std::size_t rows = table.workers.size();
  const std::size_t classes = table.label_count();
  reader.check(table.labels.size() == rows && table.weights.size() == rows && rows > 0, "rows");
  reader.check(classes >= 2 && classes <= kMostLabels && table.worker_count() >= 1, "names");
  reader.check(table.task_begins.size() == table.task_count() + 1 &&
                   table.task_begins.front() == 0 && table.task_begins.back() == rows &&
                   std::ranges::is_sorted(table.task_begins),
               "rows");
  for (std::size_t row = 0; row < rows; ++row) {
    reader.check(table.workers[row] < table.worker_count() && table.labels[row] < classes &&
                     table.weights[row] >= 0 && std::isfinite(table.weights[row]),
                 "rows");
  }
  reader.check(std::ranges::any_of(table.weights, [](float weight) { return weight > 0; }), "rows");
  std::vector<bool> seen(table.task_count(), false);
  reader.check(table.appearance.size() == table.task_count(), "tasks");
  for (const Task task : table.appearance) {
    reader.check(task < seen.size() && !seen[task], "tasks");
    seen[task] = true;
  }
  reader.check(fit.posterior_.size() == table.task_count() * classes, "posteriors");
  for (const double p : fit.posterior_) reader.check(p >= 0 && p <= 1 + 1e-9, "posteriors");
  table.tasks.resize(rows);
  models::check_confusion_size(table);
  fit.set_rows(table);
  fit.recount({});
  return fit;
}

}  // namespace amalgam::labels

#include "amalgam/labels/annotation_exports.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/input_file.hpp"
#include "amalgam/data/line_reader.hpp"

namespace amalgam::labels {
namespace {

using Json = nlohmann::json;

constexpr std::uintmax_t kLargestExport = std::uintmax_t{1} << 31U;
constexpr JsonLimits kLimits{.depth = 64, .values = 100'000'000};

class ExportReader {
 public:
  ExportReader(std::string_view question,
               const std::function<void(const ExportedAnnotation&)>& take, bool several, bool empty)
      : question_(question), take_(take), several_(several), empty_(empty) {}

  void read(ExportKind kind, const std::filesystem::path& path) {
    file_ = path;
    if (kind == ExportKind::label_studio) {
      each_of(whole(path), [&](const Json& task) { label_studio_task(task); });
    } else if (begins_with_list(path)) {
      each_of(whole(path), [&](const Json& record) { one_record(kind, record); });
    } else {
      LineReader reader(path, kLongestLine);
      while (reader.next()) {
        if (reader.line().find_first_not_of(" \t") == std::string_view::npos) continue;
        place_ = reader.place();
        one_record(kind, parse_json(reader.line(), place_, kLimits));
      }
    }
    if (question_.empty() && questions_.size() > 1) {
      throw InputError("{}: it has several questions ({}); choose one with --question",
                       path.string(), names());
    }
    if (!question_.empty() && !questions_.contains(question_)) {
      throw InputError("{}: it has no answer to '{}'{}", path.string(), question_,
                       questions_.empty() ? std::string() : "; it has answers to " + names());
    }
  }

 private:
  static constexpr std::size_t kLongestLine = std::size_t{64} << 20U;

  std::string names() const {
    return printable(join(std::vector<std::string>(questions_.begin(), questions_.end()), ", "),
                     400);
  }

  static bool begins_with_list(const std::filesystem::path& path) {
    std::ifstream file = open_for_reading(path, "a tool's export");
    char c = 0;
    while (file.get(c)) {
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return c == '[';
    }
    return false;
  }

  static Json whole(const std::filesystem::path& path) {
    std::error_code ignored;
    const auto size = std::filesystem::file_size(path, ignored);
    if (!ignored && size > kLargestExport) {
      throw InputError("{}: {} bytes are too many for one JSON value; expected at most {}",
                       path.string(), size, kLargestExport);
    }
    std::ifstream file = open_for_reading(path, "a tool's export");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    Json list = parse_json(text, path.string(), kLimits);
    if (!list.is_array()) {
      throw InputError("{}: it is {}; expected a list of tasks", path.string(), list.type_name());
    }
    return list;
  }

  template <class Body>
  void each_of(const Json& list, const Body& body) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      place_ = fmt::format("{}: item {}", file_.string(), i + 1);
      body(list[i]);
    }
  }

  void one_record(ExportKind kind, const Json& record) {
    if (kind == ExportKind::doccano) {
      doccano_record(record);
    } else {
      argilla_record(record);
    }
  }

  const Json& need(const Json& object, const char* key) const {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end()) {
      throw InputError("{}: it has no '{}'; is this another tool's export?", place_, key);
    }
    return *found;
  }

  static const Json* find(const Json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  std::string text(const Json& value, std::string_view what) const {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number() || value.is_boolean()) return value.dump();
    throw InputError("{}: the {} is {}; expected a text or a number", place_, what,
                     value.type_name());
  }

  // Takes an answer: one label, alone or in a list of one, or several.
  void take(const std::string& task, const std::string& worker, const Json& value,
            const Json* time = nullptr) const {
    ExportedAnnotation one{task, worker, {}, {}, place_};
    if (time != nullptr) one.time = text(*time, "time");
    const bool is_list = value.is_array();
    if (is_list && value.size() != 1 && !several_) refuse_several(value);
    if (!is_list) {
      one.label = text(value, "label");
      take_(one);
      return;
    }
    if (value.empty() && empty_) take_(one);
    for (const Json& label : value) {
      one.label = text(label, "label");
      take_(one);
    }
  }

  [[noreturn]] void refuse_several(const Json& value) const {
    throw InputError(
        "{}: the answer has {} labels; expected one ('amalgam label multilabel' is for "
        "several)",
        place_, value.size());
  }

  // Notes that there is an answer to a question, and whether it is the one asked for.
  bool is_asked(const std::string& question) {
    questions_.insert(question);
    return question_.empty() || question == question_;
  }

  void label_studio_task(const Json& task) {
    const std::string id = text(need(task, "id"), "id");
    const Json* annotations = find(task, "annotations");
    if (annotations == nullptr) annotations = &need(task, "completions");
    for (const Json& annotation : *annotations) {
      const Json* cancelled = find(annotation, "was_cancelled");
      if (cancelled != nullptr && *cancelled == true) continue;
      const Json* by = find(annotation, "completed_by");
      std::string worker = "unknown";
      if (by != nullptr) worker = by->is_object() ? text(need(*by, "id"), "id") : text(*by, "id");
      const Json* time = find(annotation, "created_at");
      bool answers = false;
      for (const Json& result : need(annotation, "result")) {
        const Json* name = find(result, "from_name");
        if (name == nullptr || !is_asked(text(*name, "from_name"))) continue;
        take(id, worker, label_studio_answer(need(result, "value")), time);
        answers = true;
      }
      if (!answers && empty_) take(id, worker, Json::array(), time);
    }
  }

  const Json& label_studio_answer(const Json& value) const {
    for (const char* key : {"choices", "rating", "number", "text"}) {
      if (const Json* found = find(value, key)) return *found;
    }
    throw InputError(
        "{}: the answer has no choices, rating, number or text; other kinds are not "
        "labels of whole tasks",
        place_);
  }

  void doccano_record(const Json& record) {
    const std::string id = text(need(record, "id"), "id");
    if (const Json* annotations = find(record, "annotations")) {
      for (const Json& annotation : *annotations) {
        take(id, text(need(annotation, "user"), "user"), need(annotation, "label"));
      }
    } else {
      const Json* labels = find(record, "label");
      if (labels == nullptr) labels = find(record, "labels");
      if (labels == nullptr || (labels->is_array() && labels->empty() && !empty_)) return;
      take(id, file_.stem().string(), *labels);
    }
    questions_.insert(std::string(question_));
  }

  void argilla_record(const Json& record) {
    const Json* id = find(record, "external_id");
    const std::string task = text(id != nullptr ? *id : need(record, "id"), "id");
    if (const Json* annotation = find(record, "annotation")) {
      const Json* agent = find(record, "annotation_agent");
      take(task, agent != nullptr ? text(*agent, "agent") : "unknown", *annotation);
      questions_.insert(std::string(question_));
      return;
    }
    const Json* responses = find(record, "responses");
    if (responses == nullptr) {
      flat_argilla_record(task, record);
      return;
    }
    if (responses->is_object()) {
      for (const auto& [name, answers] : responses->items()) {
        if (!is_asked(name)) continue;
        for (const Json& answer : answers) argilla_answer(task, answer, need(answer, "value"));
      }
      return;
    }
    for (const Json& answer : *responses) {
      const Json* values = find(answer, "values");
      if (values == nullptr) continue;
      for (const auto& [name, value] : values->items()) {
        if (is_asked(name)) argilla_answer(task, answer, need(value, "value"));
      }
    }
  }

  // `QUESTION.responses` are the answers, one per user, beside lists of users and statuses.
  void flat_argilla_record(const std::string& task, const Json& record) {
    constexpr std::string_view kEnd = ".responses";
    for (const auto& [key, answers] : record.items()) {
      if (!key.ends_with(kEnd) || !answers.is_array()) continue;
      if (!is_asked(key.substr(0, key.size() - kEnd.size()))) continue;
      const Json* users = list_beside(record, key + ".users", answers.size());
      const Json* states = list_beside(record, key + ".status", answers.size());
      for (std::size_t i = 0; i < answers.size(); ++i) {
        if (states != nullptr && (*states)[i] != "submitted") continue;
        take(task, users != nullptr ? text((*users)[i], "user") : "unknown", answers[i]);
      }
    }
  }

  const Json* list_beside(const Json& record, const std::string& key, std::size_t size) const {
    const Json* list = find(record, key.c_str());
    if (list == nullptr || (list->is_array() && list->size() == size)) return list;
    throw InputError("{}: '{}' is no list of {}; expected one entry for each answer", place_, key,
                     size);
  }

  void argilla_answer(const std::string& task, const Json& answer, const Json& value) const {
    const Json* status = find(answer, "status");
    if (status != nullptr && *status != "submitted") return;
    const Json* user = find(answer, "user_id");
    take(task, user != nullptr ? text(*user, "user") : "unknown", value);
  }

  std::string question_;
  const std::function<void(const ExportedAnnotation&)>& take_;
  const bool several_;
  const bool empty_;
  std::filesystem::path file_;
  std::string place_;
  std::set<std::string, std::less<>> questions_;
};

}  // namespace

void each_exported_annotation(ExportKind kind, const std::filesystem::path& path,
                              std::string_view question,
                              const std::function<void(const ExportedAnnotation&)>& take,
                              bool several, bool empty) {
  ExportReader(question, take, several, empty).read(kind, path);
}

}  // namespace amalgam::labels

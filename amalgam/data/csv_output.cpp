#include "amalgam/data/csv_output.hpp"

namespace amalgam {

CsvOutput::CsvOutput(const std::filesystem::path& path)
    : output_(path),
      separator_(path.extension() == ".tsv" || path.extension() == ".tab" ? '\t' : ',') {}

CsvOutput& CsvOutput::field(std::string_view text) {
  part();
  append_csv_field(line_, text, separator_);
  return *this;
}

CsvOutput& CsvOutput::field(double value) {
  part();
  append_number(line_, value);
  return *this;
}

void CsvOutput::end() {
  line_ += '\n';
  output_.write(line_);
  line_.clear();
  begun_ = false;
}

void CsvOutput::part() {
  if (begun_) line_ += separator_;
  begun_ = true;
}

}  // namespace amalgam

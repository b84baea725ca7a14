#include "amalgam/report/page.hpp"

#include <algorithm>

#include "amalgam/report/svg.hpp"

namespace amalgam::report {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light}
body{margin:0;background:#fff;color:#24292f;font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:932px;margin:0 auto;padding:28px 16px 64px}
h1{font-size:28px;line-height:1.25;margin:0 0 12px}
h2{font-size:19px;margin:36px 0 8px}
p{margin:8px 0;max-width:72ch}
figure{margin:20px 0}
figure svg{display:block;max-width:100%;height:auto;border:1px solid #d8dee4;border-radius:6px}
figcaption{color:#57606a;font-size:14px;margin-top:6px;max-width:84ch}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;margin:12px 0}
th,td{padding:5px 9px;text-align:right;border-bottom:1px solid #d8dee4;white-space:nowrap}
th{border-bottom:2px solid #8c959f;font-weight:600}
th:first-child,td:first-child{text-align:left;padding-left:4px}
tr.strong td{font-weight:600;background:#eef4fb}
pre{background:#f6f8fa;border-radius:6px;padding:12px;overflow-x:auto;font-size:13px;line-height:1.45}
)";

}  // namespace

void Page::heading(std::string_view text) { body_ += "<h2>" + escape(text) + "</h2>\n"; }

void Page::paragraph(std::string_view text) { body_ += "<p>" + escape(text) + "</p>\n"; }

void Page::figure(const std::string& svg, std::string_view caption) {
  body_ += "<figure>\n" + svg + "<figcaption>" + escape(caption) + "</figcaption></figure>\n";
}

void Page::table(const std::vector<std::string>& titles,
                 const std::vector<std::vector<std::string>>& rows,
                 const std::vector<std::size_t>& strong_rows) {
  body_ += "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& title : titles) body_ += "<th>" + escape(title) + "</th>";
  body_ += "</tr></thead><tbody>\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const bool strong = std::find(strong_rows.begin(), strong_rows.end(), r) != strong_rows.end();
    body_ += strong ? "<tr class=\"strong\">" : "<tr>";
    for (const std::string& cell : rows[r]) body_ += "<td>" + escape(cell) + "</td>";
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void Page::code(std::string_view text) { body_ += "<pre>" + escape(text) + "</pre>\n"; }

std::string Page::html() const {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         escape(title_) + "</title>\n<style>" + kStyle + "</style></head>\n<body><main>\n<h1>" +
         escape(title_) + "</h1>\n" + body_ + "</main></body></html>\n";
}

}  // namespace amalgam::report

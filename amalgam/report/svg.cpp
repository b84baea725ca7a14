#include "amalgam/report/svg.hpp"

#include <fmt/format.h>

namespace amalgam::report {
namespace {

constexpr const char* kStyle = R"(
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}
.panel{font-size:12.5px;font-weight:600;fill:#57606a}
.label{font-size:12.5px}
.strong{font-size:12.5px;font-weight:600}
.small{font-size:11px;fill:#57606a}
.value{font-size:11.5px;fill:#57606a;font-variant-numeric:tabular-nums}
.paper{fill:#fff}
.stripe{fill:#f6f8fa}
.grid{stroke:#d8dee4;stroke-width:1}
.axis{stroke:#8c959f;stroke-width:1}
.reference{stroke:#57606a;stroke-width:1;stroke-dasharray:4 3}
.bar0{stroke:#8c959f}.dot0{fill:#8c959f}
.bar1{stroke:#7aa2d6}.dot1{fill:#7aa2d6}
.bar2{stroke:#0b5cad}.dot2{fill:#0b5cad}
.bar3{stroke:#c2571a}.dot3{fill:#c2571a}
.bar0,.bar1,.bar2,.bar3{stroke-width:2.5;stroke-linecap:round;opacity:.75}
.line0,.line1,.line2,.line3{fill:none;stroke-width:2}
.line0{stroke:#8c959f}.line1{stroke:#7aa2d6}.line2{stroke:#0b5cad}.line3{stroke:#c2571a}
.dashed{stroke-dasharray:6 4}
.open{fill-opacity:.55;stroke:#fff;stroke-width:.6}
.oncell{font-size:11px;fill:#24292f;font-variant-numeric:tabular-nums}
.oncell.dark{fill:#fff}
.band0,.band1,.band2,.band3{opacity:.14}
.band0{fill:#8c959f}.band1{fill:#7aa2d6}.band2{fill:#0b5cad}.band3{fill:#c2571a}
)";

const char* anchor_name(Svg::Anchor anchor) {
  switch (anchor) {
    case Svg::Anchor::start:
      return "start";
    case Svg::Anchor::middle:
      return "middle";
    case Svg::Anchor::end:
      return "end";
  }
  return "start";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return out;
}

Svg::Svg(double width, double height, std::string_view title)
    : width_(width), height_(height), title_(title) {
  rectangle(0, 0, width, height, "paper");
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  body_ += fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>)", x1,
                       y1, x2, y2, css_class) +
           "\n";
}

void Svg::rectangle(double x, double y, double width, double height, std::string_view css_class) {
  body_ += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"/>)",
                       x, y, width, height, css_class) +
           "\n";
}

void Svg::circle(double x, double y, double radius, std::string_view css_class,
                 std::string_view tooltip) {
  body_ += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}">)", x, y, radius,
                       css_class);
  if (!tooltip.empty()) body_ += "<title>" + escape(tooltip) + "</title>";
  body_ += "</circle>\n";
}

void Svg::text(double x, double y, std::string_view content, std::string_view css_class,
               Anchor anchor) {
  body_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>)", x, y,
                       css_class, anchor_name(anchor), escape(content)) +
           "\n";
}

void Svg::slanted_text(double x, double y, std::string_view content, std::string_view css_class,
                       double degrees, Anchor anchor) {
  body_ +=
      fmt::format(R"svg(<text transform="translate({:.1f} {:.1f}) rotate({:.0f})" class="{}" )svg"
                  R"svg(text-anchor="{}">{}</text>)svg",
                  x, y, -degrees, css_class, anchor_name(anchor), escape(content)) +
      "\n";
}

void Svg::cell(double x, double y, double width, double height, std::string_view colour,
               std::string_view tooltip) {
  body_ += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}">)",
                       x, y, width, height, colour);
  if (!tooltip.empty()) body_ += "<title>" + escape(tooltip) + "</title>";
  body_ += "</rect>\n";
}

void Svg::polyline(const std::string& points, std::string_view css_class) {
  body_ += fmt::format(R"(<polyline points="{}" class="{}"/>)", points, css_class) + "\n";
}

void Svg::polygon(const std::string& points, std::string_view css_class) {
  body_ += fmt::format(R"(<polygon points="{}" class="{}"/>)", points, css_class) + "\n";
}

std::string Svg::finish() const {
  return fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" )"
                     R"(width="{0:.0f}" height="{1:.0f}" role="img" aria-label="{2}">)",
                     width_, height_, escape(title_)) +
         "\n<style>" + kStyle + "</style>\n" + body_ + "</svg>\n";
}

}  // namespace amalgam::report

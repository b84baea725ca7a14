#pragma once

#include <string>
#include <string_view>

namespace amalgam::report {

/// `text` with what HTML and SVG give a meaning escaped; control characters become spaces.
std::string escape(std::string_view text);

/// A drawing under construction. Lengths are in pixels, y grows downwards. Colours, fonts and
/// widths come from classes that the style sheet inside the drawing defines (see svg.cpp), so that
/// it looks the same on a page and as a file of its own.
class Svg {
 public:
  enum class Anchor { start, middle, end };

  Svg(double width, double height, std::string_view title);

  void line(double x1, double y1, double x2, double y2, std::string_view css_class);
  void rectangle(double x, double y, double width, double height, std::string_view css_class);
  /// `tooltip` is shown when the mouse rests on it; empty: none.
  void circle(double x, double y, double radius, std::string_view css_class,
              std::string_view tooltip = {});
  void text(double x, double y, std::string_view content, std::string_view css_class,
            Anchor anchor = Anchor::start);
  /// A text that rises to the right from (x, y), or ends there.
  void slanted_text(double x, double y, std::string_view content, std::string_view css_class,
                    double degrees, Anchor anchor = Anchor::start);
  /// A rectangle whose colour ("#0b5cad") stands for a value.
  void cell(double x, double y, double width, double height, std::string_view colour,
            std::string_view tooltip = {});
  /// A line through points ("x,y x,y ...") as polyline() builds it.
  void polyline(const std::string& points, std::string_view css_class);
  void polygon(const std::string& points, std::string_view css_class);

  /// The whole element.
  std::string finish() const;

 private:
  std::string body_;
  double width_;
  double height_;
  std::string title_;
};

}  // namespace amalgam::report

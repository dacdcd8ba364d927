//! One plot, drawn as SVG by `plotters`.
//!
//! The drawing has names for its colours, which the page's style gives values to: one for light
//! and one for dark.

use plotters::coord::ranged1d::{
    KeyPointHint, KeyPointWeight, NoDefaultFormatting, Ranged, ValueFormatter,
};
use plotters::prelude::*;

use super::axis::Axis;

/// plotters puts points on whole pixels: so many to one that is seen.
const FINE: u32 = 3;
/// Of the whole drawing, as it is seen.
const SIZE: (u32, u32) = (440, 260);
/// Room for the names beside the axes.
const LEFT: u32 = 70;
const BELOW: u32 = 24;
const FONT: u32 = 15;
/// Points of a line at most: what lies between is told by its least and greatest value.
const POINTS_MAX: usize = 800;

/// What is drawn: axes, and lines or marks upon them.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// What one should know to read it.
    pub(super) caption: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// Values that belong together.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) ink: Ink,
    pub(super) shape: Shape,
    /// Where it stands, in the axes' values. A point that an axis does not have is a gap.
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Line,
    /// A dot on each point.
    Dots,
}

/// A colour, by what it is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ink {
    /// Axes and their names.
    Text,
    Grid,
    /// The figure that is looked at first.
    First,
    Second,
    Third,
    /// A bound, or a line fitted to others: drawn dashed.
    Limit,
    /// What went well, or badly.
    Good,
    Bad,
}

impl Ink {
    const ALL: [Self; 8] = [
        Self::Text,
        Self::Grid,
        Self::First,
        Self::Second,
        Self::Third,
        Self::Limit,
        Self::Good,
        Self::Bad,
    ];

    /// The property of the style sheet that has its value.
    pub(super) fn property(self) -> &'static str {
        match self {
            Self::Text => "--text",
            Self::Grid => "--grid",
            Self::First => "--first",
            Self::Second => "--second",
            Self::Third => "--third",
            Self::Limit => "--limit",
            Self::Good => "--good",
            Self::Bad => "--bad",
        }
    }

    /// A colour that stands for it in what plotters writes.
    fn stand_in(self) -> RGBColor {
        RGBColor(0xF0, 0xF1, self as u8)
    }

    fn style(self, width: u32) -> ShapeStyle {
        ShapeStyle { color: self.stand_in().to_rgba(), filled: false, stroke_width: width * FINE }
    }
}

impl Plot {
    /// Whether a line has two points, or a mark one.
    pub(super) fn has_something(&self) -> bool {
        self.lines.iter().any(|line| !line.runs(self).is_empty())
    }

    /// The drawing.
    ///
    /// # Errors
    /// In plotters' words; there is none that we know of.
    pub(super) fn svg(&self) -> Result<String, String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| format!("drawing {}: {error}", self.title))?;
        Ok(finish(svg))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (SIZE.0 * FINE, SIZE.1 * FINE)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(8 * FINE)
            .margin_right(28 * FINE)
            .x_label_area_size(BELOW * FINE)
            .y_label_area_size(LEFT * FINE)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let font = ("sans-serif", FONT * FINE).into_font().color(&Ink::Text.stand_in());
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.style(1))
            .axis_style(Ink::Grid.style(1))
            .set_all_tick_mark_size(4 * FINE)
            .label_style(font)
            .draw()?;
        for line in &self.lines {
            for run in line.runs(self) {
                match line.shape {
                    Shape::Line => {
                        chart.draw_series(LineSeries::new(run, line.ink.style(2)))?;
                    }
                    Shape::Dots => {
                        let style = line.ink.stand_in().filled();
                        let dot = |place| Circle::new(place, 5 * FINE, style);
                        chart.draw_series(run.into_iter().map(dot))?;
                    }
                }
            }
        }
        root.present()?;
        Ok(())
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.from) / (self.to - self.from);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight() {
            KeyPointWeight::Bold => self.ticks.iter().map(|tick| tick.0).collect(),
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        let mut ticks = self.ticks.iter();
        ticks.find(|tick| tick.0 == *place).map_or_else(String::new, |tick| tick.1.clone())
    }
}

/// The colours by name, and a size that the page decides.
fn finish(svg: String) -> String {
    let mut svg = svg;
    for ink in Ink::ALL {
        let RGBColor(red, green, blue) = ink.stand_in();
        let stand_in = format!("#{red:02X}{green:02X}{blue:02X}");
        svg = svg.replace(&stand_in, &format!("var({})", ink.property()));
    }
    let (width, height) = (SIZE.0 * FINE, SIZE.1 * FINE);
    svg.replacen(&format!("width=\"{width}\" height=\"{height}\" "), "", 1)
}

impl Line {
    /// Its places, parted where there is a gap.
    fn runs(&self, plot: &Plot) -> Vec<Vec<(f64, f64)>> {
        let places: Vec<_> =
            self.points.iter().map(|&(x, y)| Some((plot.x.place(x)?, plot.y.place(y)?))).collect();
        let runs = places.split(Option::is_none);
        let runs = runs.map(|run| run.iter().flatten().copied().collect::<Vec<_>>());
        let least = if self.shape == Shape::Line { 2 } else { 1 };
        runs.filter(|run| run.len() >= least).map(thinned).collect()
    }
}

/// The same course with [`POINTS_MAX`] points: of each stretch the least and the greatest.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points;
    }
    let stretch = points.len().div_ceil(POINTS_MAX / 2);
    let ends = points.chunks(stretch).flat_map(|stretch| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let least = stretch.iter().min_by(by_value);
        let greatest = stretch.iter().max_by(by_value);
        let mut ends: Vec<_> = least.into_iter().chain(greatest).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let plain = |value: f64| format!("{value} ms");
        Plot {
            title: "A plot",
            caption: String::new(),
            x: Axis::time(10.0),
            y: Axis::log(1.0, 100.0, plain),
            lines: vec![Line { name: "p99", ink: Ink::First, shape: Shape::Line, points }],
        }
    }

    #[test]
    fn a_drawing_has_its_line_its_names_and_no_colour_of_its_own() {
        let svg = plot(vec![(1.0, 2.0), (5.0, 50.0), (9.0, 3.0)]).svg().expect("drawn");
        assert_eq!(svg.matches("var(--first)").count(), 1, "{svg}");
        assert!(svg.contains("10 ms") && svg.contains("4 s"), "{svg}");
        assert!(svg.contains("viewBox") && !svg.contains("\" width=\"1320\""), "{svg}");
        let colours: Vec<_> = svg.match_indices("=\"#").map(|(at, _)| &svg[at..at + 9]).collect();
        assert!(colours.is_empty(), "{colours:?}");
    }

    #[test]
    fn a_value_that_is_not_there_parts_the_line() {
        let with_gap = plot(vec![(1.0, 2.0), (2.0, 2.0), (3.0, 0.0), (4.0, 2.0), (5.0, 2.0)]);
        assert_eq!(with_gap.lines[0].runs(&with_gap).len(), 2);
        assert!(with_gap.has_something());
        assert!(!plot(vec![(1.0, 0.0), (2.0, 2.0)]).has_something());
    }

    #[test]
    fn a_long_line_keeps_its_peaks() {
        let mut points: Vec<_> = (0..86_400).map(|at| (f64::from(at), 1.0)).collect();
        points[5_000].1 = 900.0;
        let thinned = thinned(points);
        assert!(thinned.len() <= POINTS_MAX, "{}", thinned.len());
        assert!(thinned.contains(&(5_000.0, 900.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }
}

//! Charts as SVG, drawn by plotters: axes, and lines, bars and dots between them.

use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::{Circle, PathElement, Rectangle},
    prelude::{DrawingBackend, SVGBackend},
    style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE},
};
use thumbnet_trainer::error::visible;

/// Of series: they can be told apart on a light ground and on a dark one.
const SERIES: [RGBColor; 10] = [
    RGBColor(0x2f, 0x7e, 0xd8),
    RGBColor(0xe0, 0x7b, 0x39),
    RGBColor(0x2c, 0xa3, 0x6b),
    RGBColor(0xd6, 0x45, 0x50),
    RGBColor(0x8e, 0x6b, 0xd1),
    RGBColor(0xa0, 0x71, 0x4f),
    RGBColor(0xd6, 0x67, 0xaa),
    RGBColor(0x7f, 0x87, 0x90),
    RGBColor(0xa5, 0xa0, 0x2b),
    RGBColor(0x1f, 0xa7, 0xb8),
];
/// Of axes and texts, as they stand in the SVG.
pub const INK: &str = "#5B6570";
const INK_COLOR: RGBColor = RGBColor(0x5b, 0x65, 0x70);
/// Of the lines behind, as they stand in the SVG.
pub const GRID: &str = "#D8DDE3";
const GRID_COLOR: RGBColor = RGBColor(0xd8, 0xdd, 0xe3);

/// Coordinates are whole numbers: so many of them are one pixel.
const SCALE: u32 = 4;
/// Pixels of a chart on a page.
const WIDTH: u32 = 360;
const HEIGHT: u32 = 230;

/// One pair of axes and what is drawn between them.
pub struct Chart {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// One axis. Its ends are the least and the greatest of the values where they are not given.
#[derive(Default)]
pub struct Axis {
    pub name: &'static str,
    /// What is always within.
    pub within: Option<(f64, f64)>,
    /// Only whole numbers are named.
    pub whole: bool,
    /// Steps are factors; for values above 0.
    pub logarithmic: bool,
}

/// Places on both axes.
pub type Points = Vec<(f64, f64)>;

/// Points of one kind.
pub struct Series {
    /// Empty for one that the axes explain.
    pub name: String,
    /// Place among the colours.
    pub color: usize,
    pub shape: Shape,
    pub points: Points,
}

/// What becomes of points.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    Line,
    /// A line with a dot at each point.
    Joined,
    Dots,
    /// Bars of this width from 0 up, each to the right of its point.
    Bars(f64),
    /// A thin line of the colour of texts.
    Guide,
}

type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Whether a text of its own stands above the chart and names the series.
enum Heading<'a> {
    None,
    Above(&'a str),
}

impl Chart {
    /// For a page, which names chart and series; `name` is for those who cannot see it.
    pub fn svg(&self, name: &str) -> String {
        let mut text = String::new();
        {
            let size = (WIDTH * SCALE, HEIGHT * SCALE);
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            self.draw(&area, &Heading::None)
                .and_then(|()| area.present())
                .expect("a string takes all that is drawn");
        }
        let escaped = maud::html! { (name) }.into_string();
        let attributes = format!("role=\"img\" aria-label=\"{escaped}\"");
        in_pixels(&text, (WIDTH, HEIGHT), &attributes)
    }

    fn draw<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        heading: &Heading,
    ) -> Drawn<DB> {
        let (x, y) = (
            self.ends(&self.x, |point| point.0),
            self.ends(&self.y, |point| point.1),
        );
        let font = |size: u32| ("sans-serif", size * SCALE).into_font().color(&INK_COLOR);
        let mut builder = ChartBuilder::on(area);
        builder
            .margin(8 * SCALE)
            .margin_right(16 * SCALE)
            .x_label_area_size(40 * SCALE)
            .y_label_area_size(if self.y.name.is_empty() { 44 } else { 60 } * SCALE);
        if let Heading::Above(name) = heading {
            builder.caption(visible(name), font(17));
        }
        let mut chart = builder.build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .x_labels(6)
            .y_labels(5)
            .bold_line_style(GRID_COLOR.stroke_width(SCALE))
            .axis_style(INK_COLOR.stroke_width(SCALE))
            .set_all_tick_mark_size(3 * SCALE)
            .label_style(font(15))
            .axis_desc_style(font(15))
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .x_label_formatter(&|value| self.x.label(*value, x))
            .y_label_formatter(&|value| self.y.label(*value, y))
            .draw()?;
        for series in &self.series {
            let color = SERIES[series.color % SERIES.len()];
            let points = self.placed(series);
            let style = match series.shape {
                Shape::Guide => INK_COLOR.stroke_width(SCALE),
                _ => color.stroke_width(2 * SCALE),
            };
            let drawn = match series.shape {
                Shape::Line | Shape::Guide | Shape::Joined => {
                    let line = PathElement::new(thin(&points, x, y), style);
                    chart.draw_series(std::iter::once(line))?
                }
                Shape::Bars(width) => chart.draw_series(points.iter().map(|&(left, top)| {
                    Rectangle::new([(left, y.0), (left + width, top)], color.filled())
                }))?,
                Shape::Dots => chart.draw_series(dots(&points, color.mix(0.65).filled(), 2))?,
            };
            if !series.name.is_empty() {
                drawn.label(visible(&series.name)).legend(move |(x, y)| {
                    let end = x + 16 * i32::try_from(SCALE).unwrap_or(1);
                    PathElement::new([(x, y), (end, y)], style)
                });
            }
            if series.shape == Shape::Joined {
                chart.draw_series(dots(&points, color.filled(), 4))?;
            }
        }
        if matches!(heading, Heading::Above(_)) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.8))
                .label_font(font(15))
                .legend_area_size(20 * SCALE)
                .draw()?;
        }
        Ok(())
    }

    /// Points that can be drawn.
    fn placed(&self, series: &Series) -> Points {
        let points = series.points.iter();
        let points = points.map(|&(x, y)| (self.x.place(x), self.y.place(y)));
        points
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect()
    }

    /// The ends of an axis, apart from each other.
    fn ends(&self, axis: &Axis, of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut take = |value: f64| (low, high) = (low.min(value), high.max(value));
        for series in &self.series {
            for point in self.placed(series) {
                take(of(&point));
            }
        }
        if let Some((least, greatest)) = axis.within {
            take(axis.place(least));
            take(axis.place(greatest));
        }
        match high - low {
            // Nothing to draw.
            span if !span.is_finite() => (0.0, 1.0),
            span if span > 1e-9 * low.abs().max(high.abs()).max(1e-30) => (low, high),
            _ => {
                let half = (0.5 * low.abs()).max(0.5);
                (low - half, high + half)
            }
        }
    }
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.log10()
        } else {
            value
        }
    }

    /// The text at a place between these ends.
    fn label(&self, place: f64, (low, high): (f64, f64)) -> String {
        let value = if self.logarithmic {
            10f64.powf(place)
        } else {
            place
        };
        if !value.is_finite() || (self.whole && value.fract().abs() > 1e-6) {
            return String::new();
        }
        let step = match self.logarithmic {
            true => value,
            false => (high - low) / 8.0,
        };
        if value != 0.0 && !(1e-4..1e6).contains(&value.abs().max(step)) {
            return format!("{value:.1e}");
        }
        // As many places as a step needs.
        let places = (1.0 - step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
        let text = format!("{value:.places$}");
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => text.as_str(),
        };
        if text == "-0" { "0" } else { text }.to_string()
    }
}

fn dots(
    points: &[(f64, f64)],
    style: ShapeStyle,
    radius: u32,
) -> impl Iterator<Item = Circle<(f64, f64), u32>> + '_ {
    points
        .iter()
        .map(move |&point| Circle::new(point, radius * SCALE, style))
}

/// The points that a line can be seen to go through: one in half a pixel.
fn thin(points: &[(f64, f64)], x: (f64, f64), y: (f64, f64)) -> Points {
    let far = |a: (f64, f64), b: (f64, f64)| {
        let wide = (a.0 - b.0).abs() / (x.1 - x.0) * f64::from(2 * WIDTH);
        let high = (a.1 - b.1).abs() / (y.1 - y.0) * f64::from(2 * HEIGHT);
        wide >= 1.0 || high >= 1.0
    };
    let mut kept: Points = Vec::new();
    for (place, &point) in points.iter().enumerate() {
        let is_end = place + 1 == points.len();
        if is_end || kept.last().is_none_or(|&last| far(last, point)) {
            kept.push(point);
        }
    }
    kept
}

/// Charts with their names, one below the other, as a file of its own.
pub fn document(charts: &[(String, Chart)]) -> String {
    let mut text = String::new();
    let count = charts.len().max(1);
    let rows = u32::try_from(count).unwrap_or(1);
    let (width, height) = (2 * WIDTH, (HEIGHT + 60) * rows);
    {
        let size = (width * SCALE, height * SCALE);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let parts = area.split_evenly((count, 1));
        area.fill(&WHITE)
            .and_then(|()| {
                let mut each = charts.iter().zip(&parts);
                each.try_for_each(|((name, chart), part)| chart.draw(part, &Heading::Above(name)))
            })
            .and_then(|()| area.present())
            .expect("a string takes all that is drawn");
    }
    in_pixels(&text, (width, height), "")
}

/// The SVG with the size that it is to be shown in, and more attributes.
fn in_pixels(svg: &str, (width, height): (u32, u32), attributes: &str) -> String {
    let drawn = format!("width=\"{}\" height=\"{}\"", width * SCALE, height * SCALE);
    let shown = format!("width=\"{width}\" height=\"{height}\" {attributes}");
    svg.replacen(&drawn, &shown, 1)
}

/// A colour as CSS has it.
pub fn color(place: usize) -> String {
    let RGBColor(red, green, blue) = SERIES[place % SERIES.len()];
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Points, logarithmic: bool) -> Chart {
        let y = Axis {
            logarithmic,
            ..Axis::default()
        };
        let line = Series {
            name: String::new(),
            color: 0,
            shape: Shape::Joined,
            points,
        };
        Chart {
            x: Axis::default(),
            y,
            series: vec![line],
        }
    }

    #[test]
    fn what_cannot_be_placed_is_left_out() {
        let odd = [f64::NAN, f64::INFINITY, 1e300, -1e300, 0.0];
        for points in [
            Vec::new(),
            vec![(1.0, 5.0)],
            odd.map(|value| (value, value)).to_vec(),
        ] {
            for logarithmic in [false, true] {
                let svg = chart(points.clone(), logarithmic).svg("a <chart> & \"b\"");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert!(svg.contains("aria-label=\"a &lt;chart&gt; &amp; &quot;b&quot;\""));
            }
        }
    }

    #[test]
    fn places_are_named_as_a_step_needs() {
        let plain = Axis::default();
        let label = |value, ends| plain.label(value, ends);
        assert_eq!(label(0.2, (0.0, 1.0)), "0.2");
        assert_eq!(label(0.0125, (0.01, 0.02)), "0.0125");
        assert_eq!(label(150.0, (0.0, 400.0)), "150");
        assert_eq!(label(-0.0, (-1.0, 1.0)), "0");
        assert_eq!(label(2e7, (0.0, 8e7)), "2.0e7");
        let whole = Axis {
            whole: true,
            ..Axis::default()
        };
        assert_eq!(whole.label(2.5, (1.0, 4.0)), "");
        assert_eq!(whole.label(3.0, (1.0, 4.0)), "3");
        let factors = Axis {
            logarithmic: true,
            ..Axis::default()
        };
        assert_eq!(factors.label(-2.0, (-3.0, 0.0)), "0.01");
    }

    #[test]
    fn a_long_line_keeps_what_can_be_seen() {
        let points: Points = (0..100_000).map(|x| (f64::from(x), 0.0)).collect();
        let kept = thin(&points, (0.0, 1e5), (0.0, 1.0));
        // Two points in a pixel, and both ends.
        assert!((700..=721).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0], kept.last()), (points[0], points.last()));
    }
}

//! One target's run as lines over time.
//!
//! Plotters writes literal colours, but a page is light or dark by what its reader prefers. So every kind of
//! ink is drawn in a colour of its own that nobody would choose, and afterwards each such colour becomes a
//! class that the style sheet paints.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::combinators::WithKeyPoints;
use plotters::coord::types::RangedCoordu64;
use plotters::drawing::DrawingArea;
use plotters::prelude::{
    AreaSeries, BindKeyPoints, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::points::{self, Point};
use super::words::{self, Escaped};
use super::{Error, Run, TargetRun};

/// The palette and what each class is painted with.
pub(super) const STYLE: &str = include_str!("plot.css");

/// A full budget, in thousandths of a token.
const FULL_BUDGET: u64 = 10_000;

/// What stands to the left of a plot, and what half of its last mark needs to its right.
const LEFT: i32 = 116;
const RIGHT: i32 = 68;

/// What a plot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Arrivals and attempts per second.
    Rates,
    /// How many wait.
    Depth,
    /// The retry budget, and when the breaker was open.
    Budget,
}

/// How far both axes reach; plots that are compared share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    end_ms: u64,
    top: u64,
    ticks: Vec<u64>,
}

/// How a plot is laid out, in units of its view box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Its width.
    pub(super) width: u32,
    /// Its height.
    pub(super) height: u32,
    /// How wide a letter of a label is at most.
    pub(super) letter: i32,
}

/// One target's run, ready to be drawn.
pub(super) struct Curve<'a> {
    run: &'a Run,
    target: &'a TargetRun,
    points: Vec<Point>,
}

#[derive(Clone, Copy)]
enum Ink {
    Ground,
    Text,
    Quiet,
    Grid,
    Axis,
    Fault,
    Edge,
    Arrivals,
    ArrivalsArea,
    Attempts,
    Depth,
    DepthArea,
    Budget,
    Open,
    OpenArea,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axis = WithKeyPoints<RangedCoordu64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

impl Measure {
    /// All, in the order in which a page shows them.
    pub(super) const ALL: [Self; 3] = [Self::Rates, Self::Depth, Self::Budget];

    /// What its heading says.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Rates => "Arrivals and attempts per second",
            Self::Depth => "Notifications waiting",
            Self::Budget => "Retry budget in tokens",
        }
    }

    /// What its inks mean: class and words.
    pub(super) const fn legend(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rates => &[("arrivals", "arrivals"), ("attempts", "attempts"), ("fault", "endpoint down")],
            Self::Depth => &[("depth", "waiting"), ("fault", "endpoint down")],
            Self::Budget => &[("budget", "budget"), ("open", "breaker open"), ("fault", "endpoint down")],
        }
    }

    fn largest(self, points: &[Point]) -> u64 {
        let of_point = |point: &Point| match self {
            Self::Rates => point.attempt_rate().max(point.arrival_rate()),
            Self::Depth => point.bin.depth,
            Self::Budget => FULL_BUDGET,
        };
        points.iter().map(of_point).max().unwrap_or_default()
    }

    fn tick(self, value: u64) -> String {
        match self {
            Self::Rates if value >= 10_000_000 => words::short(value / 1000),
            Self::Rates | Self::Budget => words::decimal(value),
            Self::Depth => words::short(value),
        }
    }
}

impl Scale {
    /// The scale on which all these can be drawn.
    pub(super) fn of(measure: Measure, curves: &[&Curve<'_>]) -> Self {
        let end = |curve: &&Curve<'_>| {
            let last = curve.points.last().map_or(0, |point| point.from_ms);
            curve.run.duration_ms.max(last).max(1)
        };
        let end_ms = curves.iter().map(end).max().unwrap_or(1);
        if measure == Measure::Budget {
            // Above a full budget there is room for the strip that shows the breaker.
            return Self { end_ms, top: FULL_BUDGET + 1500, ticks: vec![0, FULL_BUDGET / 2, FULL_BUDGET] };
        }
        let largest = curves.iter().map(|curve| measure.largest(&curve.points)).max().unwrap_or_default();
        let (ticks, top) = points::value_ticks(largest);
        Self { end_ms, top, ticks }
    }
}

impl<'a> Curve<'a> {
    /// What happened at a target of a run.
    pub(super) fn new(run: &'a Run, target: &'a TargetRun) -> Self {
        Self { run, target, points: points::merged(&target.bins, run.bin_ms) }
    }

    /// What its plot shows, in words.
    pub(super) fn caption(&self, measure: Measure) -> String {
        let Some(first) = self.points.first() else {
            return "Nothing was measured.".to_owned();
        };
        let width = words::duration(first.until_ms - first.from_ms);
        match measure {
            Measure::Rates => {
                let arrivals = self.points.iter().map(Point::arrival_rate).max().unwrap_or_default();
                let attempts = self.points.iter().map(Point::attempt_rate).max().unwrap_or_default();
                let (arrivals, attempts) = (words::hundredths(arrivals), words::hundredths(attempts));
                format!(
                    "At most {attempts} attempts and {arrivals} arrivals per second, averaged over {width}."
                )
            }
            Measure::Depth => {
                let deepest = measure.largest(&self.points);
                if deepest == 0 {
                    return "Nothing waited.".to_owned();
                }
                let last = self.target.bins.last().map_or(0, |bin| bin.depth);
                format!("At most {} waiting; {} at the end.", words::count(deepest), words::count(last))
            }
            Measure::Budget => {
                let lowest = self.points.iter().map(|point| point.bin.budget_milli.min(FULL_BUDGET)).min();
                let open = points::open(&self.points);
                let open_ms = open.iter().map(|(from, until)| until - from).fold(0, u64::saturating_add);
                let breaker = match open_ms {
                    0 => "the breaker never opened".to_owned(),
                    _ => format!("the breaker was open for {}", words::duration(open_ms)),
                };
                format!("At least {} of 10 tokens; {breaker}.", words::tenths(lowest.unwrap_or_default()))
            }
        }
    }

    /// Its plot.
    pub(super) fn draw(&self, measure: Measure, scale: &Scale, shape: Shape) -> Result<String, Error> {
        let mut svg = String::new();
        let canvas = SVGBackend::with_string(&mut svg, (shape.width, shape.height)).into_drawing_area();
        self.chart(&canvas, measure, scale, shape)?;
        canvas.present()?;
        drop(canvas);
        let label = format!("{} at {}. {}", measure.title(), self.target.name, self.caption(measure));
        Ok(dressed(&svg, &format!("viewBox=\"0 0 {} {}\"", shape.width, shape.height), &label, ""))
    }

    fn chart(&self, canvas: &Canvas<'_>, measure: Measure, scale: &Scale, shape: Shape) -> Result<(), Error> {
        let end_ms = scale.end_ms;
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(if measure == Measure::Rates { 48 } else { 20 })
            .margin_right(RIGHT)
            .x_label_area_size(60)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(
                (0..end_ms).with_key_points(points::time_ticks(end_ms)),
                (0..scale.top).with_key_points(scale.ticks.clone()),
            )?;
        let down = points::down(&self.target.faults, end_ms);
        shade(&mut chart, &down, (0, scale.top), Ink::Fault)?;
        if measure == Measure::Budget {
            let open = points::open(&self.points);
            shade(&mut chart, &open, (0, FULL_BUDGET), Ink::OpenArea)?;
            shade(&mut chart, &open, (FULL_BUDGET + 500, FULL_BUDGET + 1200), Ink::Open)?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Grid.color())
            .axis_style(Ink::Axis.color())
            .label_style(label(Ink::Quiet))
            .set_all_tick_mark_size(8)
            .x_label_formatter(&|ms| words::instant(*ms))
            .y_label_formatter(&|value| measure.tick(*value))
            .draw()?;
        for edge in down.iter().flat_map(|(from, until)| [*from, *until]) {
            chart.draw_series([PathElement::new([(edge, 0), (edge, scale.top)], Ink::Edge.color())])?;
        }
        self.curves(&mut chart, measure, end_ms)?;
        if measure == Measure::Rates {
            self.name_faults(canvas, &chart, scale, shape)?;
        }
        Ok(())
    }

    fn curves(&self, chart: &mut Chart<'_, '_>, measure: Measure, end_ms: u64) -> Result<(), Error> {
        let line = |value: fn(&Point) -> u64| {
            self.points.iter().map(move |point| (point.middle_ms().min(end_ms), value(point)))
        };
        match measure {
            Measure::Rates => {
                let area = AreaSeries::new(line(Point::arrival_rate), 0, Ink::ArrivalsArea.color());
                chart.draw_series(area.border_style(Ink::Arrivals.color()))?;
                chart.draw_series(LineSeries::new(line(Point::attempt_rate), Ink::Attempts.color()))?;
            }
            Measure::Depth => {
                let area = AreaSeries::new(line(|point| point.bin.depth), 0, Ink::DepthArea.color());
                chart.draw_series(area.border_style(Ink::Depth.color()))?;
            }
            Measure::Budget => {
                let budget = line(|point| point.bin.budget_milli.min(FULL_BUDGET));
                chart.draw_series(LineSeries::new(budget, Ink::Budget.color()))?;
            }
        }
        Ok(())
    }

    /// Writes above each fault what it was, where that does not reach another fault.
    fn name_faults(
        &self,
        canvas: &Canvas<'_>,
        chart: &Chart<'_, '_>,
        scale: &Scale,
        shape: Shape,
    ) -> Result<(), Error> {
        /// Less of a label than this says nothing.
        const FEWEST: i32 = 6;
        const MOST: i32 = 36;
        let (left, above) = canvas.get_base_pixel();
        let place = |ms: u64| chart.backend_coord(&(ms.min(scale.end_ms), scale.top));
        let seen = self.target.faults.iter().filter(|fault| fault.from_ms < scale.end_ms);
        let mut faults: Vec<_> = seen
            .map(|fault| (place(fault.from_ms).0 - left, place(fault.until_ms).0 - left, &fault.label))
            .collect();
        faults.sort_unstable();
        let width = i32::try_from(shape.width).unwrap_or(i32::MAX);
        let mut free_from = 0;
        for (at, (from, until, name)) in faults.iter().enumerate() {
            // Neighbours share what is between them.
            let free_until = faults.get(at + 1).map_or(width, |(next, ..)| until.midpoint(*next));
            let middle = from.midpoint(*until);
            let room = (middle - free_from).min(free_until - middle).saturating_mul(2) / shape.letter;
            free_from = free_until;
            let whole = i32::try_from(name.chars().count()).unwrap_or(i32::MAX);
            if room < whole.min(FEWEST) {
                continue;
            }
            let text = words::clipped(name, usize::try_from(room.min(MOST)).unwrap_or(0));
            let style = label(Ink::Edge).pos(Pos::new(HPos::Center, VPos::Bottom));
            canvas.draw(&Text::new(text, (middle, place(0).1 - above - 8), style))?;
        }
        Ok(())
    }
}

/// A run's first target as one picture: rates above, what waits below.
pub(super) fn overview(run: &Run, target: &TargetRun) -> Result<String, Error> {
    const SHAPE: Shape = Shape { width: 1800, height: 840, letter: 17 };
    let curve = Curve::new(run, target);
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, (SHAPE.width, SHAPE.height)).into_drawing_area();
    canvas.fill(&Ink::Ground.color())?;
    let (rates, depth) = canvas.split_vertically(470);
    for (part, measure) in [(rates, Measure::Rates), (depth, Measure::Depth)] {
        let (head, body) = part.split_vertically(70);
        head_line(&head, measure, SHAPE)?;
        curve.chart(&body, measure, &Scale::of(measure, &[&curve]), SHAPE)?;
    }
    canvas.present()?;
    drop(canvas);
    let label = format!(
        "{} – {}. {} {}",
        run.name,
        target.name,
        curve.caption(Measure::Rates),
        curve.caption(Measure::Depth)
    );
    let size = "xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1800 840\" width=\"900\" height=\"420\"";
    let style = format!("<style>{STYLE}.plot text{{font-size:25px}}.plot .f-text{{font-weight:600}}</style>");
    Ok(dressed(&svg, size, &label, &style))
}

/// A heading, and to its right what the inks mean.
fn head_line(area: &Canvas<'_>, measure: Measure, shape: Shape) -> Result<(), Error> {
    const Y: i32 = 46;
    let start = Pos::new(HPos::Left, VPos::Center);
    area.draw(&Text::new(measure.title(), (LEFT, Y), label(Ink::Text).pos(start)))?;
    let mut x = i32::try_from(shape.width).unwrap_or(i32::MAX) - RIGHT;
    for (class, meaning) in measure.legend().iter().rev() {
        let Some(ink) = Ink::ALL.into_iter().find(|ink| ink.class() == *class) else { continue };
        x -= i32::try_from(meaning.len()).unwrap_or_default() * shape.letter;
        area.draw(&Text::new(*meaning, (x, Y), label(Ink::Quiet).pos(start)))?;
        let (left, right) = (x - 34, x - 10);
        area.draw(&Rectangle::new([(left, Y - 10), (right, Y + 10)], ink.color().filled()))?;
        if matches!(ink, Ink::Fault) {
            for edge in [left, right] {
                area.draw(&PathElement::new([(edge, Y - 10), (edge, Y + 10)], Ink::Edge.color()))?;
            }
        }
        x = left - 30;
    }
    Ok(())
}

fn shade(
    chart: &mut Chart<'_, '_>,
    spans: &[(u64, u64)],
    (bottom, top): (u64, u64),
    ink: Ink,
) -> Result<(), Error> {
    let rectangle =
        |(from, until): &(u64, u64)| Rectangle::new([(*from, bottom), (*until, top)], ink.color().filled());
    chart.draw_series(spans.iter().map(rectangle))?;
    Ok(())
}

fn label(ink: Ink) -> TextStyle<'static> {
    (FONT, 20).into_font().color(&ink.color())
}

/// The font as plotters writes it, to be found again; the style sheet chooses the real one.
const FONT: &str = "plot";

/// The picture with classes for its colours, without what the style sheet says anyway, and with a text for
/// those who cannot see it.
fn dressed(svg: &str, size: &str, label: &str, style: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut body = body.replace('\n', "");
    for default in [" opacity=\"1\"", " stroke=\"none\"", " fill=\"none\"", " stroke-width=\"1\""] {
        body = body.replace(default, "");
    }
    for ink in Ink::ALL {
        let RGBColor(red, green, blue) = ink.color();
        for (attribute, letter) in [("fill", 'f'), ("stroke", 's')] {
            let colour = format!("{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"");
            body = body.replace(&colour, &format!("class=\"{letter}-{}\"", ink.class()));
        }
    }
    let font = format!(" font-family=\"{FONT}\" font-size=\"");
    let mut parts = body.split(font.as_str());
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
    let body = std::iter::once(first).chain(rest).collect::<String>();
    let label = Escaped(label);
    format!("<svg class=\"plot\" {size} role=\"img\" aria-label=\"{label}\">{style}{body}")
}

impl Ink {
    const ALL: [Self; 15] = [
        Self::Ground,
        Self::Text,
        Self::Quiet,
        Self::Grid,
        Self::Axis,
        Self::Fault,
        Self::Edge,
        Self::Arrivals,
        Self::ArrivalsArea,
        Self::Attempts,
        Self::Depth,
        Self::DepthArea,
        Self::Budget,
        Self::Open,
        Self::OpenArea,
    ];

    /// The colour it is drawn in until it is dressed.
    const fn color(self) -> RGBColor {
        RGBColor(1, 1, self as u8)
    }

    /// What the style sheet calls it.
    const fn class(self) -> &'static str {
        match self {
            Self::Ground => "ground",
            Self::Text => "text",
            Self::Quiet => "quiet",
            Self::Grid => "grid",
            Self::Axis => "axis",
            Self::Fault => "fault",
            Self::Edge => "edge",
            Self::Arrivals => "arrivals",
            Self::ArrivalsArea => "arrivals-area",
            Self::Attempts => "attempts",
            Self::Depth => "depth",
            Self::DepthArea => "depth-area",
            Self::Budget => "budget",
            Self::Open => "open",
            Self::OpenArea => "open-area",
        }
    }
}

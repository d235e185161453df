//! A line chart as SVG. Colours come from the page's style, by the number of the line.

use super::escape;

/// Over the whole page, and over half of it.
pub const WIDE: f64 = 760.0;
pub const HALF: f64 = 470.0;
/// Inside of the picture, in its own units.
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Colours of the style.
const COLOURS: usize = 8;

/// Lines over two axes.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// How wide it is; letters keep their size beside it.
    pub width: f64,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// How numbers become places.
#[derive(Clone, Copy)]
pub struct Axis {
    /// Its unit, where the numbers do not say it.
    pub label: &'static str,
    /// How they are spread.
    pub scale: Scale,
    /// How they are written.
    pub show: fn(f64) -> String,
}

/// How numbers are spread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their magnitude.
    Log,
    /// Percentages by their nines.
    Nines,
}

/// One line.
pub struct Line {
    /// What it is.
    pub label: String,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
    /// Whether each point is marked.
    pub dots: bool,
}

impl Scale {
    /// The number on the even scale.
    fn spread(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Nines => -(1.0 - (value / 100.0).min(0.999_999_9)).log10(),
        }
    }

    /// The ends of the axis, on the even scale.
    fn bounds(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let spread: Vec<f64> = values.map(|value| self.spread(value)).collect();
        let least = spread.iter().copied().fold(f64::INFINITY, f64::min);
        let most = spread.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            _ if spread.is_empty() => (0.0, 1.0),
            Self::Linear => (0.0, if most > 0.0 { most * 1.04 } else { 1.0 }),
            Self::Log => ((least - 0.08).floor_to_part(), (most + 0.08).ceil_to_part()),
            Self::Nines => (0.0, most.max(1.0)),
        }
    }

    /// Numbers to write at the axis.
    fn ticks(self, (from, to): (f64, f64)) -> Vec<f64> {
        match self {
            Self::Linear => {
                let step = nice_step((to - from) / 5.0);
                (0..=10).map(|number| step * f64::from(number)).filter(|value| *value <= to).collect()
            }
            Self::Log => {
                let parts: &[f64] = if to - from > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                (-3..12)
                    .flat_map(|decade| parts.iter().map(move |part| part * 10_f64.powi(decade)))
                    .filter(|value| (from..=to).contains(&value.log10()))
                    .collect()
            }
            Self::Nines => [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
                .into_iter()
                .filter(|value| self.spread(*value) <= to + 1e-6)
                .collect(),
        }
    }
}

/// Thirds of a decade, so that a line does not stick to the edge.
trait Parts {
    fn floor_to_part(self) -> f64;
    fn ceil_to_part(self) -> f64;
}

impl Parts for f64 {
    fn floor_to_part(self) -> f64 {
        (self * 3.0).floor() / 3.0
    }

    fn ceil_to_part(self) -> f64 {
        (self * 3.0).ceil() / 3.0
    }
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn nice_step(least: f64) -> f64 {
    let magnitude = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * magnitude);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(least)
}

impl Chart {
    /// The picture with its legend.
    #[must_use]
    pub fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| line.points.iter());
        let across = self.x.scale.bounds(all().map(|(x, _)| *x));
        let up = self.y.scale.bounds(all().map(|(_, y)| *y));
        let place = |x: f64, y: f64| {
            let part = |value: f64, (from, to): (f64, f64)| (value - from) / (to - from).max(f64::MIN_POSITIVE);
            (
                LEFT + part(self.x.scale.spread(x), across) * (self.width - LEFT - RIGHT),
                HEIGHT - BOTTOM - part(self.y.scale.spread(y), up) * (HEIGHT - TOP - BOTTOM),
            )
        };
        let mut inside = self.grid(across, up, &place);
        for (number, line) in self.lines.iter().enumerate() {
            inside += &self.line(line, number, &place);
        }
        let (title, legend) = (escape(self.title), self.legend());
        format!(
            "<figure><figcaption><b>{title}</b>{legend}</figcaption><svg viewBox=\"0 0 {} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">{inside}</svg></figure>",
            self.width
        )
    }

    fn legend(&self) -> String {
        let entry = |(number, line): (usize, &Line)| {
            format!("<span class=\"key c{}\">{}</span>", number % COLOURS, escape(&line.label))
        };
        self.lines.iter().enumerate().map(entry).collect()
    }

    fn grid(&self, across: (f64, f64), up: (f64, f64), place: &dyn Fn(f64, f64) -> (f64, f64)) -> String {
        let (right, bottom) = (self.width - RIGHT, HEIGHT - BOTTOM);
        let mut svg = String::new();
        for value in self.y.scale.ticks(up) {
            let (_, y) = place(0.0, value);
            let text = escape(&(self.y.show)(value));
            svg += &format!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
            svg += &format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 8.0, y + 4.0);
        }
        for value in self.x.scale.ticks(across) {
            let (x, _) = place(value, 1.0);
            let text = escape(&(self.x.show)(value));
            svg += &format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
            svg += &format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", bottom + 17.0);
        }
        let (middle, label) = (f64::midpoint(LEFT, right), escape(self.x.label));
        svg + &format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", HEIGHT - 6.0)
    }

    fn line(&self, line: &Line, number: usize, place: &dyn Fn(f64, f64) -> (f64, f64)) -> String {
        let colour = number % COLOURS;
        let places = || line.points.iter().map(|(x, y)| (place(*x, *y), (*x, *y)));
        let path: Vec<String> = places().map(|((x, y), _)| format!("{x:.1},{y:.1}")).collect();
        let mut svg = format!("<polyline class=\"line c{colour}\" points=\"{}\"/>", path.join(" "));
        // A lone point is no line.
        if line.dots || line.points.len() == 1 {
            for ((x, y), (across, up)) in places() {
                let told = escape(&format!("{}: {} at {}", line.label, (self.y.show)(up), (self.x.show)(across)));
                svg += &format!(
                    "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{told}</title></circle>"
                );
            }
        }
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(Scale::Linear.ticks((0.0, 43_000.0)), [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0]);
        assert_eq!(Scale::Linear.ticks((0.0, 9.0)), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Scale::Log.ticks((1.9, 3.1)), [100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(Scale::Log.ticks((1.9, 6.1)).len(), 5);
        assert_eq!(Scale::Nines.ticks((0.0, 3.0)), [0.0, 50.0, 90.0, 99.0, 99.9]);
    }

    #[test]
    fn every_point_lies_within_the_picture() {
        let chart = Chart {
            title: "t",
            width: WIDE,
            x: Axis { label: "", scale: Scale::Nines, show: |value| value.to_string() },
            y: Axis { label: "", scale: Scale::Log, show: |value| value.to_string() },
            lines: vec![
                Line { label: "a".to_owned(), points: vec![(0.0, 1.0), (90.0, 350.0), (99.999, 1e7)], dots: true },
                Line { label: "none".to_owned(), points: Vec::new(), dots: false },
            ],
        };
        let svg = chart.svg();
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDE - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}

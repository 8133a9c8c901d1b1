//! The timeline as a picture: one track above the other, over the same time.

use maud::{Markup, html};

use super::{duration, millis};
use crate::faults::Window;
use crate::report::{Incident, Moment};

/// The picture, in its own units. Text is to the left of the tracks.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 950.0;
const GAP: f64 = 14.0;
const AXIS: f64 = 22.0;
/// The narrowest mark of an incident.
const MARK: f64 = 2.0;

/// A track: its height, its name, and a value for each part of the run.
struct Track<'a> {
    name: &'a str,
    class: &'a str,
    height: f64,
    values: Vec<f64>,
    /// The highest value, in words.
    highest: String,
}

impl<'a> Track<'a> {
    fn new(name: &'a str, class: &'a str, height: f64, values: Vec<f64>) -> Self {
        let highest = format!("at most {:.0}", max(&values));
        Self { name, class, height, values, highest }
    }
}

/// The picture of a run.
pub(super) fn chart(moments: &[Moment], incidents: &[Incident]) -> Markup {
    let width = moments.get(1).map_or(1, |second| second.at).max(1);
    let seconds = (moments.len() as u64 * width) as f64;
    let per_second = |count: u64| count as f64 / width as f64;
    let values = |value: &dyn Fn(&Moment) -> f64| moments.iter().map(value).collect::<Vec<f64>>();
    let latencies = values(&|moment| moment.latency.map_or(0.0, |latency| latency.p99_ms as f64));
    let mut tracks = vec![
        Track::new("Enqueued per s", "enqueued", 60.0, values(&|moment| per_second(moment.enqueued))),
        Track::new("Delivered per s", "delivered", 90.0, values(&|moment| per_second(moment.delivered))),
        Track::new("p99 of healthy jobs", "latency", 60.0, latencies.clone()),
        Track::new("Taken over", "taken", 46.0, values(&|moment| moment.taken_over as f64)),
        Track::new("Duplicates", "duplicates", 46.0, values(&|moment| moment.duplicates as f64)),
        Track::new("Workers killed", "kills", 46.0, values(&|moment| moment.kills as f64)),
        Track::new("Other faults", "faults", 46.0, values(&|moment| moment.faults as f64)),
    ];
    tracks[2].highest = format!("at most {}", millis(max(&latencies) as u64));
    let mut tops = Vec::with_capacity(tracks.len());
    let mut y = 6.0;
    for track in &tracks {
        tops.push(y);
        y += track.height + GAP;
    }
    let (bottom, height) = (y - GAP, y + AXIS);
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="What happened when" {
                @for incident in incidents { (band(incident, seconds, bottom)) }
                @for (track, top) in tracks.iter().zip(&tops) { (self::track(track, *top, moments, width)) }
                (axis(seconds, bottom))
            }
            figcaption {
                "Each bar is " (duration(width as f64)) "."
                @if !incidents.is_empty() {
                    " Behind them: " span.key.redis {} " a fault of Redis, " span.key.machine {} " a machine that stood still."
                }
            }
        }
    }
}

fn track(track: &Track<'_>, top: f64, moments: &[Moment], width: u64) -> Markup {
    let (most, base) = (max(&track.values), top + track.height);
    let step = (RIGHT - LEFT) / moments.len().max(1) as f64;
    let bar = |index: usize, value: f64| {
        let height = if most > 0.0 { value / most * track.height } else { 0.0 };
        let (x, y) = (LEFT + index as f64 * step, base - height);
        let title = format!("{}, {}: {value:.0}", duration((index as u64 * width) as f64), track.name);
        html! {
            rect x=(round(x)) y=(round(y)) width=(round((step - 0.6).max(0.6))) height=(round(height)) { title { (title) } }
        }
    };
    html! {
        g class=(track.class) {
            text.name x=(LEFT - 10.0) y=(round(top + 13.0)) { (track.name) }
            text.most x=(LEFT - 10.0) y=(round(top + 28.0)) { (track.highest) }
            line x1=(LEFT) x2=(RIGHT) y1=(round(base)) y2=(round(base)) {}
            @for (index, value) in track.values.iter().enumerate() {
                @if *value > 0.0 { (bar(index, *value)) }
            }
        }
    }
}

fn band(incident: &Incident, seconds: f64, bottom: f64) -> Markup {
    let scale = (RIGHT - LEFT) / seconds;
    let class = if incident.what == Window::MachineStalled { "machine" } else { "redis" };
    let title = format!("{} s: {} for {} s", incident.from, incident.what.text(), incident.seconds);
    html! {
        rect class=(format!("band {class}")) x=(round(LEFT + incident.from.min(seconds) * scale)) y="0"
            width=(round((incident.seconds * scale).max(MARK))) height=(round(bottom)) { title { (title) } }
    }
}

fn axis(seconds: f64, bottom: f64) -> Markup {
    const STEPS: [f64; 12] =
        [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0];
    let step = STEPS.into_iter().find(|step| seconds / step <= 8.0).unwrap_or(seconds / 8.0);
    let marks = (0..=(seconds / step) as u64).map(|mark| mark as f64 * step);
    html! {
        g.axis {
            @for at in marks {
                @let x = round(LEFT + at / seconds * (RIGHT - LEFT));
                line x1=(x) x2=(x) y1=(round(bottom)) y2=(round(bottom + 5.0)) {}
                text x=(x) y=(round(bottom + 18.0)) { (mark(at)) }
            }
        }
    }
}

/// A time on the axis: `90 s` is `1:30`.
fn mark(seconds: f64) -> String {
    let whole = seconds as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{}:{:02}", whole / 60, whole % 60) }
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// A tenth of a unit is enough.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

//! Counts over time, as small plots.

use maud::{Markup, html};
use postrider_queue::admin::{Bucket, CountRange, ShardName};

use super::layout::Failure;
use super::parts::count;
use crate::state::Shared;
use crate::view::time;

/// The size of a plot, in its own units.
const SIZE: (f64, f64) = (600.0, 56.0);
/// Part of a bucket's place that its bar takes.
const BAR: f64 = 0.8;

/// The plots of the last hour and the last day of these shards.
pub(super) async fn plots(shared: &Shared, shards: &[ShardName]) -> Result<Markup, Failure> {
    let ranges = [CountRange::Hour, CountRange::Day];
    let counts = shared.inspector.counts(shards, ranges).await?;
    Ok(html! {
        div .plots { @for (buckets, range) in counts.iter().zip(ranges) { (plot(buckets, range)) } }
    })
}

/// How many jobs ended in each bucket: those that succeeded, and on top those that died.
fn plot(buckets: &[Bucket], range: CountRange) -> Markup {
    let succeeded: u64 = buckets.iter().map(|bucket| bucket.succeeded).sum();
    let dead: u64 = buckets.iter().map(|bucket| bucket.dead).sum();
    let retried: u64 = buckets.iter().map(|bucket| bucket.retried).sum();
    let most = buckets.iter().map(|bucket| bucket.succeeded + bucket.dead).max().unwrap_or(0).max(1);
    let label =
        format!("{}: {succeeded} succeeded, {dead} died, {retried} attempts were retried", name(range));
    let place = SIZE.0 / buckets.len().max(1) as f64;
    html! {
        figure {
            svg .plot viewBox=(format!("0 0 {} {}", SIZE.0, SIZE.1)) preserveAspectRatio="none" role="img" aria-label=(label) {
                @for (index, bucket) in buckets.iter().enumerate() { (bar(bucket, index as f64 * place, place * BAR, most)) }
            }
            figcaption {
                (name(range)) ": " strong { (count(succeeded)) } " succeeded, "
                strong { (count(dead)) } " died, " (count(retried)) " retried"
            }
        }
    }
}

fn bar(bucket: &Bucket, x: f64, width: f64, most: u64) -> Markup {
    let height = |number: u64| number as f64 / most as f64 * SIZE.1;
    let (good, bad) = (height(bucket.succeeded), height(bucket.dead));
    let rect = |kind: &str, y: f64, height: f64| {
        html! {
            rect class=(kind) x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{width:.1}")) height=(format!("{height:.1}")) {}
        }
    };
    html! {
        @if bucket.succeeded + bucket.dead > 0 {
            g {
                title { (time(bucket.at)) ": " (bucket.succeeded) " succeeded, " (bucket.dead) " died" }
                @if bucket.succeeded > 0 { (rect("bar-ok", SIZE.1 - good, good)) }
                @if bucket.dead > 0 { (rect("bar-bad", SIZE.1 - good - bad, bad)) }
            }
        }
    }
}

fn name(range: CountRange) -> &'static str {
    match range {
        CountRange::Hour => "The last hour",
        CountRange::Day => "The last day",
        CountRange::Fortnight => "The last two weeks",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_plot() {
        let bucket = |succeeded, dead| Bucket { succeeded, dead, ..Bucket::default() };
        let shown = plot(&[bucket(30, 10), bucket(0, 0), bucket(10, 0)], CountRange::Hour).into_string();
        assert!(
            shown.contains(r#"<rect class="bar-ok" x="0.0" y="14.0" width="160.0" height="42.0">"#),
            "{shown}"
        );
        assert!(
            shown.contains(r#"<rect class="bar-bad" x="0.0" y="0.0" width="160.0" height="14.0">"#),
            "{shown}"
        );
        assert_eq!(shown.matches("<rect").count(), 3);
        assert!(shown.contains("40") && shown.contains("The last hour: "), "{shown}");
        assert_eq!(plot(&[], CountRange::Day).into_string().matches("<rect").count(), 0);
    }
}

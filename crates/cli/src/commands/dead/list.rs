//! `postrider dead list`

use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_console::view::{DeadView, brief, dead_error, line};
use postrider_queue::admin::DeadLetter;
use serde_json::json;
use telemetry::Telemetry;

use super::super::listing::{self, Listed};
use super::super::target::LookArgs;
use super::select::{FilterArgs, each};

/// List dead letters, newest first
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    look: LookArgs,
    /// At most this many of each queue
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    limit: u32,
    /// Print one JSON object per line, one for each dead letter
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = self.filter.at(now);
        let (mut letters, mut more) = (Vec::new(), false);
        let limit = self.limit as usize;
        let page = async |queue: &_| {
            let (mut letters, mut more) = (Vec::new(), false);
            each(&view.inspector, queue, &filter, |letter| {
                more = letters.len() == limit;
                if more {
                    return ControlFlow::Break(());
                }
                letters.push(letter);
                ControlFlow::Continue(())
            })
            .await?;
            Ok((letters, more))
        };
        for (_, (own, own_more)) in view.each(page).await? {
            letters.extend(own);
            more |= own_more;
        }
        view.inspector.close().await;
        if self.json {
            letters.iter().for_each(|letter| print_line!("{}", json!(DeadView::new(letter))));
        } else {
            print(&letters, now);
        }
        if more {
            eprintln!("note: there are more; --limit shows them");
        }
        Ok(view.code())
    }
}

fn print(letters: &[DeadLetter], now: u64) {
    let rows: Vec<_> = letters
        .iter()
        .map(|letter| {
            let ago = Duration::from_millis(now.saturating_sub(letter.entry.millis));
            let columns = [format!("{} ago", brief(ago)), line(&letter.fields, "_reason", 20)];
            let (queue, job_id, fields) = (&letter.queue, letter.job_id.as_str(), &letter.fields);
            Listed { queue, job_id, fields, columns, note: dead_error(fields) }
        })
        .collect();
    listing::print(["DIED", "REASON"], "ERROR", &rows);
}

//! The table `[results]`: what is kept of responses, and of jobs that have ended.

use http::HeaderName;
use http::header::SET_COOKIE;
use postrider_queue::work::LogBounds;
use postrider_worker::settings::KeptResults;

use super::table::Table;

pub(super) fn read(table: &mut Table<'_, '_>) -> (KeptResults, LogBounds) {
    (responses(table), log(table))
}

fn responses(table: &mut Table<'_, '_>) -> KeptResults {
    let standard = KeptResults::default();
    let headers: Vec<HeaderName> =
        if table.has("headers") { table.texts("headers", str::parse) } else { standard.headers };
    if headers.contains(&SET_COOKIE) {
        table.problem("`headers`: set-cookie contains secrets and is never kept; leave it out");
    }
    let max_body = table.whole("max_body", 0, 64 * 1024).map_or(standard.max_body, |bytes| bytes as usize);
    KeptResults { headers, max_body }
}

/// The delivery log: how long it keeps records of jobs that have ended, how many jobs, and how many bytes.
fn log(table: &mut Table<'_, '_>) -> LogBounds {
    let standard = LogBounds::for_age(table.duration("keep").unwrap_or_default());
    let mut most = |key: &str, most: u64| table.whole(key, 1, i64::MAX).map_or(most, |most| most as u64);
    let (jobs, bytes) = (most("keep_jobs", standard.jobs), most("keep_bytes", standard.bytes));
    LogBounds { jobs, bytes, ..standard }
}

//! The table `[http]`.

use std::time::Duration;

use postrider_worker::settings::HttpConfig;

use super::table::Table;

pub(super) fn read(table: &mut Table<'_, '_>) -> HttpConfig {
    let mut http = HttpConfig::default();
    timeout(table, "connect_timeout", &mut http.connect_timeout);
    timeout(table, "dns_timeout", &mut http.dns_timeout);
    http.system_resolver = table.flag("system_resolver").unwrap_or_default();
    timeout(table, "tls_timeout", &mut http.tls_timeout);
    timeout(table, "body_timeout", &mut http.body_timeout);
    timeout(table, "pool_idle_timeout", &mut http.pool_idle_timeout);
    if let Some(headers) = table.duration("headers_timeout") {
        http.headers_timeout = Some(at_least(table, "headers_timeout", headers));
    }
    count(table, "max_response_body", 16 << 20, &mut http.max_response_body);
    http.max_idle_per_host = table.whole("max_idle_per_host", 1, 10_000).map(|number| number as usize);
    http.max_idle = table.whole("max_idle", 1, 100_000).map(|number| number as usize);
    http.min_tls = table.text("min_tls").unwrap_or(http.min_tls);
    http.ca_files = table.texts("ca_files", str::parse);
    http.proxy = table.text("proxy");
    http.no_proxy = table.texts("no_proxy", str::parse);
    http
}

fn timeout(table: &mut Table<'_, '_>, key: &str, value: &mut Duration) {
    if let Some(duration) = table.duration(key) {
        *value = at_least(table, key, duration);
    }
}

/// Reports a deadline that has passed before it starts.
fn at_least(table: &mut Table<'_, '_>, key: &str, duration: Duration) -> Duration {
    if duration < Duration::from_millis(1) {
        table.problem(format!("`{key}` must be at least 1ms"));
    }
    duration
}

fn count(table: &mut Table<'_, '_>, key: &str, most: i64, value: &mut usize) {
    if let Some(number) = table.whole(key, 1, most) {
        *value = number as usize;
    }
}

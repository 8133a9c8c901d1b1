//! Style and script, embedded in the binary.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use maud::PreEscaped;
use ring::digest::{SHA256, digest};

use crate::problem::Problem;

const STYLE: &str = include_str!("../../assets/console.css");
const SCRIPT: &str = include_str!("../../assets/console.js");

/// The horn of a postrider.
pub(super) const LOGO: PreEscaped<&str> = PreEscaped(
    r#"<svg class="logo" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 12c4 0 8-1 12-5v10c-4-4-8-5-12-5zm14-4a5 5 0 0 1 0 8M19 5a9 9 0 0 1 0 14" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>"#,
);

/// The path of the style. It changes with its content, so that browsers may keep it.
pub(super) fn style_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/{}.css", hash(STYLE)));
    &PATH
}

/// The path of the script.
pub(super) fn script_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/{}.js", hash(SCRIPT)));
    &PATH
}

fn hash(content: &str) -> String {
    digest(&SHA256, content.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file by its path.
pub(super) async fn file(uri: Uri) -> Response {
    let (kind, content) = match uri.path() {
        path if path == style_path() => ("text/css; charset=utf-8", STYLE),
        path if path == script_path() => ("text/javascript; charset=utf-8", SCRIPT),
        path => {
            return Problem::not_found(format!("there is no {path}; load the page again")).into_response();
        }
    };
    let kept = (CACHE_CONTROL, "public, max-age=31536000, immutable");
    ([(CONTENT_TYPE, kind), kept], content).into_response()
}

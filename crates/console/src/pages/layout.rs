//! The frame of each page.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use crate::access::Caller;
use crate::problem::Problem;

/// The entries of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Jobs,
    Dead,
    Destinations,
    Cron,
    Live,
    Audit,
    /// A page that the navigation does not list.
    Other,
}

const NAVIGATION: [(Place, &str, &str); 7] = [
    (Place::Overview, "/", "Overview"),
    (Place::Jobs, "/jobs", "Jobs"),
    (Place::Dead, "/dead", "Dead letters"),
    (Place::Destinations, "/destinations", "Destinations"),
    (Place::Cron, "/cron", "Periodic"),
    (Place::Live, "/live", "Live"),
    (Place::Audit, "/audit", "Audit"),
];

/// A page for a caller. `title` is also its heading.
pub(super) fn page(caller: &Caller, place: Place, title: &str, body: Markup) -> Html<String> {
    let header = html! {
        header .top {
            a .brand href="/" { (assets::LOGO) "Postrider" }
            nav aria-label="Pages" {
                @for (own, path, name) in NAVIGATION {
                    a href=(path) aria-current=[(own == place).then_some("page")] { (name) }
                }
            }
            form .search action="/search" role="search" {
                input type="search" name="q" required aria-label="Search" maxlength="500"
                    placeholder="Job id, label, host, URL, trace id";
                button { "Search" }
            }
            @if caller.has_session {
                form .who method="post" action="/logout" {
                    span { (caller.name) }
                    button .quiet { "Sign out" }
                }
            }
        }
    };
    frame(title, &html! { (header) main { h1 { (title) } (body) } })
}

/// A page without navigation: for a caller who is not known.
pub(super) fn bare(title: &str, body: &Markup) -> Html<String> {
    let main = html! { main .narrow { p .brand { (assets::LOGO) "Postrider" } h1 { (title) } (body) } };
    frame(title, &main)
}

fn frame(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Postrider" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(assets::style_path());
                script src=(assets::script_path()) defer {}
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}

/// An error as a page.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem);

impl<T: Into<Problem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, detail) = (self.0.status(), self.0.detail());
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::SERVICE_UNAVAILABLE => "Not available",
            status if status.is_server_error() => "Something failed",
            _ => "That did not work",
        };
        let body = html! { p { (detail) } p { a href="/" { "Back to the overview" } } };
        (status, bare(title, &body)).into_response()
    }
}

//! Signing in, as a browser does it.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::wait::DEADLINE;
use e2e::world::World;

use super::access::token;
use super::{BUILD, Console};

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const HTML: (&str, &str) = ("accept", "text/html");

/// The whole response: its head matters here.
pub(super) fn exchange(
    console: &Console,
    request: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let (method, path) = request;
    let mut stream = TcpStream::connect(console.address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {}\r\n", console.address));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("the request is sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

pub(super) fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

pub(super) fn header<'a>(response: &'a str, name: &str) -> &'a str {
    let mut lines = response.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// A console with a token that may read and operate.
fn console(world: &World) -> (Console, String) {
    let (token, entry) = token("ann", "read,operate");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{entry}").expect("the file is written");
    (Console::with(world, &["--tokens", file.path().to_str().expect("a path")]), token)
}

#[test]
fn a_browser_signs_in_with_a_token() {
    let world = World::new(BUILD);
    let (console, token) = console(&world);
    let answer = exchange(&console, ("GET", "/dead?host=a.test"), &[HTML], "");
    assert_eq!(
        (status(&answer), header(&answer, "location")),
        ("303", "/login?next=%2Fdead%3Fhost%3Da%2Etest")
    );
    assert_eq!(status(&exchange(&console, ("GET", "/v1/queues"), &[], "")), "401", "no page");
    let shown = exchange(&console, ("GET", "/login?next=/dead"), &[HTML], "");
    assert!(shown.contains("name=\"next\" value=\"/dead\""), "{shown}");
    let form = format!("token={token}&next=/dead");
    let answer = exchange(&console, ("POST", "/login"), &[FORM], &form);
    assert_eq!((status(&answer), header(&answer, "location")), ("303", "/dead"));
    let cookie = header(&answer, "set-cookie");
    for part in ["__Host-postrider=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = ("cookie", cookie.split(';').next().unwrap_or_default());
    let page = exchange(&console, ("GET", "/dead"), &[HTML, cookie], "");
    assert!(status(&page) == "200" && page.contains("ann") && page.contains("Sign out"), "{page}");
    assert!(!page.contains(&token));
    let out = exchange(&console, ("POST", "/logout"), &[FORM, cookie], "");
    assert!(header(&out, "set-cookie").contains("Max-Age=0"));
}

#[test]
fn wrong_logins_are_refused_and_limited() {
    let world = World::new(BUILD);
    let (console, token) = console(&world);
    let login = |token: &str, headers: &[(&str, &str)]| {
        exchange(
            &console,
            ("POST", "/login"),
            &[&[FORM], headers].concat(),
            &format!("token={token}&next=//evil.example"),
        )
    };
    let plain = [("host", "jobs.example.org")];
    assert_eq!(status(&login(&token, &plain)), "421", "an unknown host");
    let address = [("host", "10.0.0.1:8025")];
    let refused = login(&token, &address);
    assert!(status(&refused) == "403" && refused.contains("needs HTTPS"), "{refused}");
    let proxied = login(&token, &[("host", "10.0.0.1:8025"), ("x-forwarded-proto", "https")]);
    assert_eq!((status(&proxied), header(&proxied, "location")), ("303", "/"), "no other site");
    for _ in 0..10 {
        assert_eq!(status(&login("postrider_wrong", &[])), "401");
    }
    let limited = login(&token, &[]);
    assert!(status(&limited) == "429" && !header(&limited, "retry-after").is_empty(), "{limited}");
}

#[test]
fn other_sites_cannot_use_a_session() {
    let world = World::new(BUILD);
    let (console, token) = console(&world);
    let answer = exchange(&console, ("POST", "/login"), &[FORM], &format!("token={token}"));
    let cookie = ("cookie", header(&answer, "set-cookie").split(';').next().unwrap_or_default());
    let change = |headers: &[(&str, &str)]| {
        let form = "change=replay&ids=1-0";
        exchange(&console, ("POST", "/dead/change"), &[&[FORM, cookie], headers].concat(), form)
    };
    assert_eq!(status(&change(&[("origin", "https://evil.example")])), "403");
    assert_eq!(status(&change(&[("origin", "null"), ("sec-fetch-site", "cross-site")])), "403");
    let own = change(&[("origin", "null"), ("sec-fetch-site", "same-origin")]);
    assert_eq!(status(&own), "303", "a form here: {own}");
    let page = exchange(&console, ("GET", "/"), &[HTML, cookie], "");
    for policy in ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "form-action 'self'"]
    {
        assert!(header(&page, "content-security-policy").contains(policy), "{page}");
    }
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert!(!page.contains("style=") && !page.contains("onclick"), "nothing is inline");
}

#[test]
fn a_proxy_names_the_caller() {
    let world = World::new(BUILD);
    let named = |from: &str| {
        let console = Console::with(&world, &["--auth-header", "X-User", "--auth-from", from]);
        let get = |path: &str, headers: &[(&str, &str)]| {
            status(&exchange(&console, ("GET", path), headers, "")).to_owned()
        };
        let user = ("x-user", "ann@example.org");
        (
            get("/", &[HTML, user]),
            get("/v1/queues", &[user]),
            get("/v1/queues", &[]),
            get("/v1/queues", &[user, user]),
        )
    };
    let all = |statuses: [&str; 4]| {
        let [page, api, none, twice] = statuses.map(str::to_owned);
        (page, api, none, twice)
    };
    assert_eq!(named("127.0.0.0/8"), all(["200", "200", "401", "401"]));
    assert_eq!(named("10.0.0.0/8"), all(["401", "401", "401", "401"]));
}

//! Responses that differ only in their status.

use e2e::process::Build;

use super::case::{Case, Expected, answer, run};

e2e::in_both_builds!(statuses_that_pass, statuses_that_are_final);

fn status(code: u16) -> e2e::hostile::Behaviour {
    let to = "location: http://169.254.169.254/latest/\r\n";
    answer(&format!("HTTP/1.1 {code} x\r\n{to}content-length: 0\r\n\r\n"))
}

fn statuses_that_pass(build: Build) {
    const CODES: [(u16, &str); 8] = [
        (408, "408"),
        (425, "425"),
        (429, "429"),
        (500, "500"),
        (502, "502"),
        (503, "503"),
        (504, "504"),
        (599, "599"),
    ];
    run(build, CODES.map(|(code, name)| Case::new(name, status(code), Expected::Dead(name))).into());
}

/// Redirects among them, also such as lead to themselves: they are not followed.
fn statuses_that_are_final(build: Build) {
    const CODES: [u16; 14] = [101, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 413, 999];
    run(build, CODES.map(|code| Case::new("final", status(code), Expected::Final(code))).into());
}

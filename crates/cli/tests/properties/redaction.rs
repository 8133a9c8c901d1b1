//! What a span shows of a URL holds no user name, no password and no value of a parameter that is known to be
//! secret.

use http::Uri;

/// The text of a URL.
pub(crate) fn check(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    let shown = hyper_otel::redacted(&uri);
    assert!(shown.len() <= 2048, "{} bytes", shown.len());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if let Some((user, host)) = authority.rsplit_once('@')
        && shown.len() < 2048
    {
        assert!(shown.contains(&format!("//REDACTED:REDACTED@{host}")), "{user} in {shown}");
    }
    let query = shown.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "REDACTED"));
        let secret = ["token", "sig", "my_password", "api_key", "x-amz-signature"];
        // The last value may be cut.
        let redacted = "REDACTED".starts_with(value) && (value.len() == 8 || shown.len() >= 2040);
        assert!(redacted || !secret.iter().any(|secret| name.eq_ignore_ascii_case(secret)), "{shown}");
    }
}

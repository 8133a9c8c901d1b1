//! `[secrets.NAME]`: reads secrets from the files and variables that the table names.

use std::fs::File;
use std::io::Read;

use http::header::AUTHORIZATION;
use http::{HeaderName, Uri};
use postrider_queue::job::{Destination, is_reserved};
use postrider_worker::settings::{ClientAuthentication, ClientCredentials, Identity, Secret, sensitive};

use super::table::{Source, Table};

/// The maximum size of a secret, in bytes: no key, token or chain of certificates is longer.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret. Errors never contain its value.
pub(super) fn secret(table: &mut Table<'_, '_>) -> Secret {
    table.not_empty("hosts");
    let mut secret = Secret {
        hosts: table.texts("hosts", str::parse),
        allow_http: table.flag("allow_http").unwrap_or(false),
        ..Secret::default()
    };
    for (at, key) in sources(table, "keys") {
        match key.parse() {
            Ok(key) => secret.keys.push(key),
            Err(error) => table.problem_at(at, format!("`keys`: {error}")),
        }
    }
    bearer(table, &mut secret);
    basic(table, &mut secret);
    own_header(table, &mut secret);
    tokens(table, &mut secret);
    match (source(table, "cert"), source(table, "key")) {
        (Some((at, chain)), Some((_, key))) => match Identity::from_pem(chain.as_bytes(), key.as_bytes()) {
            Ok(identity) => secret.identity = Some(identity),
            Err(error) => table.problem_at(at, error),
        },
        (None, None) => {}
        _ => table.problem("a client certificate needs both `cert` and `key`"),
    }
    if secret.keys.is_empty() && !secret.has_credentials() && !table.has_problems() {
        table.problem(
            "a secret needs `keys`, `bearer`, `user` and `password`, `header` and `value`, `token_url`, or `cert` \
             and `key`",
        );
    }
    if secret.has_credentials() && secret.hosts.is_empty() && !table.has_problems() {
        table.problem(
            "`hosts` is missing: a producer chooses where a job goes; name the hosts that may get these \
             credentials, as hosts = [\"api.example.org\", \"*.internal:8443\"]",
        );
    }
    secret
}

fn bearer(table: &mut Table<'_, '_>, secret: &mut Secret) {
    if let Some((at, token)) = source(table, "bearer") {
        header(table, at, "bearer", secret, AUTHORIZATION, &format!("Bearer {token}"));
    }
}

/// Basic authentication (RFC 7617). The user name is not secret.
fn basic(table: &mut Table<'_, '_>, secret: &mut Secret) {
    match (table.string("user"), source(table, "password")) {
        (Some((at, user)), _) if user.contains(':') => {
            table.problem_at(at, "`user` must not have a colon (RFC 7617 §2)");
        }
        (Some((at, user)), Some((_, password))) => {
            use base64::Engine;
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            header(table, at, "password", secret, AUTHORIZATION, &format!("Basic {pair}"));
        }
        (None, None) => {}
        _ => table.problem("basic authentication needs both `user` and `password`"),
    }
}

fn own_header(table: &mut Table<'_, '_>, secret: &mut Secret) {
    match (table.string("header"), source(table, "value")) {
        (Some((at, name)), Some((_, value))) => match name.parse::<HeaderName>() {
            Ok(name) if is_reserved(&name) => {
                table.problem_at(
                    at,
                    format!("`header`: `{name}` belongs to the connection; the worker sets it"),
                );
            }
            Ok(name) => header(table, at, "value", secret, name, &value),
            Err(error) => table.problem_at(at, format!("`header`: {error}")),
        },
        (None, None) => {}
        _ => table.problem("a header needs both `header` and `value`"),
    }
}

/// OAuth 2.0 client credentials (RFC 6749 §4.4). The client's name is not secret.
fn tokens(table: &mut Table<'_, '_>, secret: &mut Secret) {
    let (url, client_id) = (table.string("token_url"), table.string("client_id"));
    let client_secret = source(table, "client_secret");
    let (scopes, audience) = (table.texts("scopes", scope), table.string("audience"));
    let authentication = table.string("client_auth");
    let Some((at, url)) = url else {
        if client_id.is_some() || client_secret.is_some() || authentication.is_some() {
            table.problem("access tokens need `token_url`, the address of the token endpoint");
        }
        return;
    };
    let (Some((_, client_id)), Some((_, client_secret))) = (client_id, client_secret) else {
        return table.problem("access tokens need both `client_id` and `client_secret`");
    };
    if secret.headers.iter().any(|(known, _)| *known == AUTHORIZATION) {
        table.problem_at(at, "the header `authorization` is set twice; give one way to do it");
    }
    let authentication = match authentication.as_ref().map(|(at, text)| (*at, text.as_str())) {
        None | Some((_, "basic")) => ClientAuthentication::Basic,
        Some((_, "body")) => ClientAuthentication::Body,
        Some((at, _)) => {
            return table.problem_at(at, "`client_auth` must be \"basic\", the default, or \"body\"");
        }
    };
    match token_url(url, secret.allow_http) {
        Ok(token_url) => {
            let audience = audience.map(|(_, audience)| audience);
            let tokens =
                ClientCredentials { token_url, client_id, client_secret, scopes, audience, authentication };
            secret.tokens = Some(tokens);
        }
        Err(problem) => table.problem_at(at, problem),
    }
}

fn token_url(text: String, allow_http: bool) -> Result<Uri, String> {
    let found = Destination::parse(&text.into())
        .map_err(|malformed| malformed.error.replacen("field `url`", "`token_url`", 1))?;
    if found.authorization.is_some() {
        return Err(
            "`token_url` must have no user and password; they are `client_id` and `client_secret`".to_owned()
        );
    }
    // RFC 6749 §3.2.
    if found.uri.scheme_str() != Some("https") && !allow_http {
        return Err(
            "`token_url` must be https, unless `allow_http` is true: the client's secret is sent there"
                .to_owned(),
        );
    }
    Ok(found.uri)
}

/// RFC 6749 §3.3.
fn scope(text: &str) -> Result<String, &'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("a scope is one word of visible ASCII characters, without quotes and backslashes")
    }
}

fn header(
    table: &mut Table<'_, '_>,
    at: usize,
    key: &str,
    secret: &mut Secret,
    name: HeaderName,
    value: &str,
) {
    if secret.headers.iter().any(|(known, _)| *known == name) {
        return table.problem_at(at, format!("the header `{name}` is set twice; give one way to do it"));
    }
    match sensitive(value.as_bytes()) {
        Some(value) => secret.headers.push((name, value)),
        None => table.problem_at(at, format!("`{key}` holds bytes that no header may have")),
    }
}

fn source(table: &mut Table<'_, '_>, key: &str) -> Option<(usize, String)> {
    let (at, source) = table.source(key)?;
    read(table, key, at, &source)
}

fn sources(table: &mut Table<'_, '_>, key: &str) -> Vec<(usize, String)> {
    let sources = table.sources(key);
    sources.into_iter().filter_map(|(at, source)| read(table, key, at, &source)).collect()
}

fn read(table: &mut Table<'_, '_>, key: &str, at: usize, source: &Source) -> Option<(usize, String)> {
    if let Source::File(path) = source {
        table.reads(path);
    }
    let text = match source {
        Source::File(path) => {
            secret_file(path).map_err(|error| format!("cannot read the file {path}: {error}"))
        }
        Source::Env(name) => std::env::var(name).map_err(|_| format!("the variable {name} is not set")),
    };
    let problem = match text {
        Ok(text) => match text.as_str() {
            "" => match source {
                Source::File(path) => format!("the file {path} is empty"),
                Source::Env(name) => format!("the variable {name} is empty"),
            },
            text => return Some((at, text.to_owned())),
        },
        Err(problem) => problem,
    };
    table.problem_at(at, format!("`{key}`: {problem}"));
    None
}

/// The text of a file that holds a secret, without the line break that editors put at its end.
///
/// # Errors
/// If it cannot be read, is no regular file, is not UTF-8 or is longer than 64 KiB.
pub(crate) fn secret_file(path: &str) -> std::io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    if file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > SECRET_BYTES_MAX {
        return Err(std::io::Error::other("it is longer than 64 KiB"));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

#[cfg(test)]
mod tests;

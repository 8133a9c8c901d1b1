//! The address of PostgreSQL, with what libpq knows and tokio-postgres does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What an address looks like.
const FORM: &str = "postgresql://USER:PASSWORD@HOST/DATABASE";
/// How long a peer may keep silent before the system closes the connection.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where PostgreSQL is, and which authorities are trusted. It contains a password, and its `Debug` shows none.
#[derive(Clone, Debug)]
pub struct Postgres {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
}

/// The certificates of the system and of a file, as a connector.
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) MakeRustlsConnect);

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

/// The address of PostgreSQL cannot be used. The error contains no part of it.
#[derive(Debug, thiserror::Error)]
#[error("the address of PostgreSQL {0}")]
pub struct BadPostgres(String);

impl Postgres {
    /// Reads `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS`, or libpq's `key=value` pairs. Of libpq's `sslmode`s,
    /// `verify-ca` and `verify-full` mean `require`: whenever TLS is used, the certificate and the host are verified, against the
    /// authorities of the system, of `sslrootcert` and of `ca_file`.
    ///
    /// # Errors
    /// [`BadPostgres`].
    pub fn parse(text: &str, ca_file: Option<&Path>) -> Result<Self, BadPostgres> {
        let mut files: Vec<PathBuf> = ca_file.map(Path::to_owned).into_iter().collect();
        let text = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            without_own_options(text, &mut files)?
        } else if text.contains("://") {
            return Err(BadPostgres(format!("begins with another scheme; write {FORM}")));
        } else {
            text.to_owned()
        };
        let mut config: Config = text
            .parse()
            .map_err(|error| BadPostgres(format!("is wrong: {}; write {FORM}", cause(&error))))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BadPostgres(format!("has no host; write {FORM}")));
        }
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT));
        config.keepalives_idle(SILENCE_MAX / 2).keepalives_interval(SILENCE_MAX / 6).keepalives_retries(3);
        config.tcp_user_timeout(SILENCE_MAX);
        if config.get_application_name().is_none() {
            config.application_name("postrider-relay");
        }
        Ok(Self { config, tls: Tls(MakeRustlsConnect::new(client(&files)?)) })
    }

    /// The hosts and ports, without user and password.
    pub(crate) fn address(&self) -> String {
        let ports = self.config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate().map(|(index, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(index)),
            Host::Unix(folder) => folder.display().to_string(),
        });
        hosts.collect::<Vec<_>>().join(", ")
    }
}

/// The URL with `sslmode=require` for the modes that tokio-postgres does not know, and without `sslrootcert`.
fn without_own_options(text: &str, files: &mut Vec<PathBuf>) -> Result<String, BadPostgres> {
    let Some((address, options)) = text.split_once('?') else { return Ok(text.to_owned()) };
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(options.as_bytes()) {
        match (&*name, &*value) {
            ("sslrootcert", "system") => {}
            ("sslrootcert", path) => files.push(path.into()),
            ("sslmode", "verify-ca" | "verify-full") => {
                kept.append_pair("sslmode", "require");
            }
            ("sslmode", "allow") => {
                return Err(BadPostgres("has sslmode=allow; write disable, prefer or require".into()));
            }
            ("sslcert" | "sslkey", _) => {
                return Err(BadPostgres(format!(
                    "has {name}: client certificates are not supported; use a password"
                )));
            }
            _ => {
                kept.append_pair(&name, &value);
            }
        }
    }
    // tokio-postgres reads `+` as itself.
    Ok(format!("{address}?{}", kept.finish().replace('+', "%20")))
}

/// The end of the chain of causes, which explains the fault; the errors before it only name the place.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

fn client(files: &[PathBuf]) -> Result<ClientConfig, BadPostgres> {
    let mut roots = RootCertStore::empty();
    // Without any, a connection that needs TLS fails with that reason.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in files {
        let wrong = |error: String| {
            BadPostgres(format!("names a CA file that cannot be used: {}: {error}", path.display()))
        };
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            found = true;
        }
        if !found {
            return Err(wrong("it contains no PEM certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| BadPostgres(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn wrong(text: &str) -> String {
        Postgres::parse(text, None).unwrap_err().to_string()
    }

    #[test]
    fn libpqs_modes_are_understood() {
        for (mode, meant) in
            [("disable", SslMode::Disable), ("prefer", SslMode::Prefer), ("verify-full", SslMode::Require)]
        {
            let postgres =
                Postgres::parse(&format!("postgresql://me:p%40ss@db/app?sslmode={mode}"), None).unwrap();
            assert_eq!(postgres.config.get_ssl_mode(), meant, "{mode}");
            assert_eq!(postgres.config.get_password(), Some(&b"p@ss"[..]));
        }
        let options = "postgresql://db/app?options=-c%20search_path%3Djobs&sslrootcert=system";
        let postgres = Postgres::parse(options, None).unwrap();
        assert_eq!(postgres.config.get_options(), Some("-c search_path=jobs"));
    }

    #[test]
    fn errors_name_what_is_wrong_and_no_password() {
        assert!(wrong("mysql://me:hunter2@db/app").contains("another scheme"));
        assert!(wrong("postgresql:///app").contains("has no host"));
        assert!(wrong("127.0.0.1:5432/app").contains("write postgresql://"));
        let several = Postgres::parse("postgresql://me:hunter2@one,two:1/app", None).unwrap();
        assert!(
            !several.address().contains("hunter2") && several.address().starts_with("one:"),
            "{}",
            several.address()
        );
        assert!(wrong("postgresql://me:hunter2@db:port/app").contains("port"));
        assert!(wrong("postgresql://me:hunter2@db/app?sslmode=maybe").contains("sslmode"));
        assert!(wrong("postgresql://db/app?sslrootcert=/no/such/file").contains("/no/such/file"));
        for text in [
            "mysql://me:hunter2@db/app",
            "postgresql://me:hunter2@db:port/app",
            "host=db password=hunter2 port=x",
        ] {
            assert!(!wrong(text).contains("hunter2"), "{}", wrong(text));
        }
        let postgres = Postgres::parse("postgresql://me:hunter2@db/app", None).unwrap();
        assert!(!format!("{postgres:?}").contains("hunter2"));
    }
}

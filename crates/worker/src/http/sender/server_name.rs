//! The name that a server's certificate must prove.

use http::Uri;
use postrider_queue::job::{BadHost, Host};
use rustls::pki_types::ServerName;

use super::error::BoxError;

/// The host of a URL as certificates contain it: any spelling of an address is that address, and a name has
/// no dot at its end (RFC 6066 §3). So the certificate proves the host that is dialled, and the egress policy
/// also sees spellings that TLS does not know.
///
/// # Errors
/// If the URL has no valid host, or TLS does not accept the name.
pub(super) fn server_name(uri: &Uri) -> Result<ServerName<'static>, BoxError> {
    match Host::parse(uri.host().ok_or(BadHost::Empty)?)? {
        Host::Address(address) => Ok(ServerName::IpAddress(address.into())),
        Host::Name(name) => Ok(ServerName::try_from(name.to_owned())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, name: &str) {
        assert_eq!(server_name(&url.parse().unwrap()).unwrap().to_str(), name, "{url}");
    }

    #[test]
    fn the_name_is_that_of_the_address_or_host_that_is_dialled() {
        check("https://example.org/", "example.org");
        check("https://example.org.:8443/", "example.org");
        check("https://0x7f.1/", "127.0.0.1");
        check("https://127.0.0.1./", "127.0.0.1");
        check("https://[::1]:443/", "::1");
        assert!(server_name(&"https://-a-/".parse().unwrap()).is_err());
    }
}

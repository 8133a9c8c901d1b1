//! Certificates, in files, of a receiver and its clients.

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// Files in PEM: a receiver's certificate for 127.0.0.1 and localhost, and a client's.
pub struct Tls {
    folder: TempDir,
    demands_client: bool,
}

impl Tls {
    /// For a receiver that accepts any client.
    ///
    /// # Panics
    ///
    /// If the machine has no random numbers or no folder for temporary files.
    pub fn new() -> Tls {
        Tls::make(false)
    }

    /// For a receiver that accepts only this client.
    ///
    /// # Panics
    ///
    /// If the machine has no random numbers or no folder for temporary files.
    pub fn demanding() -> Tls {
        Tls::make(true)
    }

    fn make(demands_client: bool) -> Tls {
        let tls = Tls {
            folder: tempfile::tempdir().expect("there is a folder for temporary files"),
            demands_client,
        };
        for (name, hosts) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &["client.test"])] {
            let key = KeyPair::generate().expect("a key can be made");
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let params = CertificateParams::new(hosts).expect("these are names");
            let certificate = params.self_signed(&key).expect("a certificate can be signed");
            for (end, pem) in [("pem", certificate.pem()), ("key", key.serialize_pem())] {
                std::fs::write(tls.path(&format!("{name}.{end}")), pem).expect("a new folder can be written");
            }
        }
        tls
    }

    /// The certificate to trust.
    pub fn authority(&self) -> String {
        self.path("server.pem")
    }

    /// The client's certificate.
    pub fn client_certificate(&self) -> String {
        self.path("client.pem")
    }

    /// The client's key.
    pub fn client_key(&self) -> String {
        self.path("client.key")
    }

    pub(super) fn of_server(&self) -> Vec<String> {
        let mut files = vec![self.path("server.pem"), self.path("server.key")];
        if self.demands_client {
            files.push(self.path("client.pem"));
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("the path is text").to_owned()
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls::new()
    }
}

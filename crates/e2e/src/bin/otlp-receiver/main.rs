//! An OTLP receiver on the official protobuf definitions, for the tests and the demo.
//!
//! It listens on three free ports of the loopback address, prints their addresses to its standard output as
//! one line of JSON, and exits when its standard input closes, so it never outlives its parent.
//! `--ports=GRPC,HTTP,ADMIN` sets the ports. Further arguments, the files of `serve::acceptor`, turn on TLS
//! for its two OTLP ports.

mod admin;
mod flatten;
mod grpc;
mod over_http;
mod serve;
mod store;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;

use store::Store;

const PORTS: &str = "--ports=";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (given, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with(PORTS));
    let mut ports = given.iter().flat_map(|ports| ports[PORTS.len()..].split(',')).map(str::parse::<u16>);
    let mut port = || ports.next().unwrap_or(Ok(0));
    let [grpc, http, admin] = [port()?, port()?, port()?];
    let tls = serve::acceptor(&files);
    let store = Arc::new(Store::default());
    let [grpc, http, admin] = [listen(grpc).await?, listen(http).await?, listen(admin).await?];
    let addresses = json!({
        "grpc": grpc.local_addr()?.to_string(),
        "http": http.local_addr()?.to_string(),
        "admin": admin.local_addr()?.to_string(),
    });
    println!("{addresses}");
    std::thread::spawn(exit_with_parent);
    tokio::select! {
        result = grpc::serve(grpc, tls.clone(), Arc::clone(&store)) => result?,
        result = over_http::serve(http, tls, Arc::clone(&store)) => result?,
        result = admin::serve(admin, store) => result?,
    }
    Ok(())
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// The parent holds the other end of standard input and never writes to it.
fn exit_with_parent() {
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    std::process::exit(0);
}

//! An OTLP receiver on the official protobuf definitions, for the tests and the demo.
//!
//! It listens on three free ports of the loopback address, says where on its standard output in one JSON line,
//! and ends when its standard input closes, so it never outlives its parent. With arguments, the files of
//! `serve::acceptor`, its two ports for OTLP speak TLS.

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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let tls = serve::acceptor(&files);
    let store = Arc::new(Store::default());
    let [grpc, http, admin] = [listen().await?, listen().await?, listen().await?];
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

async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// The parent holds the other end of standard input and never writes to it.
fn exit_with_parent() {
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    std::process::exit(0);
}

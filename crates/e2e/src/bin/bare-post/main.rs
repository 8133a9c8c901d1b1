//! `bare-post REDIS_URL ADDRESS`: the reference for the console's cost: an axum handler that adds the body of a POST to the stream, and nothing else. Like the
//! console it has one thread.

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use fred::prelude::*;
use fred::types::config::TcpConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAM: &str = "postrider:{default}:jobs";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis_url, address] = arguments.as_slice() else {
        return Err("usage: REDIS_URL ADDRESS".into());
    };
    let mut builder = Builder::from_config(Config::from_url(redis_url)?);
    builder.with_connection_config(|connection| {
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
    });
    let redis = builder.build()?;
    redis.init().await?;
    let router = Router::new().route("/", post(enqueue)).with_state(redis);
    let listener = tokio::net::TcpListener::bind(address.parse::<SocketAddr>()?).await?;
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), router)
        .await?;
    Ok(())
}

async fn enqueue(State(redis): State<Client>, body: Bytes) -> Result<(StatusCode, String), StatusCode> {
    let added = redis.xadd::<String, _, _, _, _>(STREAM, false, None::<()>, "*", ("body", body)).await;
    added.map(|entry| (StatusCode::CREATED, entry)).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

//! Destinations on separate ports. All respond at once with as little work as possible, except one that never
//! responds.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::background::Background;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// They stop when this is dropped.
pub(crate) struct Destinations {
    ports: Vec<u16>,
    one_more: u16,
    dead: u16,
    answers: Arc<AtomicUsize>,
    _server: Background,
}

impl Destinations {
    pub(crate) fn start(count: usize) -> Destinations {
        let listeners: Vec<TcpListener> = (0..count).map(|_| listen()).collect();
        let ports = listeners.iter().map(port).collect();
        let (one_more, dead) = (listen(), listen());
        let (one_more_port, dead_port) = (port(&one_more), port(&dead));
        let answers = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answers);
        let server = Background::start("destinations", async move {
            for listener in listeners {
                tokio::spawn(serve(listener, Some(Arc::clone(&counted)), true));
            }
            tokio::spawn(serve(one_more, None, true));
            serve(dead, None, false).await;
        });
        Destinations { ports, one_more: one_more_port, dead: dead_port, answers, _server: server }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| url(*port)).collect()
    }

    /// The URL of a destination whose responses are not counted.
    pub(crate) fn one_more_url(&self) -> String {
        url(self.one_more)
    }

    pub(crate) fn dead_url(&self) -> String {
        url(self.dead)
    }

    /// The number of responses of the counted destinations.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

fn listen() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    listener
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a listener has an address").port()
}

async fn serve(listener: TcpListener, answers: Option<Arc<AtomicUsize>>, is_alive: bool) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
    let mut silent = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        if is_alive {
            tokio::spawn(answer(stream, answers.clone()));
        } else {
            silent.push(stream);
        }
    }
}

/// Answers each request: all have a body of 512 bytes and arrive one at a time.
async fn answer(mut stream: TcpStream, answers: Option<Arc<AtomicUsize>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    while stream.read_buf(&mut bytes).await? > 0 {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| bytes.len() >= head + 4 + 512) {
            bytes.clear();
            if let Some(answers) = &answers {
                answers.fetch_add(1, Ordering::Relaxed);
            }
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

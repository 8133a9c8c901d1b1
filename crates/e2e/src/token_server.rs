//! A token endpoint of OAuth 2.0 that counts what it grants, and a destination that accepts only some of its tokens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::background::Background;
use crate::sink::listen;

/// What the endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMode {
    /// Grants the tokens 1, 2 and so on for these seconds each.
    Grant(u64),
    /// Answers with this status and an error.
    Fail(u16),
    /// Does not answer.
    Hang,
}

/// What tokens begin with. It appears nowhere else.
const PREFIX: &str = "hunter2-token-";

/// A running token endpoint, and the destination. Its port closes when this is dropped.
pub struct TokenServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Background,
}

struct State {
    mode: TokenMode,
    granted: u32,
    /// The authorization and the form of each request for a token.
    asked: Vec<(String, String)>,
    /// The tokens of requests to the destination, in their order; 0 for none.
    used: Vec<u32>,
    /// The destination answers 401 to tokens with a lower number.
    accepted_from: u32,
}

impl TokenServer {
    /// Starts one on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(mode: TokenMode) -> TokenServer {
        let (listener, address) = listen();
        let state = State { mode, granted: 0, asked: vec![], used: vec![], accepted_from: 1 };
        let state = Arc::new(Mutex::new(state));
        let server = Background::start("token-server", serve(listener, Arc::clone(&state)));
        TokenServer { address, state, _server: server }
    }

    /// The URL of a path: `/token` is the endpoint, every other one the destination.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Changes what it does from now on.
    pub fn set(&self, mode: TokenMode) {
        self.state().mode = mode;
    }

    /// The destination answers 401 to tokens with a lower number.
    pub fn accept_from(&self, number: u32) {
        self.state().accepted_from = number;
    }

    /// The authorization and the form of each request for a token.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.state().asked.clone()
    }

    /// The tokens of requests to the destination, in their order; 0 for none.
    pub fn used(&self) -> Vec<u32> {
        self.state().used.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no one panics with this lock")
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<Mutex<State>>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(request, Arc::clone(&state)));
            // The worker may close the connection within a request.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let authorization = authorization.unwrap_or_default();
    let is_endpoint = request.uri().path() == "/token";
    let body = request.into_body().collect().await?.to_bytes();
    let (status, text) = {
        let mut state = state.lock().expect("no one panics with this lock");
        if is_endpoint {
            let form = String::from_utf8_lossy(&body).into_owned();
            state.grant(authorization, form)
        } else {
            state.accept(&authorization)
        }
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

impl State {
    /// The status and the body; 0 for none.
    fn grant(&mut self, authorization: String, form: String) -> (u16, String) {
        self.asked.push((authorization, form));
        match self.mode {
            TokenMode::Grant(life) => {
                self.granted += 1;
                let token = self.granted;
                let text = format!(
                    r#"{{"access_token":"{PREFIX}{token}","token_type":"Bearer","expires_in":{life}}}"#
                );
                (200, text)
            }
            TokenMode::Fail(status) => (status, r#"{"error":"temporarily_unavailable"}"#.to_owned()),
            TokenMode::Hang => (0, String::new()),
        }
    }

    fn accept(&mut self, authorization: &str) -> (u16, String) {
        let token = authorization.strip_prefix("Bearer ").and_then(|token| token.strip_prefix(PREFIX));
        let number = token.and_then(|number| number.parse().ok()).unwrap_or(0);
        self.used.push(number);
        (if number >= self.accepted_from { 200 } else { 401 }, String::new())
    }
}

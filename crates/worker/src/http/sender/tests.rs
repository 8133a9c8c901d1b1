//! Requests that are repeated.

use std::net::SocketAddr;

use postrider_queue::job::{Delivery, EntryId, Lease};
use telemetry::ErrorType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

fn sender() -> Sender {
    let egress = Egress { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Egress::default() };
    let config = SenderConfig {
        timeout: DEADLINE,
        egress,
        results: KeptResults::default(),
        http: HttpConfig::default(),
        identities: BTreeMap::new(),
        tokens: BTreeMap::new(),
        recording: Options::default(),
        connections: ConnectionOptions::default(),
    };
    Sender::new(&config, &Telemetry::disabled(), &Warnings::default()).unwrap()
}

/// Sends a job in the background.
fn sent(sender: &Sender, address: SocketAddr) -> tokio::task::JoinHandle<SendResult> {
    let fields = vec![("url".into(), format!("http://{address}/").into())];
    let lease = Lease { entry: EntryId { millis: 1, sequence: 0 }, delivery: 1, epoch: 0 };
    let job = Job::decode(&Delivery::new(lease, fields)).unwrap();
    let sender = sender.clone();
    tokio::spawn(async move {
        sender.send(&job, &Attempt::default(), &Credentials::default(), (Instant::now(), 0)).await.0
    })
}

/// Whether a request came before the end of the stream.
async fn has_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_request_that_gets_a_closing_connection_while_it_dials_is_repeated() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, sender) = (listener.local_addr().unwrap(), sender());
    let first = sent(&sender, address);
    let (mut kept, _) = listener.accept().await.unwrap();
    assert!(has_request(&mut kept).await);
    // The queue of the listener is full, so that the second request dials and gets no connection.
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    let second = sent(&sender, address);
    tokio::task::yield_now().await;
    kept.write_all(OK).await.unwrap();
    assert_eq!(first.await.unwrap().status(), Some(200));
    // It gets the first connection, which is closed when it arrives.
    let used = timeout(DEADLINE, has_request(&mut kept)).await.expect("in time");
    assert!(used, "the connection that became idle is used");
    drop(kept);
    let listening = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if has_request(&mut stream).await {
                    stream.write_all(OK).await.unwrap();
                }
            });
        }
    });
    drop(queued);
    let second = timeout(DEADLINE, second).await.expect("in time").unwrap();
    assert_eq!(second.status(), Some(200), "{second:?}");
    listening.abort();
}

#[tokio::test]
async fn a_request_whose_new_connection_is_closed_is_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sent = sent(&sender(), listener.local_addr().unwrap());
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(has_request(&mut stream).await);
    drop(stream);
    let result = timeout(DEADLINE, sent).await.expect("in time").unwrap();
    assert_eq!(result.error(), Some(ErrorType::ConnectionReset));
    assert!(
        timeout(Duration::from_millis(1), listener.accept()).await.is_err(),
        "there was no second connection"
    );
}

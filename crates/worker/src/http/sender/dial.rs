//! Dials the addresses of a host until one of them responds (RFC 8305). An address that drops packets must
//! not use up the time in which another one would respond.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, debug_span};

use super::error::NoConnection;

/// Time without a response after which the next address is dialled as well (RFC 8305 §5).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);
/// Addresses that are tried for one name. Honest names have fewer, and no name may make the worker scan a
/// network.
const ADDRESSES_MAX: usize = 16;
/// Bytes that the kernel keeps for a connection before it sends them. What is on its way is not among them, so a fast
/// and distant destination is as fast as without this limit.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Connects to the first address that responds. `addresses` must not be empty. The caller sets a deadline.
pub(super) async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, NoConnection> {
    if let [address] = addresses {
        return connect(*address).await;
    }
    let mut left = in_turn(addresses).into_iter().take(ADDRESSES_MAX);
    let (mut dialled, mut first) = (FuturesUnordered::new(), None);
    loop {
        let next = left.next();
        let is_last = next.is_none();
        dialled.extend(next.map(connect));
        let ended = match is_last {
            true => dialled.next().await,
            false => match timeout(NEXT_ADDRESS_DELAY, dialled.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            // The error of the preferred address is the most useful one.
            Some(Err(error)) => first = first.or(Some(error)),
            None => return Err(first.expect("there is at least one address")),
        }
    }
}

/// Has its own span for `POSTRIDER_TRACE_INTERNALS`, so that a trace shows which addresses were tried.
async fn connect(address: SocketAddr) -> Result<TcpStream, NoConnection> {
    let (host, port) = (address.ip(), i64::from(address.port()));
    let span = debug_span!("dial", network.peer.address = %host, network.peer.port = port);
    open(address).instrument(span).await
}

async fn open(address: SocketAddr) -> Result<TcpStream, NoConnection> {
    let stream = TcpStream::connect(address).await.map_err(|error| NoConnection { address, error })?;
    // A socket without it works, but slower.
    let _ = stream.set_nodelay(true);
    limit_unsent(&stream);
    Ok(stream)
}

/// Else the kernel takes 4 MiB for a destination that reads nothing: memory for each such connection, and the attempt
/// would end as if the destination had taken the request.
fn limit_unsent(stream: &TcpStream) {
    // Other systems have no such option. A socket without it works.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = stream;
}

/// Alternates the families, each in the resolver's order: a whole family may be unreachable (RFC 8305 §4).
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let prefers_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().copied().rev().partition(|address| address.is_ipv6() == prefers_v6);
    let mut ordered = Vec::with_capacity(addresses.len());
    while !one.is_empty() || !other.is_empty() {
        ordered.extend(one.pop());
        ordered.extend(other.pop());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Shorter than the first address's half of a shared deadline, and long enough for a busy machine.
    const TEST_TIMEOUT: Duration = Duration::from_secs(3);

    /// A listener whose queue is full: the kernel drops the packets of new connections.
    struct Swallowing {
        address: SocketAddr,
        _held: (TcpListener, Vec<TcpStream>),
    }

    impl Swallowing {
        async fn on(host: &str) -> io::Result<Self> {
            let address: SocketAddr = host.parse().expect("an address");
            let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
            socket.bind(address)?;
            let listener = socket.listen(1)?;
            let (address, mut queued) = (listener.local_addr()?, Vec::new());
            // The system decides how many connections a queue takes.
            while let Ok(stream) = timeout(2 * NEXT_ADDRESS_DELAY, TcpStream::connect(address)).await {
                queued.push(stream?);
                assert!(queued.len() < 1000, "the queue has no end");
            }
            Ok(Self { address, _held: (listener, queued) })
        }
    }

    #[tokio::test]
    async fn an_address_that_drops_packets_does_not_block_the_next_of_its_family() {
        let first = Swallowing::on("127.0.0.1:0").await.unwrap();
        let second = Swallowing::on("127.0.0.1:0").await.unwrap();
        let alone = timeout(2 * NEXT_ADDRESS_DELAY, dial(&[first.address, second.address])).await;
        assert!(alone.is_err(), "they must not respond: {alone:?}");
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let stream =
            timeout(TEST_TIMEOUT, dial(&[first.address, second.address, alive])).await.expect("in time");
        assert_eq!(stream.unwrap().peer_addr().unwrap(), alive);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_keeps_little_for_a_destination_that_reads_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = dial(&[listener.local_addr().unwrap()]).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let (piece, mut taken) = (vec![0; 64 * 1024], 0);
        while timeout(NEXT_ADDRESS_DELAY, stream.writable()).await.is_ok() {
            taken += stream.try_write(&piece).unwrap_or(0);
            assert!(taken < 1 << 20, "it has no limit");
        }
        assert!(taken > 0);
        drop(peer);
    }

    #[tokio::test]
    async fn an_unreachable_family_does_not_block_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        // Discard-only addresses (RFC 6666): packets are dropped, or refused if there is no route.
        let mut addresses: Vec<SocketAddr> =
            vec!["[100::1]:9".parse().unwrap(), "[100::2]:9".parse().unwrap()];
        // A machine without IPv6 has only the discard-only addresses.
        let swallowing = Swallowing::on("[::1]:0").await;
        if let Ok(swallowing) = &swallowing {
            addresses.insert(0, swallowing.address);
        }
        addresses.push(alive);
        let stream = timeout(TEST_TIMEOUT, dial(&addresses)).await.expect("in time").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
    }

    #[tokio::test]
    async fn the_first_error_is_returned_if_no_address_responds() {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let addresses = listeners.map(|listener| listener.local_addr().unwrap());
        let error =
            timeout(TEST_TIMEOUT, dial(&addresses)).await.expect("refusals need no waiting").unwrap_err();
        assert_eq!((error.address, error.error.kind()), (addresses[0], io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn the_families_alternate_and_keep_their_order() {
        let of = |hosts: &[&str]| -> Vec<SocketAddr> {
            hosts.iter().map(|host| format!("{host}:1").parse().unwrap()).collect()
        };
        assert_eq!(
            in_turn(&of(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "1.1.1.2"])),
            of(&["[::1]", "1.1.1.1", "[::2]", "1.1.1.2", "[::3]"])
        );
        assert_eq!(in_turn(&of(&["1.1.1.1", "[::1]"])), of(&["1.1.1.1", "[::1]"]));
        assert!(in_turn(&[]).is_empty());
    }
}

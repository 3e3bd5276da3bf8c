//! The connections of the server: how many, how fast, how long.
//!
//! It knows nothing of what is asked for. It guarantees that no client holds a connection for longer than
//! [`LIFE`] and what one more request may take, whatever it sends or does not read, and that one address cannot
//! have them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::PATIENCE;

/// A request's headers are no larger, all together: 16 KiB.
const LARGEST_HEAD: usize = 16 << 10;

/// A request has no more headers.
const MOST_HEADERS: usize = 64;

/// How many clients are served at once; others wait.
const CONNECTIONS: u32 = 512;

/// How many of these one address may have; others of it are closed at once. Half, since behind a proxy all
/// clients have one address.
const FROM_ONE_ADDRESS: u32 = CONNECTIONS / 2;

/// How long a connection takes new requests: 5 minutes.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// How long a request may take that is under way when its connection's life ends: its headers, its body, its
/// answer.
const LAST_REQUEST: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// How long connections may go on after the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until told to stop; then lets requests under way end.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let addresses = Addresses::default();
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            _ = stop.changed() => break,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely; they come back when connections end.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = addresses.take(peer.ip()) else {
            tracing::debug!(address = %peer.ip(), "it has too many connections; closed one");
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            one(stream, router, stop).await;
            drop((place, permit));
        });
    }
    // All are back when all connections have ended.
    let _ = timeout(FAREWELL, connections.acquire_many(CONNECTIONS)).await;
}

/// Serves one connection to its end.
async fn one<S>(stream: S, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(PATIENCE));
    let mut http = hyper::server::conn::http1::Builder::new();
    // Its time for headers begins when the answer before is written, so it ends idle connections, too.
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    http.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let grace = tokio::select! {
        // A client that breaks off is its own business; likewise below.
        _ = connection.as_mut() => return,
        () = sleep(LIFE) => LAST_REQUEST,
        _ = stop.wait_for(|stops| *stops) => FAREWELL,
    };
    connection.as_mut().graceful_shutdown();
    let _ = timeout(grace, connection).await;
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A connection of an address, while it lives.
struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// One more connection of an address; `None` where it has all that it may.
    fn take(&self, address: IpAddr) -> Option<Place> {
        let address = shared(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= FROM_ONE_ADDRESS {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place { addresses: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What stands for whoever has an address: of IPv6 the first 64 bits, since one network has all the others
/// (RFC 4291, section 2.5.4).
fn shared(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    // The runtime's own clock, which stands still here but for what is waited for.
    use tokio::time::Instant as PausedClock;

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// A connection to a server of which `/` answers so many bytes at once, and `/slow` never does.
    fn connect(answer: usize) -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
        let router = Router::new()
            .route("/", get(move || async move { "x".repeat(answer) }))
            .route("/slow", get(std::future::pending::<()>));
        let (client, server) = duplex(1_024);
        let (stop, stopped) = watch::channel(false);
        (client, tokio::spawn(one(server, router, stopped)), stop)
    }

    /// How long the server goes on with a connection, in seconds.
    async fn lasts(connection: JoinHandle<()>) -> u64 {
        let start = PausedClock::now();
        connection.await.unwrap();
        start.elapsed().as_secs()
    }

    /// Reads an answer to `/` of so many bytes.
    async fn read(client: &mut DuplexStream, answer: usize) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).await.unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        client.read_exact(&mut vec![0; answer]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn headers_that_take_too_long_end_the_connection() {
        let (_client, connection, _stop) = connect(1);
        assert_eq!(lasts(connection).await, 10, "nothing comes at all");
        let (mut client, connection, _stop) = connect(1);
        tokio::spawn(async move {
            // One byte a second.
            for byte in GET.iter().chain(std::iter::repeat(&b'x')) {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(lasts(connection).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_idle_after_an_answer_ends() {
        let (mut client, connection, _stop) = connect(1);
        for _ in 0..3 {
            client.write_all(GET).await.unwrap();
            read(&mut client, 1).await;
            sleep(Duration::from_secs(9)).await;
        }
        assert_eq!(lasts(connection).await, 1, "10 s after the last answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_its_answer_is_cut_off() {
        let (mut client, connection, _stop) = connect(100_000);
        client.write_all(GET).await.unwrap();
        assert_eq!(lasts(connection).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_after_its_life_however_busy_it_is() {
        let (mut client, connection, _stop) = connect(1);
        let asks = tokio::spawn(async move {
            let mut asked = 0;
            while client.write_all(GET).await.is_ok() && client.read_u8().await.is_ok() {
                sleep(Duration::from_secs(5)).await;
                let _ = client.read(&mut [0; 1_024]).await;
                asked += 1;
            }
            asked
        });
        assert_eq!(lasts(connection).await, 300);
        assert_eq!(asks.await.unwrap(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_outlives_its_connection_is_broken_off() {
        let (mut client, connection, _stop) = connect(1);
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(lasts(connection).await, 330);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_server_is_the_end_of_its_connections() {
        let (mut client, connection, stop) = connect(1);
        client.write_all(GET).await.unwrap();
        read(&mut client, 1).await;
        stop.send(true).unwrap();
        assert_eq!(lasts(connection).await, 0, "it is idle");
        let (mut client, connection, stop) = connect(1);
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        tokio::task::yield_now().await;
        stop.send(true).unwrap();
        assert_eq!(lasts(connection).await, 1);
    }

    #[test]
    fn one_address_has_at_most_half_of_the_connections() {
        let addresses = Addresses::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut places: Vec<Place> =
            (0..FROM_ONE_ADDRESS).map(|_| addresses.take(address("10.0.0.1")).unwrap()).collect();
        assert!(addresses.take(address("10.0.0.1")).is_none());
        assert!(addresses.take(address("::ffff:10.0.0.1")).is_none(), "the same one");
        assert!(addresses.take(address("10.0.0.2")).is_some());
        places.pop();
        assert!(addresses.take(address("10.0.0.1")).is_some());
        drop(places);
        assert!(addresses.0.lock().unwrap().is_empty());
        assert_eq!(shared(address("2001:db8::1")), shared(address("2001:db8::2:3")));
        assert_ne!(shared(address("2001:db8::1")), shared(address("2001:db8:0:1::1")));
    }
}

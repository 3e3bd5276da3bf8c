//! Requests that go through a proxy, and which failures are the proxy's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use nuncio::clock::ManualClock;
use nuncio::contract::{Outcome, Transport};
use nuncio::egress::proxy::Proxies;
use nuncio::egress::route::Route;
use nuncio::egress::tls::{Pem, Tls};
use nuncio::egress::{Egress as _, Exchange, HttpEgress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::addresses::Names;
use crate::authority::{Authority, TlsReceiver};
use crate::scripted::{Receiver, answering, raw, reply};

/// A proxy that makes tunnels, all of them to one receiver, and keeps what it was asked for.
struct Tunnels {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy)]
enum Speaks {
    /// HTTP, and this status in the answer to CONNECT.
    Http(&'static str),
    /// SOCKS 5, and this in the answer to a request; with whether it wants a user and a password.
    Socks(u8, bool),
}

impl Tunnels {
    fn start(speaks: Speaks, to: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let listener = TcpListener::from_std(listener).unwrap();
        let keep = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let keep = Arc::clone(&keep);
                tokio::spawn(async move {
                    let (request, goes_on) = match speaks {
                        Speaks::Http(status) => connect(&mut stream, status).await?,
                        Speaks::Socks(answer, wants_login) => socks(&mut stream, answer, wants_login).await?,
                    };
                    keep.lock().unwrap().push(request);
                    if goes_on {
                        tokio::io::copy_bidirectional(&mut stream, &mut TcpStream::connect(to).await?)
                            .await?;
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        Self { address, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(stream: &mut TcpStream, status: &str) -> std::io::Result<(String, bool)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\nvia: test\r\n\r\n").as_bytes()).await?;
    Ok((String::from_utf8(head).unwrap(), status.starts_with("200")))
}

/// RFC 1928 and RFC 1929.
async fn socks(stream: &mut TcpStream, answer: u8, wants_login: bool) -> std::io::Result<(String, bool)> {
    async fn piece(stream: &mut TcpStream, length: u8) -> std::io::Result<Vec<u8>> {
        let mut piece = vec![0; length.into()];
        stream.read_exact(&mut piece).await?;
        Ok(piece)
    }
    let text = |piece: Vec<u8>| String::from_utf8(piece).unwrap();
    let mut login = String::new();
    let methods = piece(stream, 2).await?[1];
    let offered = piece(stream, methods).await?;
    let method = if wants_login { 2 } else { 0 };
    if !offered.contains(&method) {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(("no method".to_owned(), false));
    }
    stream.write_all(&[5, method]).await?;
    if wants_login {
        let length = piece(stream, 2).await?[1];
        let user = text(piece(stream, length).await?);
        let length = piece(stream, 1).await?[0];
        login = format!("{user}:{} ", text(piece(stream, length).await?));
        let is_right = login == "me:canary ";
        stream.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok((login, false));
        }
    }
    let host = match piece(stream, 4).await?[3] {
        1 => piece(stream, 4).await?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        3 => {
            let length = piece(stream, 1).await?[0];
            text(piece(stream, length).await?)
        }
        kind => panic!("an address of kind {kind}"),
    };
    let port = stream.read_u16().await?;
    stream.write_all(&[5, answer, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok((format!("{login}{host}:{port}"), answer == 0))
}

fn egress() -> HttpEgress {
    HttpEgress::new(Arc::new(ManualClock::at(0))).resolver(Names::new([
        ("public.test", &["203.0.114.1"]),
        ("gotify.test", &["127.0.0.1"]),
        ("private.test", &["10.0.0.1"]),
        ("proxy.test", &["127.0.0.1"]),
    ]))
}

/// The way of a target whose service stands where a URL points.
fn through(proxy: &str, url: &str) -> Route {
    let mut route = Route::default().with_proxies(Proxies::parse(proxy).unwrap());
    route.fix(url::Url::parse(url).unwrap().origin());
    route
}

async fn post(route: &Route, url: &str) -> Exchange {
    let request = http::Request::post(url).header("proxy-authorization", "Basic forged");
    let request = request.body(Bytes::from_static(b"hi")).unwrap();
    egress().send(request, route, Duration::from_secs(10)).await
}

#[track_caller]
fn assert_replied(exchange: &Exchange) {
    assert!(matches!(&exchange.outcome, Outcome::Reply(reply) if reply.status == 200), "{exchange:?}");
}

#[track_caller]
fn assert_failed(exchange: &Exchange, transport: Transport, why: &str) {
    assert_eq!(exchange.outcome, Outcome::Failed(transport), "{exchange:?}");
    let detail = exchange.detail.as_deref().unwrap_or_default();
    assert!(detail.contains(why), "{detail} does not say: {why}");
    // `canary` and `me:canary`, as they stand in a Basic authorization.
    for secret in ["canary", "Y2FuYXJ5", "bWU6Y2FuYXJ5"] {
        assert!(!detail.contains(secret), "{detail}");
    }
}

fn with_login(address: impl std::fmt::Display) -> String {
    format!("me:canary@{address}")
}

#[tokio::test]
async fn an_http_request_is_given_to_the_proxy_with_the_whole_url() {
    let proxy = Receiver::start([reply(200)]);
    let address = proxy.url("").replace("http://", "");
    let url = "http://public.test:8080/hook?a=b";
    assert_replied(&post(&through(&format!("http://{}", with_login(address)), url), url).await);
    let received = proxy.next().await;
    assert_eq!((received.path.as_str(), received.header("host")), (url, Some("public.test:8080")));
    assert_eq!(received.header("proxy-authorization"), Some("Basic bWU6Y2FuYXJ5"));
    assert_eq!(received.body, "hi");
}

#[tokio::test]
async fn nobody_but_a_proxy_is_told_what_is_for_proxies() {
    let receiver = Receiver::start([reply(200)]);
    let mut route = Route::default();
    route.name(url::Url::parse(&receiver.url("/")).unwrap().origin());
    assert_replied(&post(&route, &receiver.url("/")).await);
    assert_replied(&post(&through(&receiver.url(""), "http://public.test/"), "http://public.test/").await);
    for _ in 0..2 {
        assert_eq!(receiver.next().await.header("proxy-authorization"), None);
    }
}

#[tokio::test]
async fn an_https_request_goes_through_a_tunnel_that_the_proxy_cannot_look_into() {
    let authority = Authority::new("right");
    let receiver = TlsReceiver::start(&authority.certify("public.test"), None);
    let proxy = Tunnels::start(Speaks::Http("200 Connection established"), receiver.address);
    let pem = authority.pem();
    let tls = Tls::new(Pem { ca: Some(pem.as_bytes()), ..Pem::default() }).unwrap();
    for (url, to) in
        [("https://public.test/hook", "public.test:443"), ("https://public.test:8443/", "public.test:8443")]
    {
        let route = through(&format!("http://{}", with_login(proxy.address)), url).with_tls(tls.clone());
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        assert_replied(&egress().send(request, &route, Duration::from_secs(10)).await);
        let asked = proxy.asked().pop().unwrap();
        assert!(asked.starts_with(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n")), "{asked}");
        assert!(asked.contains("Proxy-Authorization: Basic bWU6Y2FuYXJ5\r\n") && !asked.contains("hook"));
    }
    assert_eq!(receiver.requests(), 2);
}

#[tokio::test]
async fn a_socks_proxy_is_told_the_address_or_the_name() {
    let receiver = Receiver::start([reply(200)]);
    let to = receiver.url("").replace("http://", "").parse().unwrap();
    let proxy = Tunnels::start(Speaks::Socks(0, true), to);
    for (scheme, url, asked) in [
        ("socks5", "http://public.test/a", "me:canary 203.0.114.1:80"),
        ("socks5h", "http://public.test/b", "me:canary public.test:80"),
        ("socks5h", "http://unknown.test:8080/c", "me:canary unknown.test:8080"),
        ("socks5", "http://1.1.1.1/d", "me:canary 1.1.1.1:80"),
    ] {
        let route = through(&format!("{scheme}://{}", with_login(proxy.address)), url);
        assert_replied(&post(&route, url).await);
        assert_eq!(proxy.asked().pop().unwrap(), asked);
        let received = receiver.next().await;
        assert!(url.ends_with(&received.path) && received.path.len() == 2, "{}", received.path);
    }
}

#[tokio::test]
async fn addresses_are_checked_before_a_proxy_is_asked_wherever_they_can_be() {
    let proxy = Receiver::start([reply(200)]);
    let address = proxy.url("").replace("http://", "");
    for (scheme, url) in [
        ("http", "http://127.0.0.1/"),
        ("http", "https://169.254.169.254/"),
        ("http", "https://[::1]/"),
        ("socks5", "http://10.0.0.1/"),
        ("socks5", "http://private.test/"),
        ("socks5", "https://private.test/"),
        ("socks5h", "http://[fd00:ec2::254]/"),
        ("socks5h", "http://127.0.0.1/"),
    ] {
        let exchange = post(&through(&format!("{scheme}://{address}"), url), url).await;
        let expected = if url.contains("private.test") { Transport::Dns } else { Transport::Blocked };
        assert_eq!(exchange.outcome, Outcome::Failed(expected), "{scheme} {url}: {exchange:?}");
    }
    assert!(proxy.seen().requests.is_empty());
}

#[tokio::test]
async fn a_proxy_may_be_on_the_same_machine_by_address_and_by_name() {
    let proxy = Receiver::start([reply(200)]);
    for proxy in [proxy.url(""), proxy.url("").replace("127.0.0.1", "proxy.test")] {
        assert_replied(&post(&through(&proxy, "http://public.test/"), "http://public.test/").await);
    }
}

#[tokio::test]
async fn what_the_proxy_refuses_is_told_from_what_the_receiver_does() {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (speaks, scheme, url, why) in [
        (
            Speaks::Http("407 No"),
            "http",
            "https://public.test/",
            "the proxy refused: 407 Proxy Authentication",
        ),
        (Speaks::Http("403 No"), "http", "https://public.test/", "the proxy refused: 403 Forbidden"),
        (Speaks::Http("502 No"), "http", "https://public.test/", "the proxy refused: 502 Bad Gateway"),
        (Speaks::Http("no"), "http", "https://public.test/", "the proxy refused: what it answers is no HTTP"),
        (
            Speaks::Socks(2, true),
            "socks5h",
            "http://public.test/",
            "the proxy refused: connection not allowed",
        ),
        (Speaks::Socks(4, true), "socks5", "http://public.test/", "the proxy refused: host unreachable"),
        (Speaks::Socks(0, false), "socks5h", "http://public.test/", "the proxy refused"),
    ] {
        let proxy = Tunnels::start(speaks, nobody);
        let route = through(&format!("{scheme}://{}", with_login(proxy.address)), url);
        assert_failed(&post(&route, url).await, Transport::Refused, why);
    }
    let proxy = Tunnels::start(Speaks::Socks(0, true), nobody);
    let route = through(&format!("socks5h://me:other-canary@{}", proxy.address), "http://public.test/");
    assert_failed(&post(&route, "http://public.test/").await, Transport::Refused, "credentials not accepted");
    let proxy = Receiver::start([reply(407).header("proxy-authenticate", "Basic realm=\"a\"")]);
    let address = proxy.url("").replace("http://", "");
    let route = through(&format!("http://{}", with_login(address)), "http://public.test/");
    assert_failed(&post(&route, "http://public.test/").await, Transport::Refused, "the proxy refused: 407");
}

#[tokio::test]
async fn a_proxy_that_does_not_come_to_the_end_of_its_answer_is_left() {
    let proxy = Receiver::start([raw(format!("HTTP/1.1 200 OK\r\nx-long: {}", "x".repeat(64 * 1024)))]);
    let route = through(&proxy.url(""), "https://public.test/");
    let exchange = post(&route, "https://public.test/").await;
    assert_failed(&exchange, Transport::Refused, "longer than 8192 bytes");
    proxy.until("closed connection", |seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_a_receiver_that_is_not() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for proxy in [format!("http://{}", with_login(free)), format!("socks5://{}", with_login(free))] {
        for url in ["http://public.test/", "https://public.test/"] {
            assert_failed(
                &post(&through(&proxy, url), url).await,
                Transport::Refused,
                "the proxy cannot be reached",
            );
        }
    }
    let route = through("http://me:canary@nobody.test:3128", "http://public.test/");
    assert_failed(
        &post(&route, "http://public.test/").await,
        Transport::Refused,
        "the proxy cannot be reached",
    );
}

#[tokio::test]
async fn a_host_that_needs_no_proxy_is_talked_to_without_one() {
    let (proxy, receiver) = (Receiver::start([reply(500)]), Receiver::start([reply(200)]));
    let url = receiver.url("/").replace("127.0.0.1", "gotify.test");
    let environment = [("http_proxy", proxy.url("")), ("no_proxy", ".test".to_owned())];
    let environment: std::collections::HashMap<String, String> =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut route = Route::default().with_proxies(Proxies::from_environment(&environment));
    route.name(url::Url::parse(&url).unwrap().origin());
    assert_replied(&post(&route, &url).await);
    assert_eq!(proxy.seen().connections, 0);
}

#[tokio::test]
async fn the_login_of_a_proxy_that_sends_it_back_is_seen_by_nobody() {
    let proxy = Receiver::start(answering(|request| {
        let said = request.header("proxy-authorization").unwrap_or_default().to_owned();
        reply(400).header("x-echo", &said).body(format!("{said} and me:canary-login and canary-login"))
    }));
    let login = proxy.url("").replace("http://", "http://me:canary-login@");
    let route = Route::default().with_proxies(Proxies::parse(&login).unwrap());
    let request = http::Request::post("http://8.8.8.8/x").body(Bytes::new()).unwrap();
    let egress = HttpEgress::new(Arc::new(ManualClock::at(0)));
    let exchange = egress.send(request, &route, Duration::from_secs(10)).await;
    assert_eq!(
        proxy.next().await.header("proxy-authorization"),
        Some("Basic bWU6Y2FuYXJ5LWxvZ2lu"),
        "the proxy got it"
    );
    let Outcome::Reply(reply) = exchange.outcome else { panic!("{exchange:?}") };
    let shown = format!("{} {}", reply.head, String::from_utf8_lossy(&reply.body));
    assert!(!shown.contains("canary") && !shown.contains("bWU6Y2"), "{shown}");
    assert!(shown.contains("***"), "{shown}");
}

//! Where a request must not go, whatever the URL says: by every way of writing an address, and by names.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nuncio::clock::ManualClock;
use nuncio::contract::{Level, Method, Notification, Outcome, Passage, Request, Transport};
use nuncio::egress::assemble::{Refusal, assemble};
use nuncio::egress::resolve::{Resolve, Resolving};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress as _, Exchange, HttpEgress};
use nuncio::secrets::Secrets;
use nuncio::store::State;
use url::Url;

use crate::scripted::{Receiver, Then, reply};
use crate::stage::Stage;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Who refuses a URL.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refuser {
    /// Whoever reads it: it is no URL, or none that the host takes.
    Reading,
    /// Whoever knows the ports of other services.
    Port,
    /// Whoever is to make the connection.
    Address,
}

use Refuser::{Address, Port, Reading};

/// Every URL here leads to this machine, its network, its cloud, or to nobody that a request could be for.
const REFUSED: [(Refuser, &[&str]); 10] = [
    // IPv4 as everybody writes it, and as few do: decimal, octal, hexadecimal, short.
    (
        Address,
        &[
            "http://127.0.0.1/",
            "https://127.0.0.1/",
            "http://127.0.0.1:8080/",
            "http://127.255.255.254/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0x7f000001/",
            "http://0x7F.0.0.1/",
            "http://0177.0.0.1/",
            "http://0177.0.0.01/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0x7f.1/",
            "http://0177.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://0x0/",
            "http://00000000/",
            "http://0.1/",
            "http://10.0.0.1/",
            "http://167772161/",
            "http://0xa000001/",
            "http://012.1/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.0.1/",
            "http://3232235521/",
            "http://192.168.1/",
            "http://100.64.0.1/",
            "http://169.254.0.1/",
            "http://198.18.0.1/",
            "http://192.0.0.1/",
            "http://192.0.2.1/",
            "http://198.51.100.7/",
            "http://203.0.113.9/",
            "http://192.88.99.1/",
            "http://224.0.0.1/",
            "http://239.255.255.250/",
            "http://240.0.0.1/",
            "http://255.255.255.255/",
            "http://4294967295/",
            "http://0xffffffff/",
        ],
    ),
    // IPv6 in its forms.
    (
        Address,
        &[
            "http://[::1]/",
            "https://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[0000::0001]/",
            "http://[::]/",
            "http://[0:0::0]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fdff::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
            "http://[100::1]/",
            "http://[2001:db8::1]/",
            "http://[3fff::1]/",
            "http://[5f00::1]/",
            "http://[4000::1]/",
            "http://[2001:2::1]/",
            "http://[2001:10::1]/",
            "http://[2001:20::1]/",
        ],
    ),
    // IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo.
    (
        Address,
        &[
            "http://[::ffff:127.0.0.1]/",
            "http://[::FFFF:7f00:1]/",
            "http://[::ffff:7f00:0001]/",
            "http://[0:0:0:0:0:ffff:127.0.0.1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::ffff:0.0.0.0]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::127.0.0.1]/",
            "http://[::7f00:1]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[64:ff9b:1::8.8.8.8]/",
            "http://[2002:7f00:1::]/",
            "http://[2002:a00:1::1]/",
            "http://[2002:808:808::]/",
            "http://[2001::1]/",
            "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
        ],
    ),
    // Where clouds tell their machines about themselves.
    (
        Address,
        &[
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://192.0.0.192/",
            "http://[fd00:ec2::254]/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
            "http://metadata.test/",
            "http://mixed-metadata.test/",
        ],
    ),
    // What a URL's reader makes an address of: dots at the end, percent-encoding, other digits and dots.
    (
        Address,
        &[
            "http://127.0.0.1./",
            "http://2130706433./",
            "http://127.1./",
            "http://%31%32%37.0.0.1/",
            "http://127%2e0%2e0%2e1/",
            "http://%30x7f000001/",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://127．0．0．1/",
            "http://①②⑦.0.0.1/",
            "http://𝟏𝟐𝟕.0.0.1/",
            "http://１０.0.0.1/",
        ],
    ),
    // Names of this machine and its network, and a name that leads there.
    (
        Address,
        &[
            "http://localhost/",
            "https://LOCALHOST/",
            "http://localhost./",
            "http://a.localhost/",
            "http://ip6-localhost/",
            "http://ｌｏｃａｌｈｏｓｔ/",
            "http://loc%61lhost/",
            "http://127.0.0.1.names.test/",
            "http://private.test/",
            "http://unspecified.test/",
            "http://mapped.test/",
            "http://all-refused.test/",
        ],
    ),
    // Where the address is not where one looks for it.
    (
        Address,
        &[
            "http://127.0.0.1#@public.test/",
            "http://127.0.0.1?@public.test/",
            "http://127.0.0.1\\@public.test/",
            "http:\\\\127.0.0.1\\",
            "http:/127.0.0.1/",
            "http:127.0.0.1/",
            "http:///127.0.0.1/",
            " http://127.0.0.1/",
        ],
    ),
    // User names, which make a host of what is none.
    (
        Reading,
        &[
            "http://public.test@127.0.0.1/",
            "http://public.test:80@127.0.0.1/",
            "http://me:pw@127.0.0.1/",
            "http://public.test%40@127.0.0.1/",
            "http://@:x@127.0.0.1/",
            "http://1.1.1.1 &@127.0.0.1/",
        ],
    ),
    // What is no URL, or none of HTTP.
    (
        Reading,
        &[
            "http://127.0.0.1\r\nHost: public.test/",
            "http://127.0.0.1\t/",
            "http://256.0.0.1/",
            "http://0x7g.1/",
            "http://1.2.3.4.5/",
            "http://[::1",
            "http://[::1%25lo]/",
            "http://[::ffff:127.1]/",
            "http://[127.0.0.1]/",
            "http://127.0.0.1:99999/",
            "http://%00/",
            "http://a b/",
            "http://",
            "//127.0.0.1/",
            "127.0.0.1",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_INFO",
            "ftp://127.0.0.1/",
            "dict://127.0.0.1:11211/stat",
            "ldap://127.0.0.1/",
            "data:text/plain,x",
            "unix:/var/run/docker.sock",
        ],
    ),
    // The ports of other services, whatever the host.
    (
        Port,
        &[
            "http://public.test:0/",
            "http://public.test:21/",
            "http://public.test:22/",
            "http://public.test:23/",
            "http://public.test:25/",
            "https://public.test:465/",
            "http://public.test:587/",
            "http://public.test:53/",
            "http://public.test:110/",
            "http://public.test:143/",
            "http://public.test:445/",
            "http://public.test:3306/",
            "http://public.test:5432/",
            "http://public.test:6379/",
            "http://public.test:11211/",
            "http://public.test:27017/",
            "http://127.0.0.1:00025/",
        ],
    ),
];

/// Looks up the names of a test, and no others.
pub struct Names(HashMap<&'static str, Vec<IpAddr>>);

impl Names {
    pub fn new<const N: usize>(names: [(&'static str, &[&str]); N]) -> Self {
        let parsed = |addresses: &[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        Self(names.into_iter().map(|(name, addresses)| (name, parsed(addresses))).collect())
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> Resolving {
        let found = self.0.get(name).cloned();
        Box::pin(async move { found.ok_or_else(|| io::Error::other("there is no such name")) })
    }
}

fn names() -> Names {
    Names::new([
        ("localhost", &["127.0.0.1", "::1"]),
        ("localhost.", &["127.0.0.1"]),
        ("a.localhost", &["127.0.0.1"]),
        ("ip6-localhost", &["::1"]),
        ("127.0.0.1.names.test", &["127.0.0.1"]),
        ("private.test", &["10.0.0.1"]),
        ("unspecified.test", &["0.0.0.0", "::"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("all-refused.test", &["10.0.0.1", "fe80::1", "192.0.2.1", "169.254.169.254"]),
        ("metadata.test", &["169.254.169.254"]),
        ("mixed-metadata.test", &["fd00:ec2::254", "169.254.169.254"]),
    ])
}

fn egress() -> HttpEgress {
    HttpEgress::new(Arc::new(ManualClock::at(0))).resolver(names())
}

/// The way of a target of a service that stands where a URL points.
fn fixed(url: &str) -> Route {
    let mut route = Route::of("test.yml:1".to_owned());
    if let Ok(url) = Url::parse(url) {
        route.fix(url.origin());
    }
    route
}

/// The way of a target whose own URL this is.
fn named(url: &str) -> Route {
    let mut route = Route::of("test.yml:1".to_owned());
    route.name(Url::parse(url).unwrap().origin());
    route
}

fn assembled(url: &str, route: &Route) -> Result<http::Request<Bytes>, Refusal> {
    let (head, body) = (Passage::of(""), Passage::of(""));
    let (method, url, query) = (Method::Post, Passage::of(url), vec![]);
    let request = Request { method, url, query, head, headers: 0, body, timeout: 10_000 };
    Ok(assemble(&request, "phone", &Secrets::default(), route)?.request)
}

async fn sent(egress: &HttpEgress, url: &str, route: &Route) -> Exchange {
    let request = assembled(url, route).unwrap_or_else(|refusal| panic!("{url}: {refusal}"));
    egress.send(request, route, TIMEOUT).await
}

#[track_caller]
fn assert_blocked(exchange: &Exchange, what: &str) {
    let detail = exchange.detail.as_deref().unwrap_or_default();
    // A name can lead elsewhere the next time.
    let (transport, said) = match detail.contains("is an address that") {
        true => (Transport::Blocked, "is an address that"),
        false => (Transport::Dns, "has only addresses that"),
    };
    assert!(detail.contains(said), "{what}: {exchange:?}");
    assert_eq!(exchange.outcome, Outcome::Failed(transport), "{what}: {detail}");
}

#[tokio::test]
async fn a_service_is_not_looked_for_on_this_machine_its_network_or_its_cloud() {
    let egress = egress();
    let mut seen = 0;
    for (refuser, urls) in REFUSED {
        for url in urls {
            seen += 1;
            let route = fixed(url);
            let refused_by = match assembled(url, &route) {
                Err(Refusal::Invalid(_)) => Reading,
                Err(Refusal::Egress(said)) if said.starts_with("port") => Port,
                Err(refusal) => panic!("{url}: {refusal}"),
                Ok(request) => {
                    let exchange = egress.send(request, &route, TIMEOUT).await;
                    assert_blocked(&exchange, url);
                    Address
                }
            };
            assert_eq!(refused_by, refuser, "{url}");
        }
    }
    assert!(seen >= 100, "{seen}");
}

#[test]
fn a_target_of_one_origin_sends_to_none_of_these() {
    for (refuser, urls) in REFUSED {
        for url in urls {
            let refusal = assembled(url, &fixed("https://public.test")).unwrap_err();
            let is_of_origin = matches!(&refusal, Refusal::Egress(said) if said.contains("may not send to"));
            assert_eq!(is_of_origin, refuser == Address, "{url}: {refusal}");
        }
    }
}

/// Nobody answers there, as the names of a test lead nowhere; but nobody refuses to try either.
#[tokio::test]
async fn what_only_looks_like_an_address_is_not_refused() {
    let egress = egress();
    for url in [
        "https://public.test/127.0.0.1",
        "https://public.test/?to=127.0.0.1",
        "https://public.test/#127.0.0.1",
        "https://127.0.0.1.public.test/",
        "https://public.test\\@127.0.0.1/",
        "https://public.test:8443/",
        "https://localhost.public.test/",
        "https://xn--bcher-kva.test/",
    ] {
        let exchange = sent(&egress, url, &fixed(url)).await;
        assert_eq!(exchange.outcome, Outcome::Failed(Transport::Dns), "{url}: {:?}", exchange.detail);
    }
}

#[tokio::test]
async fn what_is_blocked_says_why_and_what_to_do() {
    let exchange = sent(&egress(), "http://localhost/", &fixed("http://localhost/")).await;
    assert_eq!(
        exchange.detail.as_deref(),
        Some(
            "localhost has only addresses that a public service cannot have (127.0.0.1, ::1); a private host must be \
             named in the configuration"
        )
    );
}

#[tokio::test]
async fn a_host_that_the_configuration_names_may_be_private_by_address_and_by_name() {
    let receiver = Receiver::start([reply(200)]);
    for url in [receiver.url("/"), receiver.url("/").replace("127.0.0.1", "localhost")] {
        let exchange = sent(&egress(), &url, &named(&url)).await;
        assert!(matches!(exchange.outcome, Outcome::Reply(_)), "{url}: {:?}", exchange.detail);
    }
}

#[tokio::test]
async fn not_even_a_named_host_has_an_address_that_is_nobodys_or_leads_to_the_cloud_by_name() {
    for url in ["http://0.0.0.0:8080/", "http://[::]/", "http://unspecified.test/", "http://metadata.test/"] {
        assert_blocked(&sent(&egress(), url, &named(url)).await, url);
    }
}

#[tokio::test]
async fn connections_made_for_a_named_origin_serve_no_other_target() {
    let (receiver, egress) = (Receiver::start([reply(200)]), egress());
    let url = receiver.url("/");
    assert!(matches!(sent(&egress, &url, &named(&url)).await.outcome, Outcome::Reply(_)));
    assert_blocked(&sent(&egress, &url, &fixed(&url)).await, &url);
    assert_eq!(receiver.seen().requests.len(), 1);
}

#[tokio::test]
async fn where_the_configuration_is_not_trusted_not_even_a_named_host_is_private() {
    let receiver = Receiver::start([reply(200)]);
    for url in [receiver.url("/"), receiver.url("/").replace("127.0.0.1", "localhost")] {
        assert_blocked(&sent(&egress().strict(), &url, &named(&url)).await, &url);
    }
    assert_eq!(receiver.seen().connections, 0);
}

/// Another address with each look-up.
struct Rebinding(std::sync::Mutex<Vec<&'static str>>);

impl Resolve for Rebinding {
    fn resolve(&self, _: &str) -> Resolving {
        let address = self.0.lock().unwrap().pop().unwrap().parse().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn a_name_is_looked_up_and_checked_again_for_each_connection() {
    let receiver = Receiver::start([reply(200).then(Then::Close)]);
    let rebinding = Rebinding(std::sync::Mutex::new(vec!["0.0.0.0", "169.254.169.254", "127.0.0.1"]));
    let egress = HttpEgress::new(Arc::new(ManualClock::at(0))).resolver(rebinding);
    let url = receiver.url("/").replace("127.0.0.1", "rebinding.test");
    let exchange = sent(&egress, &url, &named(&url)).await;
    assert!(matches!(exchange.outcome, Outcome::Reply(_)), "{:?}", exchange.detail);
    receiver.until("closed connection", |seen| seen.closed == 1).await;
    for then in ["the cloud's", "this machine's"] {
        assert_blocked(&sent(&egress, &url, &named(&url)).await, then);
    }
    assert_eq!(receiver.seen().connections, 1);
}

#[tokio::test]
async fn a_delivery_to_an_address_that_nobody_has_is_dead_and_not_tried_for_hours() {
    let receiver = Receiver::start([reply(200)]);
    let url = receiver.url("/").replace("127.0.0.1", "0.0.0.0");
    let stage =
        Stage::start(&format!("targets: [{{name: phone, provider: ntfy, url: \"{url}\", topic: t}}]"));
    let id = stage.hand_in(Notification::new(Level::Fatal, "x")).await.id;
    assert!(stage.drive().await.is_empty(), "nothing is due again");
    let progress = &stage.deliveries(&id).await[0].progress;
    let said = "egress-denied: 0.0.0.0 is an address that no receiver can have";
    assert_eq!((progress.state, progress.detail.as_str()), (State::Dead, said));
    assert_eq!(receiver.seen().connections, 0);
}

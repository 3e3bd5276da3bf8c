//! Whom the HTTP client trusts, and to whom it says who it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nuncio::clock::ManualClock;
use nuncio::contract::{Outcome, Transport};
use nuncio::egress::route::Route;
use nuncio::egress::tls::{Part, Pem, Tls};
use nuncio::egress::{Egress as _, Exchange, HttpEgress};
use rcgen::{BasicConstraints, IsCa};

use crate::authority::{Authority, Identity, TlsReceiver};

fn egress() -> HttpEgress {
    HttpEgress::new(Arc::new(ManualClock::at(0)))
}

async fn get(egress: &HttpEgress, receiver: &TlsReceiver, tls: Tls) -> Exchange {
    let url = receiver.url();
    let mut route = Route::default().with_tls(tls);
    route.name(url::Url::parse(&url).unwrap().origin());
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    egress.send(request, &route, Duration::from_secs(10)).await
}

fn trusting(authority: &Authority) -> Tls {
    Tls::new(Pem { ca: Some(authority.pem().as_bytes()), ..Pem::default() }).unwrap()
}

fn trusting_anybody() -> Tls {
    Tls::new(Pem { accepts_invalid_certs: true, ..Pem::default() }).unwrap()
}

fn showing(identity: &Identity, authority: &Authority) -> Tls {
    let (ca, certificate, key) = (authority.pem(), identity.pem(), identity.key_pem());
    let [ca, certificate, key] = [&ca, &certificate, &key].map(|pem| Some(pem.as_bytes()));
    Tls::new(Pem { ca, certificate, key, accepts_invalid_certs: false }).unwrap()
}

#[track_caller]
fn assert_replied(exchange: &Exchange) {
    assert!(matches!(&exchange.outcome, Outcome::Reply(reply) if reply.status == 200), "{exchange:?}");
}

#[track_caller]
fn assert_untrusted(exchange: &Exchange, why: &str) {
    assert_eq!(exchange.outcome, Outcome::Failed(Transport::Tls), "{exchange:?}");
    assert!(exchange.detail.as_ref().is_some_and(|detail| detail.contains(why)), "{exchange:?}");
}

#[tokio::test]
async fn a_certificate_of_the_targets_authority_is_good_and_of_any_other_is_not() {
    let (right, wrong) = (Authority::new("right"), Authority::new("wrong"));
    let receiver = TlsReceiver::start(&right.certify("127.0.0.1"), None);
    assert_replied(&get(&egress(), &receiver, trusting(&right)).await);
    // The authority takes the place of those that the platform trusts, and the platform does not know it.
    for tls in [trusting(&wrong), Tls::default()] {
        assert_untrusted(&get(&egress(), &receiver, tls).await, "UnknownIssuer");
    }
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_for_another_name_is_not_good() {
    let authority = Authority::new("right");
    for (identity, why) in [
        (authority.certify_long_ago("127.0.0.1"), "expired"),
        (authority.certify("127.0.0.2"), "not valid for name"),
        (authority.certify("localhost"), "not valid for name"),
    ] {
        let receiver = TlsReceiver::start(&identity, None);
        assert_untrusted(&get(&egress(), &receiver, trusting(&authority)).await, why);
        assert_eq!(receiver.requests(), 0);
    }
}

#[tokio::test]
async fn a_certificate_that_vouches_for_itself_can_be_trusted_unless_it_is_made_to_vouch_for_others() {
    for (is_ca, is_good) in
        [(IsCa::NoCa, true), (IsCa::ExplicitNoCa, true), (IsCa::Ca(BasicConstraints::Unconstrained), false)]
    {
        let identity = Identity::self_signed("127.0.0.1", is_ca);
        let receiver = TlsReceiver::start(&identity, None);
        let pem = identity.pem();
        let tls = Tls::new(Pem { ca: Some(pem.as_bytes()), ..Pem::default() }).unwrap();
        let exchange = get(&egress(), &receiver, tls).await;
        match is_good {
            true => assert_replied(&exchange),
            false => assert_untrusted(&exchange, "CaUsedAsEndEntity"),
        }
    }
}

#[tokio::test]
async fn a_receiver_that_wants_a_certificate_gets_the_targets_own() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let receiver = TlsReceiver::start(&theirs.certify("127.0.0.1"), Some(&ours));
    let identity = ours.certify("nuncio.test");
    assert_replied(&get(&egress(), &receiver, showing(&identity, &theirs)).await);
    assert_untrusted(&get(&egress(), &receiver, trusting(&theirs)).await, "CertificateRequired");
    let unknown = theirs.certify("nuncio.test");
    assert_untrusted(&get(&egress(), &receiver, showing(&unknown, &theirs)).await, "alert");
    assert_eq!(receiver.requests(), 1);
}

#[tokio::test]
async fn any_certificate_is_good_for_the_target_that_says_so_and_for_no_other() {
    let authority = Authority::new("nobody's");
    let egress = egress();
    for identity in [authority.certify("other.test"), authority.certify_long_ago("127.0.0.1")] {
        let receiver = TlsReceiver::start(&identity, None);
        assert_replied(&get(&egress, &receiver, trusting_anybody()).await);
        // A connection is idle by now that this target must not be given.
        assert_eq!(get(&egress, &receiver, Tls::default()).await.outcome, Outcome::Failed(Transport::Tls));
        assert_eq!(receiver.requests(), 1);
    }
}

#[test]
fn two_settings_are_equal_where_their_contents_are() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let identity = one.certify("nuncio.test");
    assert_eq!(trusting(&one), trusting(&one));
    assert_eq!(Tls::new(Pem::default()).unwrap(), Tls::default());
    let all = [
        Tls::default(),
        trusting_anybody(),
        trusting(&one),
        trusting(&other),
        showing(&identity, &one),
        showing(&one.certify("nuncio.test"), &one),
    ];
    for (n, tls) in all.iter().enumerate() {
        assert!(!all.iter().skip(n + 1).any(|other| other == tls), "{tls:?}");
    }
}

#[test]
fn what_is_wrong_with_a_setting_is_said_without_showing_a_key() {
    let authority = Authority::new("right");
    let (one, other) = (authority.certify("one.test"), authority.certify("other.test"));
    let (certificate, key, other_key) = (one.pem(), one.key_pem(), other.key_pem());
    let body = |pem: &str| pem.lines().nth(1).unwrap().to_owned();
    let damaged = key.replace(&body(&key), "@@@@");
    let broken = certificate.replace(&body(&certificate), "AAAA");
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let ca = |ca: &'static str| (Some(ca), None, None);
    let (certificate, key) = (certificate.as_str(), key.as_str());
    for ((ca, certificate, key), accepts_invalid_certs, part, words) in [
        (ca(""), false, Part::Ca, "no certificate"),
        (ca("0\u{82}DER"), false, Part::Ca, "no certificate"),
        (ca("-----BEGIN CERTIFICATE-----\n@\n-----END CERTIFICATE-----\n"), false, Part::Ca, "damaged"),
        (
            ca("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            false,
            Part::Ca,
            "cannot be read",
        ),
        ((Some(certificate), None, None), true, Part::Ca, "no effect"),
        ((None, Some(certificate), None), false, Part::Key, "without its key"),
        ((None, None, Some(key)), false, Part::Certificate, "without its certificate"),
        ((None, Some(key), Some(key)), false, Part::Certificate, "no certificate"),
        ((None, Some(certificate), Some(certificate)), false, Part::Key, "no private key"),
        ((None, Some(certificate), Some(&*damaged)), false, Part::Key, "no private key"),
        ((None, Some(certificate), Some(&*encrypted)), false, Part::Key, "encrypted"),
        ((None, Some(&*broken), Some(key)), false, Part::Certificate, "cannot be read"),
        ((None, Some(certificate), Some(&*other_key)), false, Part::Key, "does not belong"),
    ] {
        let [ca, certificate, key] = [ca, certificate, key].map(|pem| pem.map(str::as_bytes));
        let problem = Tls::new(Pem { ca, certificate, key, accepts_invalid_certs }).unwrap_err();
        assert!(problem.part == part && problem.problem.contains(words), "{problem:?} is not: {words}");
        let said = format!("{problem} {problem:?}");
        for key in [key.unwrap_or_default(), other_key.as_bytes()] {
            let line = String::from_utf8_lossy(key).lines().nth(1).map(str::to_owned);
            assert!(line.is_none_or(|line| !said.contains(&line)), "{said}");
        }
    }
    let shown = format!("{:?}", showing(&one, &authority));
    assert!(!shown.contains(&body(key)) && shown.contains("shows_a_certificate: true"), "{shown}");
}

//! The HTTP clients, one for each way that requests take.
//!
//! A client keeps its connections by scheme, host and port alone. So that no request is sent on one that was made by
//! other rules (an address that this target may not have, another proxy, a certificate that this target does not
//! take), whoever goes by other rules has a client of its own.
//!
//! Guarantees: there are never more than [`MAX_CLIENTS`], and none is kept that nobody uses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use super::addresses::Reach;
use super::content::Content;
use super::dial::Dialer;
use super::proxy::Proxy;
use super::resolve::Resolve;
use super::tls::Tls;
use super::wire::Wire;
use crate::clock::Clock;

/// How much a status line and its headers may take, in bytes; at most 100 headers fit, hyper's own limit.
const MAX_REPLY_HEAD: usize = 64 * 1024;

/// How many idle connections are kept for an origin: as many as requests may be under way in all, or a burst
/// would make a new one for nearly every request.
const MAX_IDLE: usize = 256;

/// How long an idle connection is kept, in real time: shorter than common servers do (nginx: 75 s), so that
/// it is this side which closes, and no request meets a connection that is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many clients there are at most. Few configurations need more than three; where one needs more than this, the
/// client that was not used for longest makes room, and its idle connections are closed.
const MAX_CLIENTS: usize = 64;

/// How long a client is kept that nobody uses, such as that of a certificate which was replaced.
const KEPT: Duration = Duration::from_secs(600);

pub(super) type Client = hyper_util::client::legacy::Client<Dialer, Content>;

/// By which rules a connection is made.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) reach: Reach,
    pub(super) proxy: Option<Proxy>,
    pub(super) tls: Tls,
}

/// The clients that there are.
pub(super) struct Clients {
    made: Mutex<Vec<Made>>,
    clock: Arc<dyn Clock>,
    resolver: Arc<dyn Resolve>,
    /// What the platform trusts.
    roots: Arc<RootCertStore>,
}

struct Made {
    rules: Rules,
    client: Arc<Client>,
    /// When it was last asked for, by [`Clock::elapsed`].
    used: Duration,
}

impl Clients {
    pub(super) fn new(clock: Arc<dyn Clock>, resolver: Arc<dyn Resolve>, roots: RootCertStore) -> Self {
        Self { made: Mutex::default(), clock, resolver, roots: Arc::new(roots) }
    }

    /// Has names looked up by another resolver, in connections not made yet.
    pub(super) fn resolver(&mut self, resolver: Arc<dyn Resolve>) {
        self.resolver = resolver;
        self.made.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The client for these rules. What it has under way goes on if it has to make room for another one.
    pub(super) fn of(&self, rules: Rules) -> Arc<Client> {
        let now = self.clock.elapsed();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|made| now.saturating_sub(made.used) < KEPT || made.rules == rules);
        if let Some(made) = made.iter_mut().find(|made| made.rules == rules) {
            made.used = now;
            return Arc::clone(&made.client);
        }
        if made.len() >= MAX_CLIENTS
            && let Some(oldest) = (0..made.len()).min_by_key(|index| made.get(*index).map(|made| made.used))
        {
            made.swap_remove(oldest);
        }
        let client = Arc::new(self.make(&rules));
        made.push(Made { rules, client: Arc::clone(&client), used: now });
        client
    }

    fn make(&self, rules: &Rules) -> Client {
        let wire = Wire::new(&self.resolver, rules.reach, rules.proxy.clone());
        let tls = rules.tls.client_config(&self.roots);
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MAX_REPLY_HEAD)
            .build(Dialer::new(Arc::clone(&self.clock), wire, tls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::egress::proxy::Proxies;
    use crate::egress::resolve::SystemResolver;

    fn rules(port: usize) -> Rules {
        let proxy = Proxies::parse(&format!("http://proxy.example:{port}")).unwrap();
        let proxy = proxy.toward(&"http://a/".parse().unwrap());
        Rules { reach: Reach::Fixed, proxy, tls: Tls::default() }
    }

    fn clients() -> (Clients, ManualClock) {
        let clock = ManualClock::at(0);
        let clients = Clients::new(Arc::new(clock.clone()), Arc::new(SystemResolver), RootCertStore::empty());
        (clients, clock)
    }

    fn kept(clients: &Clients) -> usize {
        clients.made.lock().unwrap().len()
    }

    #[test]
    fn the_same_rules_share_a_client_and_others_do_not() {
        let (clients, _) = clients();
        for rules in [rules(1), rules(1), rules(2), Rules { reach: Reach::Named, ..rules(1) }] {
            clients.of(rules);
        }
        assert_eq!(kept(&clients), 3);
    }

    #[test]
    fn there_are_so_many_clients_and_the_one_not_used_for_longest_makes_room() {
        let (clients, clock) = clients();
        for port in 1..=MAX_CLIENTS {
            clients.of(rules(port));
            clock.advance(Duration::from_secs(1));
        }
        clients.of(rules(1));
        clients.of(rules(MAX_CLIENTS + 1));
        let made = clients.made.lock().unwrap();
        assert_eq!(made.len(), MAX_CLIENTS);
        let has = |port| made.iter().any(|made| made.rules == rules(port));
        assert!(has(1) && !has(2) && has(MAX_CLIENTS + 1));
    }

    #[test]
    fn a_client_that_nobody_uses_is_dropped() {
        let (clients, clock) = clients();
        clients.of(rules(1));
        clients.of(rules(2));
        clock.advance(KEPT / 2);
        clients.of(rules(2));
        clock.advance(KEPT / 2);
        clients.of(rules(2));
        assert_eq!(kept(&clients), 1);
    }
}

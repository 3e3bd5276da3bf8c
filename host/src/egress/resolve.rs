//! From a host's name to addresses that may be connected to.
//!
//! Decides which of a name's addresses are left. It does not know what they are for: that is for
//! [`super::addresses`] to say.
//!
//! Guarantees: what it returns has been checked, all of it, and is what is connected to; a name that is looked up
//! again is checked again. A name that had a public address before can so not lead elsewhere now ("rebinding").

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::addresses::{Blocked, Reach};
use super::dial::Undialed;

/// What looks up names. There is one for real; a test brings another, and so may a program that has its own way to do
/// it. What it returns is checked in any case.
pub trait Resolve: Send + Sync + 'static {
    /// Looks up the addresses of a name, which is no address itself. None is a failure too.
    fn resolve(&self, name: &str) -> Resolving;
}

/// A look-up under way; dropping it breaks it off.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks names up as the operating system does, its hosts file included.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move {
            // The port is the connector's to fill in.
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Lets through what may be connected to.
#[derive(Clone)]
pub(super) struct Guard {
    resolver: Arc<dyn Resolve>,
    reach: Reach,
}

impl Guard {
    pub(super) fn new(resolver: Arc<dyn Resolve>, reach: Reach) -> Self {
        Self { resolver, reach }
    }

    /// Checks a host, as a URL has it, that is an address itself; `None` where it is a name. Who connects looks up
    /// names only, and so would never ask.
    pub(super) fn check(&self, host: &str) -> Option<Result<IpAddr, Undialed>> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let address: IpAddr = host.parse().ok()?;
        Some(match self.reach.allows(address, true) {
            true => Ok(address),
            false => Err(self.blocked(host, vec![address])),
        })
    }

    /// The addresses of a name that may be connected to; at least one.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Undialed> {
        let found = self.resolver.resolve(name).await.map_err(Undialed::Lookup)?;
        if found.is_empty() {
            return Err(Undialed::NoAddress);
        }
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| self.reach.allows(*address, false));
        if allowed.is_empty() { Err(self.blocked(name, refused)) } else { Ok(allowed) }
    }

    fn blocked(&self, host: &str, addresses: Vec<IpAddr>) -> Undialed {
        Undialed::Blocked(Blocked { host: host.to_owned(), addresses, reach: self.reach })
    }
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Undialed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Undialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Undialed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.look_up(name.as_str()).await?.into_iter();
            Ok(addresses.map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// The answers to the look-ups that come, the first one last.
    struct Answers(Mutex<Vec<&'static [&'static str]>>);

    impl Resolve for Answers {
        fn resolve(&self, _: &str) -> Resolving {
            let answer = self.0.lock().unwrap().pop().unwrap();
            Box::pin(async move { Ok(answer.iter().map(|address| address.parse().unwrap()).collect()) })
        }
    }

    fn guard<const N: usize>(reach: Reach, answers: [&'static [&'static str]; N]) -> Guard {
        let answers = answers.into_iter().rev().collect();
        Guard::new(Arc::new(Answers(Mutex::new(answers))), reach)
    }

    async fn looked_up(guard: &Guard) -> Result<String, String> {
        let found = guard.look_up("a.test").await.map_err(|error| error.to_string())?;
        Ok(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn a_name_that_was_public_and_now_leads_to_this_machine_is_refused() {
        let guard = guard(Reach::Fixed, [&["8.8.8.8"], &["127.0.0.1"], &["8.8.8.8"]]);
        assert_eq!(looked_up(&guard).await.unwrap(), "8.8.8.8");
        let error = looked_up(&guard).await.unwrap_err();
        assert!(error.contains("(127.0.0.1)"), "{error}");
        assert_eq!(looked_up(&guard).await.unwrap(), "8.8.8.8");
    }

    #[tokio::test]
    async fn of_several_addresses_only_those_that_are_allowed_are_left() {
        let all: &[&str] = &["10.0.0.1", "8.8.8.8", "169.254.169.254", "::1", "0.0.0.0"];
        assert_eq!(looked_up(&guard(Reach::Fixed, [all])).await.unwrap(), "8.8.8.8");
        assert_eq!(looked_up(&guard(Reach::Named, [all])).await.unwrap(), "10.0.0.1 8.8.8.8 ::1");
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_a_failure_of_its_own() {
        assert_eq!(looked_up(&guard(Reach::Named, [&[]])).await.unwrap_err(), "the name has no address");
    }

    #[test]
    fn an_address_that_stands_as_the_host_is_checked_and_a_name_is_not() {
        let guard = guard(Reach::Named, []);
        assert!(guard.check("a.test").is_none());
        for host in ["127.0.0.1", "[::1]", "169.254.169.254"] {
            assert!(guard.check(host).unwrap().is_ok(), "{host}");
        }
        assert!(guard.check("[::]").unwrap().is_err());
    }
}

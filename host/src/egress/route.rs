//! Where the requests of one target may go, and how.
//!
//! Decides nothing that the configuration did not say: it is the configuration's word on one target, in the
//! form in which [`super::assemble`] asks whether a request may leave and [`super::HttpEgress`] how. It does not
//! know requests or secrets.

use std::convert::Infallible;
use std::fmt;

use http::Uri;
use url::{Origin, Url};

use super::assemble::Refusal;
use super::proxy::{Proxies, Proxy};
use super::tls::Tls;
use crate::contract::Parameter;
use crate::latest::Latest;

/// The way of one target's requests.
#[derive(Clone, Default)]
pub struct Route {
    /// Where the target stands in the configuration, for people: `nuncio.yml:12`.
    place: String,
    named: Vec<Origin>,
    fixed: Vec<Origin>,
    proxies: Proxies,
    tls: Tls,
    /// Most requests of a target have the same URL.
    located: Latest<(String, Vec<Parameter>), Uri>,
    toward: Latest<Uri, (bool, Option<Proxy>)>,
}

/// Without the latest URL: there may be a secret in it.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, named, fixed, proxies, tls, .. } = self;
        let mut shown = f.debug_struct("Route");
        shown.field("place", place).field("named", named).field("fixed", fixed);
        shown.field("proxies", proxies).field("tls", tls).finish_non_exhaustive()
    }
}

impl Route {
    /// A way that leads nowhere yet, of the target that stands at a place in the configuration.
    #[must_use]
    pub fn of(place: String) -> Self {
        Self { place, ..Self::default() }
    }

    /// The same way, through proxies. By default there are none.
    #[must_use]
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// The same way, with TLS as the target's settings want it. By default it is as the platform does.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Lets requests go to an origin that the configuration itself names; its host may be on this machine or on a
    /// private network.
    pub fn name(&mut self, origin: Origin) {
        self.toward = Latest::default();
        if !self.named.contains(&origin) {
            self.named.push(origin);
        }
    }

    /// Lets requests go to an origin of the target's service, which is on the internet.
    pub fn fix(&mut self, origin: Origin) {
        if !self.fixed.contains(&origin) {
            self.fixed.push(origin);
        }
    }

    /// Whether requests may go to an origin.
    #[must_use]
    pub fn leads_to(&self, origin: &Origin) -> bool {
        self.names(origin) || self.fixed.contains(origin)
    }

    /// Whether the configuration itself names an origin.
    #[must_use]
    pub fn names(&self, origin: &Origin) -> bool {
        self.named.contains(origin)
    }

    /// Where a URL with these parameters leads: what `locate` found when it was asked for the same before.
    pub(super) fn located(
        &self,
        text: &str,
        query: &[Parameter],
        locate: impl FnOnce() -> Result<Uri, Refusal>,
    ) -> Result<Uri, Refusal> {
        let is_same = |(other, of): &(String, Vec<Parameter>)| other == text && of == query;
        self.located.or_ask(is_same, || Ok(((text.to_owned(), query.to_owned()), locate()?)))
    }

    /// Whether the configuration itself names the origin of a URL, and the proxy that a request to it goes through.
    pub(super) fn toward(&self, uri: &Uri) -> (bool, Option<Proxy>) {
        let ask = || {
            let is_named = Url::parse(&uri.to_string()).is_ok_and(|url| self.names(&url.origin()));
            Ok::<_, Infallible>((uri.clone(), (is_named, self.proxies.toward(uri))))
        };
        let Ok(toward) = self.toward.or_ask(|other| other == uri, ask);
        toward
    }

    /// Whether any certificate of a receiver will do.
    pub(crate) fn accepts_any_certificate(&self) -> bool {
        self.tls.accepts_invalid_certs()
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Where the target stands in the configuration.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn requests_go_to_the_scheme_host_and_port_that_were_let_and_nowhere_else() {
        let origin = |url: &str| Url::parse(url).unwrap().origin();
        let mut route = Route::of("nuncio.yml:3".to_owned());
        route.name(origin("https://ntfy.sh/a"));
        route.fix(origin("https://api.example:8443"));
        assert!(route.leads_to(&origin("https://ntfy.sh/x")) && route.names(&origin("https://NTFY.sh")));
        assert!(route.leads_to(&origin("https://api.example:8443")));
        assert!(!route.names(&origin("https://api.example:8443")), "a service's own is no private host");
        for other in
            ["http://ntfy.sh/x", "https://ntfy.sh:8443/", "https://evil.example/", "https://api.example"]
        {
            assert!(!route.leads_to(&origin(other)), "{other}");
        }
    }
}

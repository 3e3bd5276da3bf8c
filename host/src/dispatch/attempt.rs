//! One attempt: format, assemble, send.
//!
//! What comes back is an outcome for the guest to judge, or why there is none. Replies are blotted of the
//! target's secrets before anybody sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::brain::{Brain, Dispatcher, Fault};
use crate::clock::UnixMs;
use crate::config::Config;
use crate::config::Fingerprint;
use crate::contract::{Notification, Outcome, Request, Target, TargetNumber, Transport};
use crate::crash;
use crate::egress::Egress;
use crate::egress::assemble::{Assembled, Refusal, assemble};
use crate::egress::route::Route;
use crate::secrets::Secrets;
use crate::store::StoreError;

/// No exchange takes longer, whatever the guest asks for.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(300);

/// What became of an attempt.
pub(super) enum Attempted {
    /// A request was sent, or could have been.
    Exchanged {
        /// What became of it.
        outcome: Outcome,
        /// What exactly failed, where that helps.
        why: Option<String>,
        /// How many requests the delivery takes.
        parts: u32,
    },
    /// The delivery cannot be made at all; this is why.
    Refused(String),
    /// The guest broke off.
    Trapped(Fault),
    /// The guest described what is no request.
    Broken(String),
    /// The attempt itself broke off, which is a defect of the host's.
    Lost,
    /// What is to be delivered cannot be read now.
    Unread(StoreError),
    /// What is to be delivered is no longer there: somebody took it out of the file.
    Missing,
}

/// What one configuration makes of attempts.
pub(crate) struct Setup {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) secrets: Secrets,
    /// In the order of the configuration.
    pub(crate) targets: Vec<Target>,
    /// How the requests of each target leave; none of one that the guest invents.
    routes: Vec<Option<Route>>,
    /// Which targets are told when deliveries to another one die.
    pub(crate) alerts_to: Vec<String>,
    /// What changes with a target's settings, by its name.
    pub(crate) fingerprints: HashMap<String, Fingerprint>,
}

/// What an attempt is of.
pub(super) struct Job {
    pub(super) target: Arc<str>,
    /// The number that the target has in this setup.
    pub(super) number: TargetNumber,
    /// Whether it is plain text, because the receiver refused its markup.
    pub(super) is_plain: bool,
    /// How many of its requests are delivered.
    pub(super) parts: u32,
    /// The present by the wall clock: receivers compare it with their own.
    pub(super) now: UnixMs,
}

impl Setup {
    /// What a configuration that was accepted makes of attempts.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off, or refuses now what it accepted.
    pub(crate) fn of(brain: &Brain, config: Config, egress: Arc<dyn Egress>) -> Result<Self, Fault> {
        let Config { guest_config, secrets, mut routes, alerts_to, fingerprints, .. } = config;
        let dispatcher = brain.dispatcher(&guest_config)?;
        let targets = dispatcher.targets()?;
        let routes = targets.iter().map(|target| routes.remove(&target.name)).collect();
        Ok(Self { dispatcher, egress, secrets, routes, targets, alerts_to, fingerprints })
    }

    /// Sends the next request of a delivery.
    pub(super) async fn send(&self, job: &Job, notification: &Notification) -> Attempted {
        let Job { target, number, is_plain, parts: done, now } = job;
        let requests: Vec<Request> = match self.dispatcher.format(*number, notification, *is_plain, *now) {
            Ok(Ok(requests)) => requests,
            Ok(Err(reason)) => return Attempted::Refused(reason),
            Err(fault) => return Attempted::Trapped(fault),
        };
        let parts = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let Some(request) = usize::try_from(*done).ok().and_then(|done| requests.get(done)) else {
            return Attempted::Broken(format!(
                "it described {parts} requests where {done} are delivered already"
            ));
        };
        let timeout =
            Duration::from_millis(request.timeout).clamp(Duration::from_millis(1), LONGEST_EXCHANGE);
        let place = usize::try_from(*number).unwrap_or(usize::MAX);
        let Some(route) = self.routes.get(place).and_then(Option::as_ref) else {
            return Attempted::Broken("it described a request of a target that there is not".to_owned());
        };
        let Assembled { request, derived } = match assemble(request, target, &self.secrets, route) {
            Ok(assembled) => assembled,
            Err(Refusal::Egress(reason)) => return Attempted::Refused(format!("egress-denied: {reason}")),
            Err(Refusal::Invalid(what)) => return Attempted::Broken(what),
        };
        // What else the guest described is not held for as long as the exchange takes.
        drop(requests);
        crash::at("before-send");
        let exchange = self.egress.send(request, route, timeout).await;
        crash::at("after-reply");
        let why = exchange.detail;
        if let Some(why) = &why {
            tracing::debug!(id = %notification.id, %target, why, "the exchange broke off");
        }
        match exchange.outcome {
            Outcome::Failed(Transport::Blocked) => {
                Attempted::Refused(format!("egress-denied: {}", why.unwrap_or_default()))
            }
            // Only these say more than the kind of failure does, and what is to be done about it.
            Outcome::Failed(Transport::Dns | Transport::Tls) => {
                Attempted::Exchanged { outcome: exchange.outcome, why, parts }
            }
            Outcome::Reply(reply) => {
                let outcome = Outcome::Reply(self.secrets.redact_reply(target, &derived, reply));
                Attempted::Exchanged { outcome, why: None, parts }
            }
            outcome => Attempted::Exchanged { outcome, why: None, parts },
        }
    }
}

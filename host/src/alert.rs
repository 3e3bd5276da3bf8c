//! One notice when deliveries to a target begin to die, to those who asked for it.
//!
//! It decides when there is one: the first death of a target, and then at most one an hour for each, which sums
//! up what has died since. None is ever about itself: the target that fails is not told, and a notice that dies gives rise to no other.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::UnixMs;
use crate::contract::{Level, Notification};

/// What the ids of notices begin with, by which they are known. No caller may use it.
pub(crate) const PREFIX: &str = "nuncio-alert-";

/// How long after a notice about a target there is no other: an hour.
const QUIET_MS: u64 = 60 * 60 * 1_000;

/// What was told.
#[derive(Default)]
pub(crate) struct Alerts {
    told: HashMap<Arc<str>, Told>,
}

/// What was told about a target.
struct Told {
    /// When the last notice was.
    at: UnixMs,
    /// How many have died since.
    since: u64,
}

/// A delivery that died.
pub(crate) struct Death<'a> {
    pub(crate) target: &'a Arc<str>,
    pub(crate) id: &'a str,
    pub(crate) detail: &'a str,
}

impl Alerts {
    /// The notice about a death, where there is to be one; `id` makes it unique, and `to` is whom the
    /// configuration names.
    pub(crate) fn about(
        &mut self,
        death: &Death<'_>,
        to: &[String],
        now: UnixMs,
        id: impl FnOnce() -> String,
    ) -> Option<Notification> {
        let to: Vec<String> = to.iter().filter(|name| **name != **death.target).cloned().collect();
        if to.is_empty() || death.id.starts_with(PREFIX) {
            return None;
        }
        let deaths = match self.told.get_mut(death.target) {
            Some(told) if now < told.at.saturating_add(QUIET_MS) => {
                told.since = told.since.saturating_add(1);
                return None;
            }
            Some(told) => told.since.saturating_add(1),
            None => 1,
        };
        self.told.insert(Arc::clone(death.target), Told { at: now, since: 0 });
        let more = format!("nuncio dead ls --target {}", death.target);
        let title = format!("Deliveries to {} are given up", death.target);
        let deaths = deaths.to_string();
        let fields = [
            ("Target", &**death.target),
            ("Given up", &deaths),
            ("Last reason", death.detail),
            ("All of them", &more),
        ];
        let notice = Notification::new(Level::Error, title).fields(fields);
        Some(Notification { id: format!("{PREFIX}{}", id()), to, ..notice })
    }
}

impl Alerts {
    /// A notice about a target did not get through; the next death gives rise to another.
    pub(crate) fn forget(&mut self, target: &str) {
        self.told.remove(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Body;

    fn about(alerts: &mut Alerts, target: &str, id: &str, to: &[&str], now: UnixMs) -> Option<Notification> {
        let to: Vec<String> = to.iter().map(|name| (*name).to_owned()).collect();
        let death = Death { target: &target.into(), id, detail: "status 500" };
        alerts.about(&death, &to, now, || "1".to_owned())
    }

    #[test]
    fn the_first_death_of_a_target_is_told_and_then_one_an_hour() {
        let mut alerts = Alerts::default();
        let notice = about(&mut alerts, "phone", "a", &["desk"], 5).unwrap();
        assert_eq!((notice.id.as_str(), notice.to), ("nuncio-alert-1", vec!["desk".to_owned()]));
        assert!(about(&mut alerts, "phone", "b", &["desk"], 5 + QUIET_MS - 1).is_none());
        assert!(about(&mut alerts, "watch", "c", &["desk"], 6).is_some());
        let later = about(&mut alerts, "phone", "d", &["desk"], 5 + QUIET_MS).unwrap();
        let Body::Fields(fields) = later.body else { panic!("no fields") };
        assert_eq!((fields[1].name.as_str(), fields[1].value.as_str()), ("Given up", "2"));
        alerts.forget("phone");
        assert!(about(&mut alerts, "phone", "e", &["desk"], 6 + QUIET_MS).is_some());
    }

    #[test]
    fn no_notice_is_about_itself() {
        let mut alerts = Alerts::default();
        assert!(about(&mut alerts, "desk", "a", &["desk"], 5).is_none());
        assert_eq!(about(&mut alerts, "desk", "a", &["desk", "mail"], 5).unwrap().to, ["mail"]);
        assert!(about(&mut alerts, "mail", "nuncio-alert-1", &["desk"], 5).is_none());
        assert!(about(&mut alerts, "phone", "a", &[], 5).is_none());
    }
}

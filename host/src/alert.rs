//! One notice when a target is in trouble, to those who asked for it.
//!
//! It decides when there is one: at the first trouble of a kind, and then at most one an hour for each kind and
//! target, which sums up what has died since. None is ever about itself: the target that fails is not told, and
//! a notice that dies gives rise to no other.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::UnixMs;
use crate::contract::{Level, Notification};

/// What the ids of notices begin with, by which they are known. No caller may use it.
pub(crate) const PREFIX: &str = "nuncio-alert-";

/// How long after a notice there is no other of its kind about a target: an hour.
const QUIET_MS: u64 = 60 * 60 * 1_000;

/// What was told.
#[derive(Default)]
pub(crate) struct Alerts {
    told: HashMap<(Arc<str>, Trouble), Told>,
}

/// What was told about a target.
struct Told {
    /// When the last notice was.
    at: UnixMs,
    /// How often there would have been one since.
    since: u64,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trouble {
    /// A delivery died.
    Death,
    /// The endpoint does not accept the credentials.
    Held,
    /// The endpoint said that it is gone.
    Gone,
}

/// Trouble with a target.
pub(crate) struct Report<'a> {
    pub(crate) target: &'a Arc<str>,
    /// Of which notification.
    pub(crate) id: Option<&'a str>,
    pub(crate) what: Trouble,
    pub(crate) detail: &'a str,
}

impl Alerts {
    /// The notice about trouble, where there is to be one; `id` makes it unique, and `to` is whom the
    /// configuration names.
    pub(crate) fn about(
        &mut self,
        report: &Report<'_>,
        to: &[String],
        now: UnixMs,
        id: impl FnOnce() -> String,
    ) -> Option<Notification> {
        let Report { target, what, detail, .. } = *report;
        let to: Vec<String> = to.iter().filter(|name| **name != **target).cloned().collect();
        if to.is_empty() || report.id.is_some_and(|id| id.starts_with(PREFIX)) {
            return None;
        }
        let key = (Arc::clone(target), what);
        let times = match self.told.get_mut(&key) {
            Some(told) if now < told.at.saturating_add(QUIET_MS) => {
                told.since = told.since.saturating_add(1);
                return None;
            }
            Some(told) => told.since.saturating_add(1),
            None => 1,
        };
        self.told.insert(key, Told { at: now, since: 0 });
        let times = times.to_string();
        let (title, fields) = match what {
            Trouble::Death => (
                format!("Deliveries to {target} are given up"),
                vec![
                    ("Given up", times),
                    ("Last reason", detail.to_owned()),
                    ("All of them", format!("nuncio dead ls --target {target}")),
                ],
            ),
            Trouble::Held => (
                format!("{target} does not accept its credentials"),
                vec![
                    ("It said", detail.to_owned()),
                    (
                        "What to do",
                        format!(
                            "mend them in the configuration, or there and then: nuncio targets enable {target}"
                        ),
                    ),
                ],
            ),
            Trouble::Gone => (
                format!("{target} says that it is gone"),
                vec![
                    ("It said", detail.to_owned()),
                    ("What to do", format!("change its URL, or: nuncio targets enable {target}")),
                ],
            ),
        };
        let fields = [("Target", target.to_string())].into_iter().chain(fields);
        let notice = Notification::new(Level::Error, title).fields(fields);
        Some(Notification { id: format!("{PREFIX}{}", id()), to, ..notice })
    }

    /// Notices about a target did not get through; its next trouble gives rise to another.
    pub(crate) fn forget(&mut self, target: &str) {
        self.told.retain(|(told, _), _| **told != *target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Body;

    fn about(alerts: &mut Alerts, target: &str, id: &str, to: &[&str], now: UnixMs) -> Option<Notification> {
        let to: Vec<String> = to.iter().map(|name| (*name).to_owned()).collect();
        let target = &target.into();
        let report = Report { target, id: Some(id), what: Trouble::Death, detail: "status 500" };
        alerts.about(&report, &to, now, || "1".to_owned())
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

    #[test]
    fn each_kind_of_trouble_is_told() {
        let (mut alerts, to, target) = (Alerts::default(), ["desk".to_owned()], &"phone".into());
        for (what, title) in [
            (Trouble::Death, "Deliveries to phone are given up"),
            (Trouble::Held, "phone does not accept its credentials"),
            (Trouble::Gone, "phone says that it is gone"),
        ] {
            let report = Report { target, id: None, what, detail: "status 401" };
            assert_eq!(alerts.about(&report, &to, 5, String::new).unwrap().title, title);
            assert!(alerts.about(&report, &to, 6, String::new).is_none());
        }
    }
}

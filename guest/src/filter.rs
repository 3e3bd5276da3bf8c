//! Where a notification goes: by name, or by each target's minimum level and tags.

use crate::diagnostic::did_you_mean;
use crate::notification::{Level, Notification};
use crate::settings::declare::settings;
use crate::template::Condition;

settings! {
    /// Which notifications a target wants, of those that name no targets. Every condition must hold; without
    /// any, it wants all.
    #[derive(Clone, Debug, Default)]
    pub struct Filter {
        /// Nothing less serious than this.
        pub level: Option<Level>,
        /// Which tags a notification must have, or must not.
        pub tags: TagFilter = TagFilter::default(),
    }
}

settings! {
    /// Which tags a notification must have, or must not. Tags are compared letter by letter.
    #[derive(Clone, Debug, Default)]
    pub struct TagFilter {
        /// At least one of these.
        pub any: Vec<String>,
        /// Every one of these.
        pub all: Vec<String>,
        /// None of these.
        pub none: Vec<String>,
    }
}

/// What becomes of a notification at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is delivered there.
    Send,
    /// The target's filter does not want it.
    Skip,
    /// `to` names it, and no target has that name.
    Unknown,
}

/// Why a notification goes to a target, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The target's name.
    pub target: String,
    /// What becomes of it there.
    pub choice: Choice,
    /// Why, for people.
    pub because: String,
}

/// One decision a target in the order given, then one for each name in `to` that no target has.
#[must_use]
pub fn route<'a>(
    notification: &Notification,
    targets: impl Iterator<Item = (&'a str, &'a Filter, Option<&'a Condition>)> + Clone,
) -> Vec<Decision> {
    let decide = |(name, filter, when): (&str, &Filter, Option<&Condition>)| {
        let (choice, because) = if notification.to.is_empty() {
            match filter.refusal(notification) {
                None => answer(when, notification),
                Some(refusal) => (Choice::Skip, refusal),
            }
        } else if notification.to.iter().any(|to| to == name) {
            (Choice::Send, "`to` names it".to_owned())
        } else {
            (Choice::Skip, "`to` names others".to_owned())
        };
        Decision { target: name.to_owned(), choice, because }
    };
    let mut decisions: Vec<Decision> = targets.clone().map(decide).collect();
    for (n, name) in notification.to.iter().enumerate() {
        let known = targets.clone().any(|(target, ..)| target == name);
        let repeated = notification.to.iter().take(n).any(|earlier| earlier == name);
        if !known && !repeated {
            let hint = did_you_mean(name, targets.clone().map(|(target, ..)| target));
            let because = format!("no target has this name; {hint}");
            decisions.push(Decision { target: name.clone(), choice: Choice::Unknown, because });
        }
    }
    decisions
}

/// What a condition says of a notification that the filter wants. One that fails on it keeps nothing back: a
/// mistake there must not lose a notification.
fn answer(when: Option<&Condition>, notification: &Notification) -> (Choice, String) {
    let Some(when) = when else { return (Choice::Send, "its filter matches".to_owned()) };
    match when.holds(notification) {
        Ok(true) => (Choice::Send, "its filter matches, and its condition holds".to_owned()),
        Ok(false) => (Choice::Skip, format!("its condition does not hold: {}", when.source())),
        Err(problem) => {
            (Choice::Send, format!("its filter matches, and its condition cannot be told: {problem}"))
        }
    }
}

impl Filter {
    /// Why a notification is not wanted; `None` where it is.
    #[must_use]
    pub fn refusal(&self, notification: &Notification) -> Option<String> {
        let has = |tag: &&String| notification.tags.contains(tag);
        if let Some(least) = self.level.filter(|least| notification.level < *least) {
            let (level, least) = (notification.level.name(), least.name());
            return Some(format!("its filter wants level {least} or above, and this is {level}"));
        }
        if !self.tags.any.is_empty() && !self.tags.any.iter().any(|tag| has(&tag)) {
            return Some(format!("its filter wants any of the tags {}", self.tags.any.join(", ")));
        }
        if let Some(missing) = self.tags.all.iter().find(|tag| !has(tag)) {
            return Some(format!("its filter wants the tag {missing}"));
        }
        let unwanted = self.tags.none.iter().find(has)?;
        Some(format!("its filter refuses the tag {unwanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::notification;

    fn filter(json: &str) -> Filter {
        crate::settings::declare::Setting::read(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn tagged(level: Level, tags: &[&str]) -> Notification {
        let tags = tags.iter().map(|tag| (*tag).into()).collect();
        Notification { tags, ..notification(level, "t", Body::Text(String::new())) }
    }

    #[test]
    fn without_conditions_everything_is_wanted() {
        assert_eq!(filter("{}").refusal(&tagged(Level::Trace, &[])), None);
    }

    // GoDoxy defect 1.7.13: no kind of message could be kept away from one provider.
    #[test]
    fn a_minimum_level_lets_that_level_and_above_pass() {
        let filter = filter(r#"{"level":"warn"}"#);
        assert!(filter.refusal(&tagged(Level::Info, &[])).unwrap().contains("warn"));
        assert_eq!(filter.refusal(&tagged(Level::Warn, &[])), None);
        assert_eq!(filter.refusal(&tagged(Level::Fatal, &[])), None);
    }

    #[test]
    fn tags_are_wanted_by_any_all_and_none() {
        let filter = filter(r#"{"tags":{"any":["db","web"],"all":["prod"],"none":["test"]}}"#);
        for (tags, wanted) in [
            (&["db", "prod"][..], true),
            (&["web", "prod", "x"], true),
            (&["prod"], false),
            (&["db"], false),
            (&["db", "prod", "test"], false),
            (&["DB", "prod"], false),
        ] {
            assert_eq!(filter.refusal(&tagged(Level::Info, tags)).is_none(), wanted, "{tags:?}");
        }
    }

    #[test]
    fn names_in_to_go_over_filters() {
        let strict = filter(r#"{"level":"fatal"}"#);
        let targets = [("phone", &strict, None), ("desk", &strict, None)];
        let named = Notification { to: vec!["desk".into()], ..tagged(Level::Info, &[]) };
        let choices: Vec<Choice> = route(&named, targets.into_iter()).iter().map(|d| d.choice).collect();
        assert_eq!(choices, [Choice::Skip, Choice::Send]);
    }

    // GoDoxy defect 1.7.12: they were dropped in silence.
    #[test]
    fn unknown_names_in_to_are_reported_once_with_the_nearest() {
        let all = filter("{}");
        let named = Notification { to: vec!["phnoe".into(), "phnoe".into()], ..tagged(Level::Info, &[]) };
        let decisions = route(&named, [("phone", &all, None)].into_iter());
        assert_eq!(decisions.len(), 2);
        assert_eq!((decisions[1].target.as_str(), decisions[1].choice), ("phnoe", Choice::Unknown));
        assert!(decisions[1].because.contains("did you mean `phone`?"), "{}", decisions[1].because);
    }
}

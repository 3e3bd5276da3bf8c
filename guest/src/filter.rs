//! Where a notification goes: by name, or by each target's minimum level and tags.
//!
//! Guarantees: who is not a candidate by the [`Index`] does not get it, so that a notification need not be held
//! against the filter of every target.

use std::collections::BTreeMap;

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

/// What a target wants, and its name.
#[derive(Clone, Copy)]
pub struct Wants<'a> {
    /// The target's name.
    pub name: &'a str,
    /// Which notifications it gets.
    pub filter: &'a Filter,
    /// What it wants beside its filter.
    pub when: Option<&'a Condition>,
}

/// Decides whether a target gets a notification.
#[must_use]
pub fn decide(notification: &Notification, wants: Wants<'_>) -> Decision {
    let Wants { name, filter, when } = wants;
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
}

/// The targets of a configuration, by their names and by what they want; they are numbered in its order, from 0.
#[derive(Clone, Debug, Default)]
pub struct Index {
    by_name: BTreeMap<String, usize>,
    /// Those that must be asked about every notification.
    of_any: Vec<usize>,
    /// Those that want a certain tag, or one of several, by each of these.
    by_tag: BTreeMap<String, Vec<usize>>,
}

impl Index {
    /// Of targets in the order of the configuration.
    #[must_use]
    pub fn new<'a>(targets: impl IntoIterator<Item = Wants<'a>>) -> Self {
        let mut index = Self::default();
        for (number, Wants { name, filter, .. }) in targets.into_iter().enumerate() {
            index.by_name.insert(name.to_owned(), number);
            let TagFilter { any, all, .. } = &filter.tags;
            let tags = if any.is_empty() { all.get(..1).unwrap_or_default() } else { any };
            if tags.is_empty() {
                index.of_any.push(number);
            }
            for tag in tags {
                index.by_tag.entry(tag.clone()).or_default().push(number);
            }
        }
        index
    }

    /// The number of a target.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The numbers of the targets that may get a notification, in order; no other does.
    #[must_use]
    pub fn candidates(&self, notification: &Notification) -> Vec<usize> {
        let mut candidates: Vec<usize> = if notification.to.is_empty() {
            let tagged = notification.tags.iter().filter_map(|tag| self.by_tag.get(tag));
            self.of_any.iter().chain(tagged.flatten()).copied().collect()
        } else {
            notification.to.iter().filter_map(|name| self.number(name)).collect()
        };
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// One decision for each name in `to` that no target has.
    #[must_use]
    pub fn unknown(&self, notification: &Notification) -> Vec<Decision> {
        let to = notification.to.iter().enumerate();
        let is_new = |(n, name): &(usize, &String)| {
            self.number(name).is_none() && !notification.to.iter().take(*n).any(|earlier| earlier == *name)
        };
        let decision = |(_, name): (usize, &String)| {
            let hint = did_you_mean(name, self.names());
            let because = format!("no target has this name; {hint}");
            Decision { target: name.clone(), choice: Choice::Unknown, because }
        };
        to.filter(is_new).map(decision).collect()
    }

    /// The names in the order of the configuration.
    fn names(&self) -> Vec<&str> {
        let mut names = vec![""; self.by_name.len()];
        for (name, number) in &self.by_name {
            names.get_mut(*number).into_iter().for_each(|place| *place = name);
        }
        names
    }
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
    use proptest::prelude::*;

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

    fn wants<'a>(name: &'a str, filter: &'a Filter) -> Wants<'a> {
        Wants { name, filter, when: None }
    }

    #[test]
    fn names_in_to_go_over_filters() {
        let strict = filter(r#"{"level":"fatal"}"#);
        let named = Notification { to: vec!["desk".into()], ..tagged(Level::Info, &[]) };
        let choice = |name| decide(&named, wants(name, &strict)).choice;
        assert_eq!((choice("phone"), choice("desk")), (Choice::Skip, Choice::Send));
        let index = Index::new([wants("phone", &strict), wants("desk", &strict)]);
        assert_eq!(index.candidates(&named), [1]);
    }

    proptest! {
        #[test]
        fn whoever_gets_it_is_a_candidate(
            filters in prop::collection::vec(
                (prop::collection::vec("[abc]", 0..3), prop::collection::vec("[abc]", 0..3), prop::collection::vec("[abc]", 0..2)),
                0..8,
            ),
            tags in prop::collection::vec("[abcd]", 0..4),
            to in prop::collection::vec("[0-9]", 0..3),
        ) {
            let filters: Vec<(String, Filter)> = filters
                .into_iter()
                .enumerate()
                .map(|(n, (any, all, none))| {
                    (n.to_string(), Filter { level: None, tags: TagFilter { any, all, none } })
                })
                .collect();
            let all = || filters.iter().map(|(name, filter)| wants(name, filter));
            let asked = Notification { tags, to, ..tagged(Level::Info, &[]) };
            let getting: Vec<usize> =
                (0..).zip(all()).filter(|(_, wants)| decide(&asked, *wants).choice == Choice::Send).map(|(n, _)| n).collect();
            let index = Index::new(all());
            let candidates = index.candidates(&asked);
            prop_assert!(candidates.is_sorted_by(|one, next| one < next));
            prop_assert!(getting.iter().all(|number| candidates.contains(number)));
            let known = |name: &String| filters.iter().any(|(known, _)| known == name);
            prop_assert_eq!(index.unknown(&asked).is_empty(), asked.to.iter().all(known));
        }
    }

    // GoDoxy defect 1.7.12: they were dropped in silence.
    #[test]
    fn unknown_names_in_to_are_reported_once_with_the_nearest() {
        let all = filter("{}");
        let named = Notification { to: vec!["phnoe".into(), "phnoe".into()], ..tagged(Level::Info, &[]) };
        let decisions = Index::new([wants("phone", &all)]).unknown(&named);
        assert_eq!(decisions.len(), 1);
        assert_eq!((decisions[0].target.as_str(), decisions[0].choice), ("phnoe", Choice::Unknown));
        assert!(decisions[0].because.contains("did you mean `phone`?"), "{}", decisions[0].because);
    }
}

//! Where a notification goes: by name, or by each target's minimum level and tags.
//!
//! Guarantees: who is not a candidate by the [`Index`] does not get it, so that a notification need not be held
//! against the filter of every target.

use std::fmt;

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

/// What routing looks at of a notification, but for conditions.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// How serious it is.
    pub level: Level,
    /// Names of targets.
    pub to: &'a [String],
    /// Words that filters select by.
    pub tags: &'a [String],
}

impl<'a> From<&'a Notification> for Envelope<'a> {
    fn from(notification: &'a Notification) -> Self {
        let Notification { level, to, tags, .. } = notification;
        Self { level: *level, to, tags }
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

/// Why a target gets a notification, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// `to` names it.
    Named,
    /// `to` names others.
    OthersNamed,
    /// Its filter matches.
    Matches,
    /// So does its condition.
    Holds,
    /// What its condition says of the notification fails. That keeps nothing back: a mistake there must not lose a
    /// notification.
    Untold(String),
    /// Its condition, this one, does not hold.
    Fails(&'a str),
    /// It is less serious than what its filter wants: the notification's level, and the filter's.
    Minor(Level, Level),
    /// It has none of these tags.
    NoneOf(&'a [String]),
    /// It does not have this tag.
    Lacks(&'a str),
    /// It has this tag.
    Has(&'a str),
}

impl Reason<'_> {
    /// Whether it is why the target gets the notification.
    #[must_use]
    pub fn sends(&self) -> bool {
        matches!(self, Self::Named | Self::Matches | Self::Holds | Self::Untold(_))
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("`to` names it"),
            Self::OthersNamed => f.write_str("`to` names others"),
            Self::Matches => f.write_str("its filter matches"),
            Self::Holds => f.write_str("its filter matches, and its condition holds"),
            Self::Untold(problem) => {
                write!(f, "its filter matches, and its condition cannot be told: {problem}")
            }
            Self::Fails(condition) => write!(f, "its condition does not hold: {condition}"),
            Self::Minor(level, least) => {
                write!(f, "its filter wants level {} or above, and this is {}", least.name(), level.name())
            }
            Self::NoneOf(tags) => write!(f, "its filter wants any of the tags {}", tags.join(", ")),
            Self::Lacks(tag) => write!(f, "its filter wants the tag {tag}"),
            Self::Has(tag) => write!(f, "its filter refuses the tag {tag}"),
        }
    }
}

impl<'a> Wants<'a> {
    /// Decides whether the target gets a notification. Its condition is taken to hold where that is not there.
    #[must_use]
    pub fn decide(self, envelope: Envelope<'_>, whole: Option<&Notification>) -> Reason<'a> {
        if envelope.to.iter().any(|to| to == self.name) {
            return Reason::Named;
        }
        if !envelope.to.is_empty() {
            return Reason::OthersNamed;
        }
        if let Some(refusal) = self.filter.refusal(envelope) {
            return refusal;
        }
        let Some(when) = self.when else { return Reason::Matches };
        let Some(notification) = whole else { return Reason::Holds };
        match when.holds(notification) {
            Ok(true) => Reason::Holds,
            Ok(false) => Reason::Fails(when.source()),
            Err(problem) => Reason::Untold(problem.to_string()),
        }
    }

    /// As [`Wants::decide`], in words.
    #[must_use]
    pub fn explain(self, notification: &Notification) -> Decision {
        let reason = self.decide(notification.into(), Some(notification));
        let choice = if reason.sends() { Choice::Send } else { Choice::Skip };
        Decision { target: self.name.to_owned(), choice, because: reason.to_string() }
    }
}

/// A name in `to` that no target has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its place in `to`, from 0.
    pub at: usize,
    /// That, and which name may be meant.
    pub because: String,
}

/// Where a notification goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The numbers of the targets that get it, in order.
    pub targets: Vec<usize>,
    /// The names that no target has, each once.
    pub unknown: Vec<Unknown>,
}

/// The targets of a configuration, by their names and by what they want; they are numbered in its order, from 0.
#[derive(Clone, Debug, Default)]
pub struct Index {
    by_name: Numbers,
    /// Those that must be asked about every notification.
    of_any: Vec<usize>,
    /// Those that want a certain tag, or one of several, by each of these.
    by_tag: Numbers,
}

/// Numbers of targets, each by a word; sorted. Trees in its place made the component 3 kB larger.
#[derive(Clone, Debug, Default)]
struct Numbers(Vec<(String, usize)>);

impl Numbers {
    fn new(mut by_word: Vec<(String, usize)>) -> Self {
        by_word.sort_unstable();
        Self(by_word)
    }

    fn of(&self, word: &str) -> &[(String, usize)] {
        let from = self.0.partition_point(|(other, _)| other.as_str() < word);
        let rest = self.0.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|(other, _)| other == word)).unwrap_or_default()
    }
}

impl Index {
    /// Of targets in the order of the configuration.
    #[must_use]
    pub fn new<'a>(targets: impl IntoIterator<Item = Wants<'a>>) -> Self {
        let (mut by_name, mut of_any, mut by_tag) = (Vec::new(), Vec::new(), Vec::new());
        for (number, Wants { name, filter, .. }) in targets.into_iter().enumerate() {
            by_name.push((name.to_owned(), number));
            let TagFilter { any, all, .. } = &filter.tags;
            let tags = if any.is_empty() { all.get(..1).unwrap_or_default() } else { any };
            if tags.is_empty() {
                of_any.push(number);
            }
            by_tag.extend(tags.iter().map(|tag| (tag.clone(), number)));
        }
        Self { by_name: Numbers::new(by_name), of_any, by_tag: Numbers::new(by_tag) }
    }

    /// The number of a target.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.by_name.of(name).first().map(|(_, number)| *number)
    }

    /// The numbers of the targets that may get a notification, in order; no other does.
    #[must_use]
    pub fn candidates(&self, envelope: Envelope<'_>) -> Vec<usize> {
        let mut candidates: Vec<usize> = if envelope.to.is_empty() {
            let tagged = envelope.tags.iter().flat_map(|tag| self.by_tag.of(tag));
            self.of_any.iter().chain(tagged.map(|(_, number)| number)).copied().collect()
        } else {
            envelope.to.iter().filter_map(|name| self.number(name)).collect()
        };
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The names in `to` that no target has, each once.
    #[must_use]
    pub fn unknown(&self, to: &[String]) -> Vec<Unknown> {
        let is_new = |(at, name): &(usize, &String)| {
            self.number(name).is_none() && !to.iter().take(*at).any(|earlier| earlier == *name)
        };
        let unknown = |(at, name): (usize, &String)| {
            let hint = did_you_mean(name, self.names());
            Unknown { at, because: format!("no target has this name; {hint}") }
        };
        to.iter().enumerate().filter(is_new).map(unknown).collect()
    }

    /// The names in the order of the configuration.
    fn names(&self) -> Vec<&str> {
        let mut names = vec![""; self.by_name.0.len()];
        for (name, number) in &self.by_name.0 {
            names.get_mut(*number).into_iter().for_each(|place| *place = name);
        }
        names
    }
}

impl Filter {
    /// Why a notification is not wanted; `None` where it is.
    #[must_use]
    pub fn refusal(&self, envelope: Envelope<'_>) -> Option<Reason<'_>> {
        let has = |tag: &&String| envelope.tags.contains(tag);
        if let Some(least) = self.level.filter(|least| envelope.level < *least) {
            return Some(Reason::Minor(envelope.level, least));
        }
        if !self.tags.any.is_empty() && !self.tags.any.iter().any(|tag| has(&tag)) {
            return Some(Reason::NoneOf(&self.tags.any));
        }
        if let Some(missing) = self.tags.all.iter().find(|tag| !has(tag)) {
            return Some(Reason::Lacks(missing));
        }
        self.tags.none.iter().find(has).map(|unwanted| Reason::Has(unwanted))
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
        assert_eq!(filter("{}").refusal((&tagged(Level::Trace, &[])).into()), None);
    }

    // GoDoxy defect 1.7.13: no kind of message could be kept away from one provider.
    #[test]
    fn a_minimum_level_lets_that_level_and_above_pass() {
        let filter = filter(r#"{"level":"warn"}"#);
        assert_eq!(
            filter.refusal((&tagged(Level::Info, &[])).into()),
            Some(Reason::Minor(Level::Info, Level::Warn))
        );
        assert_eq!(filter.refusal((&tagged(Level::Warn, &[])).into()), None);
        assert_eq!(filter.refusal((&tagged(Level::Fatal, &[])).into()), None);
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
            assert_eq!(filter.refusal((&tagged(Level::Info, tags)).into()).is_none(), wanted, "{tags:?}");
        }
    }

    fn wants<'a>(name: &'a str, filter: &'a Filter) -> Wants<'a> {
        Wants { name, filter, when: None }
    }

    #[test]
    fn names_in_to_go_over_filters() {
        let strict = filter(r#"{"level":"fatal"}"#);
        let named = Notification { to: vec!["desk".into()], ..tagged(Level::Info, &[]) };
        let decided = |name| wants(name, &strict).decide((&named).into(), Some(&named));
        assert_eq!((decided("phone"), decided("desk")), (Reason::OthersNamed, Reason::Named));
        let index = Index::new([wants("phone", &strict), wants("desk", &strict)]);
        assert_eq!(index.candidates((&named).into()), [1]);
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
            let gets = |wants: Wants<'_>| wants.decide((&asked).into(), Some(&asked)).sends();
            let getting: Vec<usize> =
                (0..).zip(all()).filter(|(_, wants)| gets(*wants)).map(|(n, _)| n).collect();
            let index = Index::new(all());
            let candidates = index.candidates((&asked).into());
            prop_assert!(candidates.is_sorted_by(|one, next| one < next));
            prop_assert!(getting.iter().all(|number| candidates.contains(number)));
            let known = |name: &String| filters.iter().any(|(known, _)| known == name);
            prop_assert_eq!(index.unknown(&asked.to).is_empty(), asked.to.iter().all(known));
        }
    }

    // GoDoxy defect 1.7.12: they were dropped in silence.
    #[test]
    fn unknown_names_in_to_are_reported_once_with_the_nearest() {
        let all = filter("{}");
        let named = Notification { to: vec!["phnoe".into(), "phnoe".into()], ..tagged(Level::Info, &[]) };
        let unknown = Index::new([wants("phone", &all)]).unknown(&named.to);
        let because = "no target has this name; did you mean `phone`?".to_owned();
        assert_eq!(unknown, [Unknown { at: 0, because }]);
    }
}

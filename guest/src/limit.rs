//! How long a text may be, in the service's own unit, and what becomes of one that is longer.
//!
//! Refuses to know services: a provider says its limits as [`Bound`]s, fits its texts to them, and a test of
//! all providers holds every request against them. What is measured is what is sent, after escaping. A cut is
//! between grapheme clusters (Unicode Standard Annex 29), so that no character that a reader sees as one is
//! torn apart.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::settings::declare::choices;

/// What a text ends in where the rest is left out.
pub const ELLIPSIS: char = '…';

/// In how many messages a text is sent at most where it is split; what is beyond is left out, and said to be.
pub const MOST_PARTS: usize = 20;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Unicode scalar values, which most services mean by "characters".
    Characters,
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units, of which an emoji has two: what JavaScript and Java count.
    Utf16,
}

/// How long a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The longest that is allowed.
    pub most: usize,
    /// What is counted.
    pub unit: Unit,
}

choices! {
    /// What becomes of a text that is longer than its service takes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Overflow {
        /// It is sent as several messages, numbered and in order.
        Split = "split",
        /// It is cut off, and ends in `…`.
        Truncate = "truncate",
        /// It is sent as it is: the service decides.
        Upstream = "upstream",
    }
}

/// One limit of a service, as a person reads it and as a test finds it in a request.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What is limited, in a word or two.
    pub name: &'static str,
    /// Where it is in the body of a request: a JSON pointer in which `*` is every item, such as
    /// `/embeds/*/title`, and in a form `/` and the name. Several places: they are limited together.
    pub at: &'static [&'static str],
    /// How much there may be.
    pub measure: Measure,
}

/// How much there may be at the places of a bound.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// So long is each text.
    Each(Limit),
    /// So long are all texts together.
    Sum(Limit),
    /// So many items has each list.
    Items(usize),
    /// So long is the whole body of the request; the places are empty.
    Body(Limit),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Characters => "characters",
            Unit::Bytes => "bytes",
            Unit::Utf16 => "UTF-16 units",
        };
        write!(f, "{} {unit}", self.most)
    }
}

/// For people: `4096 characters`.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each(limit) | Self::Body(limit) => limit.fmt(f),
            Self::Sum(limit) => write!(f, "{limit} in all"),
            Self::Items(most) => most.fmt(f),
        }
    }
}

// === impl Limit ===

impl Limit {
    /// No limit.
    pub const NONE: Self = Self::characters(usize::MAX);

    /// A limit in Unicode scalar values.
    #[must_use]
    pub const fn characters(most: usize) -> Self {
        Self { most, unit: Unit::Characters }
    }

    /// A limit in bytes of UTF-8.
    #[must_use]
    pub const fn bytes(most: usize) -> Self {
        Self { most, unit: Unit::Bytes }
    }

    /// A limit in UTF-16 code units.
    #[must_use]
    pub const fn utf16(most: usize) -> Self {
        Self { most, unit: Unit::Utf16 }
    }

    /// How long a text is, in this limit's unit.
    #[must_use]
    pub fn length(self, text: &str) -> usize {
        match self.unit {
            Unit::Characters => text.chars().count(),
            Unit::Bytes => text.len(),
            Unit::Utf16 => text.encode_utf16().count(),
        }
    }

    /// Whether a text is within the limit.
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        // No unit is counted more often than bytes.
        text.len() <= self.most || self.length(text) <= self.most
    }

    /// The limit where so much of it is used up.
    #[must_use]
    pub const fn less(self, used: usize) -> Self {
        Self { most: self.most.saturating_sub(used), unit: self.unit }
    }

    /// This limit, or that one of the same unit where it is tighter.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { most: self.most.min(other.most), unit: self.unit }
    }

    /// The text, or its beginning and `…`. For text without markup; else [`crate::markup::Text::fit`]. Where
    /// not even `…` has room, nothing is left.
    #[must_use]
    pub fn cut(self, text: &str) -> String {
        if self.fits(text) {
            return text.to_owned();
        }
        let mark = String::from(ELLIPSIS);
        let Some(mut left) = self.most.checked_sub(self.length(&mark)) else { return String::new() };
        let mut cut = String::new();
        for cluster in text.graphemes(true) {
            match left.checked_sub(self.length(cluster)) {
                Some(after) => left = after,
                None => break,
            }
            cut.push_str(cluster);
        }
        cut + &mark
    }
}

// === impl Overflow ===

impl Overflow {
    /// The limit where a text is kept within it, and none where the service decides.
    #[must_use]
    pub fn limit(self, limit: Limit) -> Limit {
        if self == Self::Upstream { Limit::NONE } else { limit }
    }
}

// === impl Bound ===

impl Bound {
    /// A limit of each text at a place.
    #[must_use]
    pub const fn text(name: &'static str, at: &'static [&'static str], limit: Limit) -> Self {
        Self { name, at, measure: Measure::Each(limit) }
    }

    /// A limit of all texts at some places together.
    #[must_use]
    pub const fn sum(name: &'static str, at: &'static [&'static str], limit: Limit) -> Self {
        Self { name, at, measure: Measure::Sum(limit) }
    }

    /// A limit of the number of items in each list at a place.
    #[must_use]
    pub const fn items(name: &'static str, at: &'static [&'static str], most: usize) -> Self {
        Self { name, at, measure: Measure::Items(most) }
    }

    /// A limit of the whole body of a request.
    #[must_use]
    pub const fn body(name: &'static str, limit: Limit) -> Self {
        Self { name, at: &[], measure: Measure::Body(limit) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_counts_what_it_says() {
        for (limit, length) in [(Limit::characters(9), 3), (Limit::bytes(9), 7), (Limit::utf16(9), 4)] {
            assert_eq!(limit.length("a\u{e4}\u{1f600}"), length, "{limit:?}");
        }
    }

    #[test]
    fn a_cut_is_between_clusters_and_leaves_room_for_its_mark() {
        for (limit, text, cut) in [
            (Limit::characters(4), "abcd", "abcd"),
            (Limit::characters(4), "abcde", "abc…"),
            (Limit::bytes(4), "abcde", "a…"),
            (Limit::bytes(2), "abc", ""),
            (Limit::utf16(4), "ab😀de", "ab…"),
            (Limit::characters(1), "😀😀", "…"),
            // A family is five scalar values, and a letter with an accent two.
            (Limit::characters(5), "a👩‍👩‍👧b", "a…"),
            (Limit::characters(6), "a👩‍👩‍👧bc", "a…"),
            (Limit::characters(7), "a👩‍👩‍👧bc", "a👩‍👩‍👧…"),
            (Limit::characters(3), "ae\u{301}xy", "a…"),
        ] {
            assert_eq!(limit.cut(text), cut, "{limit:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_is_within_its_limit(text in any::<String>(), most in 0_usize..40) {
            for unit in [Unit::Characters, Unit::Bytes, Unit::Utf16] {
                let limit = Limit { most, unit };
                let cut = limit.cut(&text);
                prop_assert!(limit.length(&cut) <= most);
                prop_assert!(text.starts_with(cut.trim_end_matches(ELLIPSIS)));
                prop_assert_eq!(limit.fits(&text), limit.length(&text) <= most);
            }
        }
    }
}

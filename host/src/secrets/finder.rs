//! Finds many texts in another one, and what of them its end breaks off.
//!
//! It refuses to know what the texts are. One pass over the text is enough however many there are, and
//! however they overlap, so that nobody can make a search slow by what is searched for. Most texts have nothing to
//! be found in them, and a quick look for beginnings says so.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A text to find.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The text; an empty one is found nowhere.
    pub text: String,
    /// How many bytes of its beginning are looked for at the end of what is searched; `usize::MAX` for none.
    pub least: usize,
}

/// What looks for texts.
pub struct Finder {
    texts: Vec<Wanted>,
    /// What sees whether there is anything to find; `None` where there are more texts than it can have.
    heads: Option<AhoCorasick>,
    /// What finds whole ones, from the first time on that there is something to find; likewise.
    whole: OnceLock<Option<AhoCorasick>>,
}

impl Finder {
    /// Looks for these texts.
    #[must_use]
    pub fn new(texts: impl IntoIterator<Item = Wanted>) -> Self {
        let mut texts: Vec<Wanted> = texts.into_iter().filter(|wanted| !wanted.text.is_empty()).collect();
        texts.sort_unstable();
        // Of those that differ only in how many bytes of a beginning count, the first asks for the fewest.
        texts.dedup_by(|later, first| later.text == first.text);
        let mut heads: Vec<&[u8]> = texts.iter().map(Wanted::head).collect();
        heads.dedup();
        let heads = search(heads, MatchKind::LeftmostFirst);
        Self { texts, heads, whole: OnceLock::new() }
    }

    /// Whether there can be anything to find, in the text or in a part of it: a quick look.
    #[must_use]
    pub fn may_find(&self, text: &[u8]) -> bool {
        self.heads.as_ref().is_none_or(|heads| heads.is_match(text))
    }

    /// Where the texts stand, in the order of their ends; they may overlap. The last is the longest beginning of a
    /// text that the end breaks off. All of what is searched, where there are too many texts to look for.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let everything = || std::iter::once(0..text.len()).collect();
        if !self.may_find(text) {
            return Vec::new();
        }
        if self.heads.is_none() {
            return everything();
        }
        let whole = || search(self.texts.iter().map(|wanted| wanted.text.as_bytes()), MatchKind::Standard);
        let Some(whole) = self.whole.get_or_init(whole) else { return everything() };
        let mut found: Vec<Range<usize>> =
            whole.find_overlapping_iter(text).map(|found| found.range()).collect();
        let cut = self.texts.iter().filter_map(|wanted| wanted.cut(text)).max();
        found.extend(cut.map(|length| text.len().saturating_sub(length)..text.len()));
        found
    }
}

/// A search for texts that is quick to make, as some are for one reply.
fn search<'a>(texts: impl IntoIterator<Item = &'a [u8]>, kind: MatchKind) -> Option<AhoCorasick> {
    AhoCorasick::builder().kind(Some(AhoCorasickKind::NoncontiguousNFA)).match_kind(kind).build(texts).ok()
}

impl Wanted {
    /// What is there wherever the text or as much of its beginning as counts is.
    fn head(&self) -> &[u8] {
        let whole = self.text.as_bytes();
        whole.get(..self.least.max(1)).unwrap_or(whole)
    }

    /// How much of its beginning a text ends with, and not with all of it; `None` where that is too little.
    fn cut(&self, text: &[u8]) -> Option<usize> {
        let longest = self.text.len().saturating_sub(1).min(text.len());
        let ends =
            |length: &usize| self.text.as_bytes().get(..*length).is_some_and(|cut| text.ends_with(cut));
        (self.least.max(1)..=longest).rev().find(ends)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finder(texts: &[&str], least: usize) -> Finder {
        Finder::new(texts.iter().map(|text| Wanted { text: (*text).to_owned(), least }))
    }

    #[test]
    fn texts_that_overlap_are_all_found() {
        let finder = finder(&["abcd", "bc", "cdef", "aa", ""], usize::MAX);
        assert_eq!(finder.find(b"xabcdefaaa"), [2..4, 1..5, 3..7, 7..9, 8..10]);
        assert!(finder.find(b"").is_empty());
    }

    #[test]
    fn a_beginning_is_found_at_the_end_only() {
        let finder = finder(&["abcdef", "cdxyz"], 3);
        for (text, broken_off) in [
            ("abcde, abcde", Some(7..12)),
            ("abcd cdx", Some(5..8)),
            // A beginning that a longer one, which came to nothing, ended with.
            ("abcdx", Some(2..5)),
            ("abcd ab", None),
        ] {
            assert_eq!(finder.find(text.as_bytes()), Vec::from_iter(broken_off), "{text}");
        }
        assert_eq!(finder.find(b"abcdef").len(), 1, "all of it is no beginning");
    }

    /// Compares every place with every text.
    fn naive(texts: &[String], least: usize, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for end in 1..=text.len() {
            let ends = |start: &usize| texts.iter().any(|wanted| *wanted == text[*start..end]);
            found.extend((0..end).filter(ends).map(|start| start..end));
        }
        let breaks = |start: &usize| {
            let rest = &text[*start..];
            rest.len() >= least && texts.iter().any(|wanted| wanted != rest && wanted.starts_with(rest))
        };
        found.extend((0..text.len()).find(breaks).map(|start| start..text.len()));
        found
    }

    proptest! {
        #[test]
        fn nothing_is_missed_and_nothing_made_up(
            texts in prop::collection::vec("[ab]{0,6}", 0..6),
            text in "[abc]{0,40}",
            least in 1_usize..5,
        ) {
            let wanted = texts.iter().map(|text| Wanted { text: text.clone(), least });
            let (mut found, mut expected) =
                (Finder::new(wanted).find(text.as_bytes()), naive(&texts, least, &text));
            let by_end = |range: &Range<usize>| (range.end, range.start);
            found.sort_by_key(by_end);
            expected.sort_by_key(by_end);
            let finder = Finder::new(texts.iter().map(|text| Wanted { text: text.clone(), least }));
            let around = format!("c{text}c");
            prop_assert!(expected.is_empty() || finder.may_find(around.as_bytes()));
            prop_assert_eq!(found, expected);
        }
    }
}

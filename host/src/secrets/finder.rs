//! Finds many texts in another one, and what of them its end breaks off.
//!
//! It refuses to know what the texts are. One pass over the text is enough however many there are, and
//! however they overlap (A. Aho and M. Corasick, "Efficient string matching", 1975), so that nobody can make
//! a search slow by what is searched for.

use std::collections::VecDeque;
use std::ops::Range;

/// A text to find.
#[derive(Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The text; an empty one is found nowhere.
    pub text: String,
    /// How many bytes of its beginning are looked for at the end of what is searched; `usize::MAX` for none.
    pub least: usize,
}

/// What looks for texts.
pub struct Finder {
    /// A tree of the texts' bytes, the root first: texts that begin alike share a path.
    nodes: Vec<Node>,
    /// The root's children by their bytes; 0 where there is none.
    first: Box<[u32]>,
}

#[derive(Clone, Copy, Default)]
struct Node {
    byte: u8,
    /// The first of its children; 0 where there is none.
    child: u32,
    /// The next child of its parent; 0 where there is none.
    sibling: u32,
    /// The node of the longest text that this one's text ends with, and that begins a text to find.
    shorter: u32,
    /// The length of the longest text to find that ends here; 0 where none does.
    found: u32,
    /// The length of the longest beginning that ends here and is looked for at the end; 0 where none does.
    cut: u32,
}

impl Finder {
    /// Looks for these texts. Takes some 24 bytes for each of theirs.
    #[must_use]
    pub fn new<'w>(texts: impl IntoIterator<Item = &'w Wanted>) -> Self {
        let mut finder = Self { nodes: vec![Node::default()], first: vec![0; 256].into() };
        for text in texts {
            finder.add(text);
        }
        finder.link();
        finder
    }

    fn add(&mut self, Wanted { text, least }: &Wanted) {
        let mut at = 0;
        for (byte, depth) in text.bytes().zip(1_u32..) {
            at = match self.child(at, byte) {
                0 => self.grow(at, byte),
                child => child,
            };
            if let Some(node) = self.nodes.get_mut(index(at)) {
                node.cut = if index(depth) < *least { node.cut } else { depth };
            }
        }
        if let (Some(node), Ok(length)) = (self.nodes.get_mut(index(at)), u32::try_from(text.len())) {
            node.found = length;
        }
    }

    fn grow(&mut self, parent: u32, byte: u8) -> u32 {
        let Ok(new) = u32::try_from(self.nodes.len()) else { return 0 };
        let Some(node) = self.nodes.get_mut(index(parent)) else { return 0 };
        let sibling = std::mem::replace(&mut node.child, new);
        if parent == 0
            && let Some(first) = self.first.get_mut(usize::from(byte))
        {
            *first = new;
        }
        self.nodes.push(Node { byte, sibling, ..Node::default() });
        new
    }

    /// Finds out for each node, the nearest to the root first, what shorter text its own one ends with.
    fn link(&mut self) {
        let mut open = VecDeque::from([0]);
        while let Some(at) = open.pop_front() {
            let mut child = self.node(at).child;
            while child != 0 {
                open.push_back(child);
                let Node { byte, sibling, .. } = self.node(child);
                let shorter = if at == 0 { 0 } else { self.step(self.node(at).shorter, byte) };
                let Node { found, cut, .. } = self.node(shorter);
                if let Some(node) = self.nodes.get_mut(index(child)) {
                    node.shorter = shorter;
                    node.found = node.found.max(found);
                    node.cut = node.cut.max(cut);
                }
                child = sibling;
            }
        }
    }

    /// Where the texts stand, in the order of their ends. Of those that end in one place it is the longest;
    /// others overlap. The last is the beginning of a text that the end breaks off.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut at = 0;
        let mut found = Vec::new();
        for (byte, end) in text.iter().zip(1_usize..) {
            at = self.step(at, *byte);
            if let length @ 1.. = self.node(at).found {
                found.push(end.saturating_sub(index(length))..end);
            }
        }
        let Node { found: whole, cut, .. } = self.node(at);
        if cut > whole {
            found.push(text.len().saturating_sub(index(cut))..text.len());
        }
        found
    }

    /// The node of the longest text that begins a text to find and ends with this byte, after that of a node.
    fn step(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            match self.child(at, byte) {
                0 if at == 0 => return 0,
                0 => at = self.node(at).shorter,
                child => return child,
            }
        }
    }

    fn child(&self, at: u32, byte: u8) -> u32 {
        if at == 0 {
            return self.first.get(usize::from(byte)).copied().unwrap_or_default();
        }
        let mut child = self.node(at).child;
        while child != 0 {
            let node = self.node(child);
            if node.byte == byte {
                break;
            }
            child = node.sibling;
        }
        child
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(index(at)).copied().unwrap_or_default()
    }
}

impl Default for Finder {
    fn default() -> Self {
        Self::new([])
    }
}

/// A number that came from a length.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finder(texts: &[&str], least: usize) -> Finder {
        let wanted: Vec<Wanted> =
            texts.iter().map(|text| Wanted { text: (*text).to_owned(), least }).collect();
        Finder::new(&wanted)
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
            found.extend((0..end).find(ends).map(|start| start..end));
        }
        let breaks = |start: &usize| {
            let rest = &text[*start..];
            rest.len() >= least && texts.iter().any(|wanted| wanted.starts_with(rest))
        };
        found.extend((0..text.len()).find(breaks).map(|start| start..text.len()));
        found.dedup();
        found
    }

    proptest! {
        #[test]
        fn nothing_is_missed_and_nothing_made_up(
            texts in prop::collection::vec("[ab]{0,6}", 0..6),
            text in "[abc]{0,40}",
            least in 1_usize..5,
        ) {
            let wanted: Vec<Wanted> =
                texts.iter().map(|text| Wanted { text: text.clone(), least }).collect();
            let mut found = Finder::new(&wanted).find(text.as_bytes());
            found.dedup();
            prop_assert_eq!(found, naive(&texts, least, &text));
        }
    }
}

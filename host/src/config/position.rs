//! Where something stands in a text, as people count it.
//!
//! Offsets are bytes, lines and columns start at 1, columns count characters. A line ends at LF, CRLF or
//! CR, as in YAML. Every function takes any offset: one past the end, or inside a character, counts as the
//! nearest one before it that is neither.

use std::ops::Range;

/// The lines of a text, found once.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines. A text has at least one, which may be empty.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        let mut starts = vec![0];
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            let next_is_lf = bytes.peek().is_some_and(|(_, next)| *next == b'\n');
            if byte == b'\n' || (byte == b'\r' && !next_is_lf) {
                starts.push(at.saturating_add(1));
            }
        }
        Self { text, starts }
    }

    /// The number of the line that an offset is on.
    #[must_use]
    pub fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset.min(self.text.len())).max(1)
    }

    /// The line that an offset is on, without its end.
    #[must_use]
    pub fn range(&self, offset: usize) -> Range<usize> {
        let number = self.number(offset);
        let start = self.starts.get(number.saturating_sub(1)).copied().unwrap_or_default();
        let next = self.starts.get(number).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..next).unwrap_or_default();
        start..start.saturating_add(line.trim_end_matches(['\n', '\r']).len())
    }

    /// The column of an offset.
    #[must_use]
    pub fn column(&self, offset: usize) -> usize {
        let offset = self.text.floor_char_boundary(offset);
        let before = self.text.get(self.range(offset).start..offset).unwrap_or_default();
        before.chars().count().saturating_add(1)
    }
}

/// A range cut off at the end of its first line.
#[must_use]
pub fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let length = text.get(range.clone()).map_or(0, |part| part.find(['\n', '\r']).unwrap_or(part.len()));
    range.start..range.start.saturating_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_lf_crlf_and_cr() {
        let text = "a\r\nbc\rd\n\ne";
        let lines = Lines::of(text);
        let found: Vec<_> = (0..=text.len()).map(|at| (lines.number(at), &text[lines.range(at)])).collect();
        assert_eq!(found[0], (1, "a"));
        assert_eq!(found[3], (2, "bc"));
        assert_eq!(found[6], (3, "d"));
        assert_eq!(found[8], (4, ""));
        assert_eq!(found[9], (5, "e"));
        assert_eq!(found[10], (5, "e"));
    }

    #[test]
    fn columns_count_characters() {
        let text = "x\nzäh: 1";
        let lines = Lines::of(text);
        assert_eq!(lines.column(text.find('h').unwrap()), 3);
        assert_eq!(lines.column(4), 2, "inside ä counts as ä");
        assert_eq!(lines.column(1_000), 7);
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let lines = Lines::of("");
        assert_eq!((lines.number(0), lines.column(0), lines.range(0)), (1, 1, 0..0));
    }
}

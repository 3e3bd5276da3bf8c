//! The languages that services write text in, each as a table.
//!
//! To add one, write down its marks and what has to be escaped. What a dialect has no mark for is left empty,
//! and only the text is written.

mod services;

pub use services::*;

/// How text is written for a service.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Whether the service reads CommonMark, so that CommonMark can be passed on as it is.
    pub is_commonmark: bool,
    /// What is around strong text.
    pub strong: Mark,
    /// What is around emphasised text.
    pub emphasis: Mark,
    /// What is around struck text.
    pub strike: Mark,
    /// What is around code in a line.
    pub code: Mark,
    /// What is around a block of code.
    pub code_block: CodeBlock,
    /// How a link is written.
    pub link: Link,
    /// How a heading is written.
    pub heading: Heading,
    /// How a field's name is written: as a heading of its own, or else as strong text and a colon.
    pub has_name_headings: bool,
    /// How a quotation is written.
    pub quote: Quote,
    /// What is in front of an item.
    pub bullet: &'static str,
    /// How blocks are told apart.
    pub blocks: Blocks,
    /// How plain text is kept from being markup.
    pub escape: Escape,
    /// What goes between a mark and a letter outside of it, where the service needs a word's edge there.
    pub joint: &'static str,
    /// Whether a mark ends with its line.
    pub is_mark_of_line: bool,
}

/// What opens something, and what closes it.
pub type Mark = (&'static str, &'static str);

/// How a block of code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBlock {
    /// As text.
    Text,
    /// Between lines of backticks, more than there are in it.
    Fence,
    /// Between lines of three backticks; such in it are broken by zero-width spaces.
    Backticks {
        /// Whether the language is named behind the first.
        has_language: bool,
    },
    /// In a tag.
    Tag(Mark),
}

/// How a link is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `text (target)`.
    Text,
    /// `[text](target)`, and `<target>` where the text is the target.
    Brackets,
    /// `[text](target)`, also where the text is the target.
    AlwaysBrackets,
    /// `<target|text>`, and `<target>` where the text is the target.
    Angle,
    /// `<a href="target">text</a>`.
    Tag,
}

/// How a heading is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// As a line of strong text.
    Strong,
    /// Behind so many `#` at most; a lower one is strong text.
    Hashes(u8),
    /// In the tags h1 to h6.
    Tag,
}

/// How a quotation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// With this in front of every line.
    Lines(&'static str),
    /// In a tag, of which there are none inside each other.
    Tag(Mark),
}

/// How blocks are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// By line breaks.
    Lines,
    /// By tags.
    Tags,
}

/// How plain text is kept from being markup.
#[derive(Clone, Copy, Debug)]
pub struct Escape {
    /// Whether `&`, `<`, `>` and `"` are entities.
    pub entities: bool,
    /// What gets a backslash in front, everywhere.
    pub backslashed: Characters,
    /// What gets one where it stands first in a line, as does the dot or bracket behind a number there; a
    /// zero-width space, where no character gets a backslash.
    pub first: Characters,
    /// What is written as `&#NN;`, by its number.
    pub numbered: Characters,
    /// What has no escape, and is broken by a zero-width space behind it.
    pub broken: Characters,
}

/// A set of ASCII characters: a bit for each, in two halves, since WebAssembly shifts no 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Characters {
    lower: u64,
    upper: u64,
}

/// No mark.
pub const NO_MARK: Mark = ("", "");
/// Text that has no markup to be kept from.
pub const NO_ESCAPE: Escape = Escape {
    entities: false,
    backslashed: Characters::NONE,
    first: Characters::NONE,
    numbered: Characters::NONE,
    broken: Characters::NONE,
};

/// A zero-width space.
pub const BREAK: char = '\u{200b}';

/// Whether a link may lead there: nothing but web pages, mail and telephones.
#[must_use]
pub fn is_target(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["http", "https", "mailto", "tel"].contains(&scheme.as_str()))
}

/// A link's target, with what could end it percent-encoded.
pub(super) fn target(target: &str, escape: &Escape) -> String {
    let mut encoded = String::with_capacity(target.len());
    for c in target.chars() {
        match c {
            '&' if escape.entities => encoded.push_str("&amp;"),
            '<' | '>' | '"' | '(' | ')' | '\\' | '|' | '`' => percent(c, &mut encoded),
            c if c.is_whitespace() || c.is_control() => percent(c, &mut encoded),
            c => encoded.push(c),
        }
    }
    encoded
}

fn percent(c: char, encoded: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        encoded.push('%');
        encoded
            .extend([byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit((*digit).into(), 16)));
    }
}

impl Characters {
    /// None.
    pub const NONE: Self = Self { lower: 0, upper: 0 };

    /// Those of a text, of which others than ASCII are left out.
    #[must_use]
    pub const fn of(text: &str) -> Self {
        let (mut set, mut rest) = (Self::NONE, text.as_bytes());
        while let [first, after @ ..] = rest {
            match *first {
                lower @ ..64 => set.lower |= 1 << lower,
                upper @ 64..128 => set.upper |= 1 << (upper - 64),
                128.. => {}
            }
            rest = after;
        }
        set
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self { lower: self.lower | others.lower, upper: self.upper | others.upper }
    }

    /// Whether a character is one of them.
    #[must_use]
    pub const fn contains(self, c: char) -> bool {
        let half = if (c as u32) < 64 { self.lower } else { self.upper };
        c.is_ascii() && half >> (c as u32 % 64) & 1 == 1
    }
}

impl Dialect {
    /// What is in front of a part: which it is, of how many.
    pub(super) fn number(&self, (number, count): (usize, usize)) -> String {
        match self.blocks {
            Blocks::Tags => format!("<p>{number}/{count}</p>"),
            // A list would go on with the paragraph in front of it.
            Blocks::Lines if self.is_commonmark => format!("{number}/{count}\n\n"),
            Blocks::Lines => format!("{number}/{count}\n"),
        }
    }
}

impl Escape {
    /// Writes plain text, without line breaks. `is_first` is whether it stands first in its line,
    /// `is_in_link` whether a URL in it is none of its own.
    pub(super) fn write(&self, text: &str, is_first: bool, is_in_link: bool, out: &mut String) {
        let mut rest = text;
        if is_first {
            rest = self.write_first(text, out);
        }
        let has_urls = self.backslashed != Characters::NONE && !is_in_link;
        while let Some(at) = Some(rest).filter(|_| has_urls).and_then(find_url) {
            let (before, url) = rest.split_at(at);
            let end = url.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>')).unwrap_or(url.len());
            let (url, after) = url.split_at(end);
            self.write_inside(before, out);
            // A backslash would become part of the link. Inside angle brackets nothing has a meaning.
            let mut written = String::new();
            self.write_inside(url, &mut written);
            match written != url {
                true => out.extend(["<", url, ">"]),
                false => out.push_str(url),
            }
            rest = after;
        }
        self.write_inside(rest, out);
    }

    /// Writes what has a meaning at the beginning of a line; the rest of the text.
    fn write_first<'a>(&self, text: &'a str, out: &mut String) -> &'a str {
        if self.first == Characters::NONE {
            return text;
        }
        let mark = if self.backslashed == Characters::NONE { BREAK } else { '\\' };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = text.split_at(digits);
        if digits > 0 && after.starts_with(['.', ')']) && is_space(after.chars().nth(1)) {
            out.push_str(number);
            out.push(mark);
            return after;
        }
        if text.starts_with(|c| self.first.contains(c)) && is_beginning(text) {
            out.push(mark);
        }
        text
    }

    fn write_inside(&self, text: &str, out: &mut String) {
        let entities = if self.entities { ENTITIES } else { Characters::NONE };
        let special = entities.and(self.backslashed).and(self.numbered).and(self.broken);
        if special == Characters::NONE {
            return out.push_str(text);
        }
        let mut before = out.chars().next_back();
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| special.contains(byte.into())) {
            let (plain, after) = rest.split_at(at);
            out.push_str(plain);
            before = plain.chars().next_back().or(before);
            let mut after = after.chars();
            let Some(c) = after.next() else { break };
            rest = after.as_str();
            let next = after.next();
            match c {
                '&' if self.entities => out.push_str("&amp;"),
                '<' if self.entities => out.push_str("&lt;"),
                '>' if self.entities => out.push_str("&gt;"),
                '"' if self.entities => out.push_str("&quot;"),
                c if is_harmless(before, c, next) => out.push(c),
                c if self.backslashed.contains(c) => out.extend(['\\', c]),
                c if self.numbered.contains(c) => out.extend(["&#", &u32::from(c).to_string(), ";"]),
                c => out.extend([c, BREAK]),
            }
            before = Some(c);
        }
        out.push_str(rest);
    }
}

/// Where the first URL begins.
fn find_url(text: &str) -> Option<usize> {
    let begins = |(at, _): (usize, _)| {
        let before = text.get(..at).unwrap_or_default();
        let scheme = ["https", "http"].into_iter().find(|scheme| before.ends_with(scheme))?;
        let is_url = text.get(at..).is_some_and(|after| after.starts_with("://"));
        is_url.then(|| at.saturating_sub(scheme.len()))
    };
    text.match_indices(':').find_map(begins)
}

/// What HTML has entities for.
const ENTITIES: Characters = Characters::of("&<>\"");

fn is_space(c: Option<char>) -> bool {
    c.is_none_or(char::is_whitespace)
}

/// Whether a line begins as an item, a heading, a line under one, or a table does; `-5` and `#42` do not.
fn is_beginning(line: &str) -> bool {
    let mut chars = line.chars();
    let (first, next) = (chars.next(), chars.next());
    let is_line_of = |mark: char| line.chars().all(|c| c == mark || c.is_whitespace());
    match first {
        Some('#') => is_space(line.trim_start_matches('#').chars().next()),
        Some('-') => is_space(next) || next == Some('#') || is_table_rule(line),
        Some('+') => is_space(next),
        Some('=') => is_line_of('='),
        Some(':') => is_table_rule(line),
        _ => true,
    }
}

/// Whether a line is the one under a table's head, or dashes alone.
fn is_table_rule(line: &str) -> bool {
    line.chars().all(|c| matches!(c, '-' | ':' | '|') || c.is_whitespace())
}

/// Whether a character is no mark where it stands, and stays as people wrote it: `snake_case`, `a & b`, `1 < 2`.
fn is_harmless(before: Option<char>, c: char, next: Option<char>) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    match c {
        '_' => is_word(before) && is_word(next),
        // A mention, an emoji: only at the beginning of a word.
        '@' => is_word(before) || is_space(next),
        ':' => is_word(before) || !(is_word(next) || matches!(next, Some('+' | '-' | '_'))),
        '&' => !is_word(next) && next != Some('#'),
        '<' => next.is_some_and(|next| next.is_whitespace() || next.is_ascii_digit() || next == '='),
        _ => false,
    }
}

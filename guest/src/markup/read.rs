//! From text to events.

use super::commonmark::{CodeBlockKind, Event as Parsed, Options, Parser, Tag as Start};
use super::dialect::{self, Characters};
use super::{Event, Tag};
use crate::notification::Field;
use crate::octets;

/// What is nested deeper is flat. No person writes it, and every level costs every line of a quote.
const DEEPEST: usize = 16;

/// How many steps a text may have that is read as CommonMark. No person writes more in the 256 KiB that a notification
/// has, and the time that a call may take is bounded.
const MOST_STEPS: usize = 20_000;

/// Plain text: without control characters, but for line breaks and tabs; nothing where nothing is left.
pub(super) fn plain(text: &str) -> Option<Event> {
    let is_kept = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = match is_printable(text) || text.chars().all(is_kept) {
        true => text.to_owned(),
        false => text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| is_kept(*c)).collect(),
    };
    (!text.is_empty()).then_some(Event::Text(text))
}

/// Whether a text is nothing but printable ASCII, as most are.
fn is_printable(text: &str) -> bool {
    let is_control = |word| octets::has_below(word, b' ') || octets::has(word, 0x7f);
    text.is_ascii() && !octets::any(text.as_bytes(), b' ', is_control)
}

/// Plain text as a block.
pub(super) fn block(tag: Tag, text: &str) -> Vec<Event> {
    let mut events = Vec::with_capacity(3);
    add_block(tag, text, &mut events);
    events
}

fn add_block(tag: Tag, text: &str, events: &mut Vec<Event>) {
    events.push(Event::Open(tag));
    events.extend(plain(text));
    events.push(Event::Close);
}

/// Lines, each plain text.
pub(super) fn lines(items: &[String]) -> Vec<Event> {
    let mut events = Vec::with_capacity(items.len().saturating_mul(3));
    items.iter().for_each(|text| add_block(Tag::Line, text, &mut events));
    events
}

/// Items, each plain text.
pub(super) fn list(items: &[String]) -> Vec<Event> {
    let mut events = Vec::with_capacity(items.len().saturating_mul(3).saturating_add(2));
    events.push(Event::Open(Tag::List(None)));
    for text in items {
        add_block(Tag::Item { number: None, is_continued: false }, text, &mut events);
    }
    events.push(Event::Close);
    events
}

/// Fields, their names and values plain text.
pub(super) fn fields(fields: &[Field]) -> Vec<Event> {
    let mut events = Vec::with_capacity(fields.len().saturating_mul(6));
    for Field { name, value } in fields {
        events.push(Event::Open(Tag::Field));
        add_block(Tag::Name, name, &mut events);
        events.extend(plain(value));
        events.push(Event::Close);
    }
    events
}

/// CommonMark, with GitHub's `~~struck~~`. Raw HTML is text, an image is a link with its description. A text that
/// takes more than [`MOST_STEPS`] is plain text.
pub(super) fn text(source: &str) -> Vec<Event> {
    if is_bare_line(source) {
        return block(Tag::Paragraph, source);
    }
    parsed(source)
}

fn parsed(source: &str) -> Vec<Event> {
    let mut reader =
        Reader { events: Vec::new(), open: Vec::new(), depth: 0, is_in_link: false, numbers: Vec::new() };
    for parsed in Parser::new_ext(source, Options::ENABLE_STRIKETHROUGH) {
        reader.read(parsed);
        if reader.events.len() > MOST_STEPS {
            return block(Tag::Paragraph, source);
        }
    }
    reader.events
}

/// Whether a text is one line without anything that could be markup, as most are: a paragraph without more ado.
pub(super) fn is_bare_line(text: &str) -> bool {
    /// Where any of these stands it can begin something; others do so at the beginning of a line alone.
    const MARKS: Characters = Characters::of("\\`*_[<&~");
    /// Bytes that are neither a mark nor a control character; of what is not ASCII, any. Half the work of comparisons.
    #[expect(
        clippy::indexing_slicing,
        reason = "the compiler does it, and would say that there is no such place"
    )]
    const BARE: [bool; 256] = {
        let (mut bare, mut byte) = ([true; 256], 0_u8);
        while byte < 0x80 {
            bare[byte as usize] = !byte.is_ascii_control() && !MARKS.contains(byte as char);
            byte += 1;
        }
        bare
    };
    text.starts_with(char::is_alphabetic)
        && !text.ends_with(char::is_whitespace)
        && !octets::any(text.as_bytes(), b' ', |word| {
            // All of them: to stop at the first one takes longer.
            let is_bare = |byte: u8| BARE.get(usize::from(byte)) == Some(&true);
            !word.to_le_bytes().into_iter().fold(true, |bare, byte| bare & is_bare(byte))
        })
        && (text.is_ascii() || !text.contains(char::is_control))
}

struct Reader {
    events: Vec<Event>,
    /// What became of each tag that is open.
    open: Vec<Open>,
    /// How many of them became events.
    depth: usize,
    is_in_link: bool,
    /// The next number of each list that is open.
    numbers: Vec<Option<u64>>,
}

#[derive(PartialEq, Eq)]
enum Open {
    Nothing,
    Tag,
    Link,
}

impl Reader {
    fn read(&mut self, parsed: Parsed<'_>) {
        match parsed {
            Parsed::Start(start) => self.start(start),
            Parsed::End(end) => {
                if matches!(end, super::commonmark::TagEnd::List(_)) {
                    self.numbers.pop();
                }
                let open = self.open.pop().unwrap_or(Open::Nothing);
                if open != Open::Nothing {
                    self.depth = self.depth.saturating_sub(1);
                    self.close();
                }
                self.is_in_link &= open != Open::Link;
            }
            Parsed::Text(text) | Parsed::Html(text) | Parsed::InlineHtml(text) => self.text(&text),
            Parsed::Code(text) => {
                self.events.push(Event::Open(Tag::Code));
                self.text(&text);
                self.events.push(Event::Close);
            }
            Parsed::SoftBreak | Parsed::HardBreak => self.text("\n"),
            Parsed::Rule => self.events.extend(block(Tag::Paragraph, "———")),
            // Of extensions that are not on.
            _ => {}
        }
    }

    fn start(&mut self, start: Start<'_>) {
        let tag = match start {
            Start::Paragraph | Start::HtmlBlock => Some(Tag::Paragraph),
            Start::Heading { level, .. } => Some(Tag::Heading(level as u8)),
            Start::BlockQuote(_) => Some(Tag::Quote),
            Start::CodeBlock(kind) => Some(Tag::CodeBlock(match kind {
                CodeBlockKind::Fenced(info) => language(&info),
                CodeBlockKind::Indented => String::new(),
            })),
            Start::List(first) => {
                self.numbers.push(first);
                Some(Tag::List(first))
            }
            Start::Item => {
                let number = self.numbers.last_mut().and_then(|next| {
                    let number = *next;
                    *next = number.map(|number| number.saturating_add(1));
                    number
                });
                Some(Tag::Item { number, is_continued: false })
            }
            Start::Emphasis => Some(Tag::Emphasis),
            Start::Strong => Some(Tag::Strong),
            Start::Strikethrough => Some(Tag::Strike),
            Start::Link { dest_url, .. } | Start::Image { dest_url, .. } => {
                (!self.is_in_link && dialect::is_target(&dest_url)).then(|| Tag::Link(dest_url.into_string()))
            }
            _ => None,
        };
        let tag = tag.filter(|_| self.depth < DEEPEST);
        let open = match &tag {
            None => Open::Nothing,
            Some(Tag::Link(_)) => Open::Link,
            Some(_) => Open::Tag,
        };
        self.depth = self.depth.saturating_add(usize::from(tag.is_some()));
        self.is_in_link |= open == Open::Link;
        self.open.push(open);
        self.events.extend(tag.map(Event::Open));
    }

    /// Closes what is open; a link without a text has its target for one.
    fn close(&mut self) {
        if let Some(Event::Open(Tag::Link(target))) = self.events.last() {
            let target = target.clone();
            self.text(&target);
        }
        self.events.push(Event::Close);
    }

    fn text(&mut self, text: &str) {
        let Some(Event::Text(text)) = plain(text) else { return };
        match self.events.last_mut() {
            Some(Event::Text(before)) => before.push_str(&text),
            _ => self.events.push(Event::Text(text)),
        }
    }
}

/// The first word behind a code fence, where it is the name of a language.
fn language(info: &str) -> String {
    let word = info.split_whitespace().next().unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '#' | '_' | '.');
    if word.len() <= 32 && word.chars().all(is_of_name) { word.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_text_has_no_control_characters(text in "([ -~]|\\p{Cc}|\\PC){0,24}") {
            let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
            let lines = text.replace("\r\n", "\n").replace('\r', "\n");
            let kept: String = lines.chars().filter(is_kept).collect();
            prop_assert_eq!(plain(&text), (!kept.is_empty()).then_some(Event::Text(kept)));
        }

        #[test]
        fn a_bare_line_is_what_the_parser_makes_of_it(source in r#"[a-z1é][a-z0-9 .,:;!?()@#$%^+=|/'"é>{}\]\u{a0}\u{85}-]{0,40}"#) {
            if is_bare_line(&source) {
                prop_assert_eq!(text(&source), parsed(&source));
            }
        }
    }

    #[test]
    fn most_lines_are_bare() {
        for (line, is_bare) in [
            ("The disk /var on host web-1 is 98 % full; it was 91 % an hour ago.", true),
            ("Überlauf: 3 > 2 (siehe #12)", true),
            ("- item", false),
            ("1. item", false),
            ("a **b**", false),
            ("a\nb", false),
            ("a ", false),
            ("a &amp; b", false),
            ("", false),
        ] {
            assert_eq!(is_bare_line(line), is_bare, "{line}");
        }
    }
}

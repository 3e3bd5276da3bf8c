//! What a notification says, and how it is written in the language of each service.
//!
//! A body is read once, into a [`Text`]: running text as CommonMark (<https://spec.commonmark.org/0.31.2/>),
//! items and fields as plain text. A text is written in a [`Dialect`], whole or in parts that keep to a limit.
//!
//! Guarantees: plain text never becomes markup; markup that a dialect lacks is left out and its text stays;
//! raw HTML is text; a link keeps its target, unless that is of a scheme that could do something
//! (`javascript:`); a part of a text is closed in itself, never ends inside a grapheme cluster, an escape, an
//! entity or a tag, and is within its limit as it is written. Line breaks are kept, because people who send
//! text mean them. The time it takes grows with the text's length: one of more marks and blocks than people write is
//! plain text.

use std::slice;

use pulldown_cmark as commonmark;

use crate::notification::{Body, Format, Notification};

mod cut;
pub mod dialect;
mod read;
mod write;

pub use dialect::Dialect;

/// What a notification says, independent of any dialect.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Which part of how many it is, where it is one.
    number: Option<(usize, usize)>,
    /// A title in front.
    head: Vec<Event>,
    events: Vec<Event>,
    /// A link behind.
    tail: Vec<Event>,
    /// The body as it was handed in, where it was CommonMark.
    source: Option<String>,
}

/// A step through a text. Every `Open` has its `Close`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Open(Tag),
    Close,
    /// Without control characters but line breaks and tabs.
    Text(String),
}

/// What a piece of text is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tag {
    Paragraph,
    /// A block without a blank line around it.
    Line,
    Heading(u8),
    Quote,
    /// A list, with its first number where it has numbers.
    List(Option<u64>),
    /// An item, with its number; without a mark where it goes on from the part before.
    Item {
        number: Option<u64>,
        is_continued: bool,
    },
    CodeBlock(String),
    /// A field, which has a name and then its value.
    Field,
    Name,
    Strong,
    Emphasis,
    Strike,
    Code,
    Link(String),
}

impl Text {
    /// What a notification's body says; the title where that is nothing to read, or else the level's name,
    /// for services that refuse an empty message.
    #[must_use]
    pub fn of(notification: &Notification, format: Format) -> Self {
        let body = Self::of_body(&notification.body, format);
        if !body.is_blank() {
            return body;
        }
        let title = Self::plain(&notification.title);
        if title.is_blank() { Self::plain(notification.level.name()) } else { title }
    }

    /// The first line of a notification's title, or else of what its body says, as plain text: for services that
    /// refuse a message without a title.
    #[must_use]
    pub fn title_of(notification: &Notification, format: Format) -> String {
        let title = Self::plain(&notification.title);
        let title = if title.is_blank() { Self::of(notification, format) } else { title };
        let lines = title.write(&dialect::PLAIN);
        lines.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// What a body says. In the plain format, running text is what it is, and nothing in it is read as
    /// markup.
    #[must_use]
    pub fn of_body(body: &Body, format: Format) -> Self {
        let events = match (body, format) {
            (Body::Text(text), Format::Markdown) => {
                return Self { events: read::text(text), source: Some(text.clone()), ..Self::default() };
            }
            (Body::Text(text), Format::Plain) => read::block(Tag::Paragraph, text),
            (Body::Items(items), Format::Markdown) => read::list(items),
            (Body::Items(items), Format::Plain) => read::lines(items),
            (Body::Fields(fields), _) => read::fields(fields),
        };
        Self { events, ..Self::default() }
    }

    /// Whether a text is one line that says the same as CommonMark and as plain text, as most do.
    #[must_use]
    pub fn is_bare_line(text: &str) -> bool {
        read::is_bare_line(text)
    }

    /// Plain text.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { events: read::block(Tag::Paragraph, text), ..Self::default() }
    }

    /// The text with a title in front, in a line of its own, for services that have no place for one; a blank
    /// title is left out, and so is one that says what the text says.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        if let Some(title) = read::plain(title).filter(|title| !is_blank(slice::from_ref(title)))
            && Some(&title) != self.only_text()
        {
            self.head = paragraph(Tag::Strong, title);
        }
        self
    }

    /// The text with a link behind it, for services that have no place for one. A part of the text that is cut
    /// off still has it.
    #[must_use]
    pub fn linked(mut self, link: Option<&str>) -> Self {
        if let Some(link) = link.filter(|link| dialect::is_target(link))
            && let Some(text) = read::plain(link)
        {
            self.tail = paragraph(Tag::Link(link.to_owned()), text);
        }
        self
    }

    /// Whether there is nothing to read in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        is_blank(&self.head) && is_blank(&self.events)
    }

    /// The whole text. CommonMark is passed on as it was handed in.
    #[must_use]
    pub fn write(&self, dialect: &Dialect) -> String {
        let Some(source) = self.source.as_deref().filter(|_| dialect.is_commonmark) else {
            let mut written = self.number.map(|number| dialect.number(number)).unwrap_or_default();
            written.push_str(&write::write(self.steps(), dialect));
            return written;
        };
        if self.head.is_empty() && self.tail.is_empty() {
            return source.to_owned();
        }
        let (head, tail) = (write::write(self.head.iter(), dialect), write::write(self.tail.iter(), dialect));
        let parts = [head.as_str(), source, tail.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    fn steps(&self) -> impl Iterator<Item = &Event> {
        self.head.iter().chain(&self.events).chain(&self.tail)
    }

    /// The text alone, where there is nothing but one paragraph of it.
    fn only_text(&self) -> Option<&Event> {
        match self.events.as_slice() {
            [Event::Open(Tag::Paragraph), text @ Event::Text(_), Event::Close] => Some(text),
            _ => None,
        }
    }
}

/// A paragraph that is one text with a mark around it.
fn paragraph(mark: Tag, text: Event) -> Vec<Event> {
    vec![Event::Open(Tag::Paragraph), Event::Open(mark), text, Event::Close, Event::Close]
}

/// Whether nothing in it can be seen.
fn is_blank(events: &[Event]) -> bool {
    events.iter().all(|event| match event {
        Event::Text(text) => text.chars().all(|c| c.is_whitespace() || is_invisible(c)),
        Event::Open(_) | Event::Close => true,
    })
}

/// The zero-width space and its like, which are no white space for Unicode, and show nothing alone.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests;

//! From events to a dialect.
//!
//! White space at the edges of a mark goes outside of it, because `**so **` is no mark anywhere; a mark
//! without a text is not written, nor a block.

use std::borrow::Cow;

use super::dialect::{Blocks, CodeBlock, Dialect, Escape, Heading, Link, Mark, NO_ESCAPE, Quote, target};
use super::{Event, Tag};

/// How long most texts are, roughly, in bytes: room for it is made once.
const USUAL: usize = 128;

pub(super) fn write<'a>(events: impl Iterator<Item = &'a Event>, dialect: &Dialect) -> String {
    let mut writer = Writer {
        dialect,
        out: String::with_capacity(USUAL),
        open: Vec::with_capacity(4),
        gap: Gap::None,
        space: String::new(),
        shared: 0,
        is_line_open: false,
        has_joint: false,
    };
    let mut events = events.peekable();
    while let Some(event) = events.next() {
        match event {
            Event::Open(tag) => {
                let text = match events.peek() {
                    Some(Event::Text(text)) => text.as_str(),
                    _ => "",
                };
                writer.open(tag, text);
            }
            Event::Text(text) => writer.text(text),
            Event::Close => writer.close(),
        }
    }
    writer.out
}

/// How far the next text is from the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Line,
    Blank,
}

struct Writer<'a> {
    dialect: &'a Dialect,
    out: String,
    open: Vec<Open>,
    /// What has to be between the last text and the next.
    gap: Gap,
    /// White space that is written only if there is more text in its block.
    space: String,
    /// How many of what is open was open when the last text was written.
    shared: usize,
    /// Whether something stands in the present line.
    is_line_open: bool,
    /// Whether the last that was written is the end of a mark.
    has_joint: bool,
}

/// Most of what stands around texts is the same in every text.
type Written = Cow<'static, str>;

/// Something that is open.
struct Open {
    kind: Kind,
    /// What opens it; taken when it is written, with the first text in it.
    start: Option<Written>,
    end: Written,
    /// What stands in front of each further line in it.
    lead: Written,
    gap: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Part of a line.
    Mark,
    Link,
    /// A link whose text is its target.
    Bare,
    /// A line without line breaks.
    Flat,
    /// Code: written as it is.
    Verbatim,
    /// Of lines.
    Block,
    Item,
    Quote,
    /// A field's name.
    Name,
}

impl Writer<'_> {
    fn open(&mut self, tag: &Tag, text: &str) {
        let dialect = self.dialect;
        let is_tagged = dialect.blocks == Blocks::Tags;
        let tags = |mark: Mark| if is_tagged { both(mark) } else { Default::default() };
        let is_nested = self.open.iter().any(|open| matches!(open.kind, Kind::Item));
        let (kind, gap, (start, end)) = match tag {
            Tag::Strong => (Kind::Mark, Gap::None, both(dialect.strong)),
            Tag::Emphasis => (Kind::Mark, Gap::None, both(dialect.emphasis)),
            Tag::Strike => (Kind::Mark, Gap::None, both(dialect.strike)),
            Tag::Code => (Kind::Verbatim, Gap::None, self.code(text)),
            Tag::Link(to) if to == text && self.has_bare_links() => (Kind::Bare, Gap::None, both(("<", ">"))),
            Tag::Link(to) => (Kind::Link, Gap::None, self.link(to, text)),
            Tag::Name => (Kind::Name, Gap::None, self.heading(4, dialect.has_name_headings)),
            Tag::Heading(level) => (Kind::Flat, Gap::Blank, self.heading(*level, true)),
            Tag::CodeBlock(language) => (Kind::Verbatim, Gap::Blank, self.code_block(language, text)),
            Tag::Paragraph if is_nested => (Kind::Block, Gap::Line, tags(("<p>", "</p>"))),
            Tag::Paragraph => (Kind::Block, Gap::Blank, tags(("<p>", "</p>"))),
            Tag::Line | Tag::Field => (Kind::Block, Gap::Line, tags(("<p>", "</p>"))),
            Tag::List(_) if is_nested && !is_tagged => (Kind::Block, Gap::Line, Default::default()),
            Tag::List(None) => (Kind::Block, Gap::Blank, tags(("<ul>", "</ul>"))),
            Tag::List(Some(first)) if is_tagged => {
                (Kind::Block, Gap::Blank, (format!("<ol start=\"{first}\">").into(), "</ol>".into()))
            }
            Tag::List(Some(_)) => (Kind::Block, Gap::Blank, Default::default()),
            Tag::Item { .. } => (Kind::Item, Gap::Line, tags(("<li>", "</li>"))),
            Tag::Quote => (Kind::Quote, Gap::Blank, self.quote()),
        };
        let (mut start, mut lead) = (start, Written::default());
        match tag {
            Tag::Item { number, is_continued } if !is_tagged => {
                let mark: Written = match number {
                    Some(number) => format!("{number}. ").into(),
                    None => dialect.bullet.into(),
                };
                // As wide as the mark, which is hardly ever wider than this.
                let width = mark.chars().count();
                lead = "        ".get(..width).map_or_else(|| " ".repeat(width).into(), Written::from);
                start = if *is_continued { lead.clone() } else { mark };
            }
            Tag::Quote => {
                if let Quote::Lines(mark) = dialect.quote {
                    lead = mark.into();
                }
            }
            _ => {}
        }
        self.request(gap);
        self.open.push(Open { kind, start: Some(start), end, lead, gap });
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.shared = self.shared.min(self.open.len());
        let is_written = open.start.is_none();
        if is_written {
            match open.end.strip_prefix('\n') {
                Some(end) => {
                    self.out.push('\n');
                    self.lead();
                    self.out.push_str(end);
                }
                None => self.out.push_str(&open.end),
            }
            self.has_joint = open.kind == Kind::Mark && !open.end.is_empty();
        }
        match open.kind {
            Kind::Name if is_written && self.dialect.has_name_headings => self.request(Gap::Line),
            Kind::Name if is_written => {
                self.out.push(':');
                self.has_joint = false;
                self.space.push(' ');
            }
            _ => {}
        }
        self.request(open.gap);
    }

    /// Asks for a distance from the last text.
    fn request(&mut self, gap: Gap) {
        if gap > Gap::None {
            self.space.clear();
        }
        if self.is_line_open {
            self.gap = self.gap.max(gap);
        }
    }

    fn text(&mut self, text: &str) {
        match self.open.last().map(|open| open.kind) {
            Some(Kind::Verbatim) => return self.verbatim(text),
            Some(Kind::Bare) => {
                self.begin();
                return self.out.push_str(&target(text, &self.dialect.escape));
            }
            _ => {}
        }
        let is_flat = self.open.iter().any(|open| matches!(open.kind, Kind::Flat | Kind::Name));
        let is_in_link = self.open.iter().any(|open| open.kind == Kind::Link && !open.end.is_empty());
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                self.space.push(if is_flat { ' ' } else { '\n' });
            }
            let core = line.trim();
            if core.is_empty() {
                self.space.push_str(line);
                continue;
            }
            let indent = line.len().saturating_sub(line.trim_start().len());
            self.space.push_str(line.get(..indent).unwrap_or_default());
            let is_first = self.begin();
            if self.has_joint && core.starts_with(char::is_alphanumeric) {
                self.out.push_str(self.dialect.joint);
            }
            self.has_joint = false;
            self.dialect.escape.write(core, is_first, is_in_link, &mut self.out);
            self.space.push_str(line.get(indent.saturating_add(core.len())..).unwrap_or_default());
        }
    }

    /// Code, whose line breaks and blanks stay.
    fn verbatim(&mut self, text: &str) {
        let is_block = self.open.last().is_some_and(|open| open.gap == Gap::Blank);
        let text = if is_block { text.trim_end_matches('\n') } else { text };
        if text.trim().is_empty() {
            return;
        }
        self.begin();
        self.has_joint = false;
        for (n, line) in text.split('\n').enumerate() {
            match (n, is_block) {
                (0, _) => {}
                (_, true) => {
                    self.out.push('\n');
                    self.lead();
                }
                (_, false) => self.out.push(' '),
            }
            self.code_line(line);
        }
    }

    /// A line of code, in which only what would end it has a meaning.
    fn code_line(&mut self, line: &str) {
        let escape = self.dialect.escape;
        let is_marked = !self.dialect.code.0.is_empty();
        let escape = match (escape.entities, is_marked) {
            (_, false) => escape,
            (entities, true) => Escape { entities, ..NO_ESCAPE },
        };
        let line = match self.dialect.code_block {
            CodeBlock::Backticks { .. } => line.replace("```", "`\u{200b}`\u{200b}`"),
            _ => line.to_owned(),
        };
        escape.write(&line, false, true, &mut self.out);
    }

    /// Writes what has to stand in front of the next text; whether that is the first in its line.
    fn begin(&mut self) -> bool {
        let is_tagged = self.dialect.blocks == Blocks::Tags;
        let mut is_first = !self.is_line_open;
        if self.is_line_open && !is_tagged && self.gap > Gap::None {
            self.space.clear();
            if self.gap == Gap::Blank {
                self.out.push('\n');
                let before = self.out.len();
                self.lead_of(self.shared);
                let lead = self.out.get(before..).unwrap_or_default().trim_end().len();
                self.out.truncate(before.saturating_add(lead));
            }
            self.line();
            is_first = true;
        } else if self.is_line_open && self.gap == Gap::None {
            is_first = self.spaces();
        } else {
            self.space.clear();
        }
        self.gap = Gap::None;
        self.starts();
        self.is_line_open = true;
        self.shared = self.open.len();
        is_first
    }

    /// White space inside a block; whether there is a line break in it.
    fn spaces(&mut self) -> bool {
        let mut space = std::mem::take(&mut self.space);
        let Some((_, last)) = space.rsplit_once('\n') else {
            self.out.push_str(&space);
            self.has_joint &= space.is_empty();
            space.clear();
            self.space = space;
            return false;
        };
        let reopened = if self.dialect.is_mark_of_line { self.end_marks() } else { Vec::new() };
        for _ in space.bytes().filter(|byte| *byte == b'\n') {
            match self.dialect.blocks {
                Blocks::Tags => self.out.push_str("<br>"),
                Blocks::Lines => self.line(),
            }
        }
        match self.dialect.is_commonmark {
            // Where it would be the indentation of code.
            true => self.out.extend(last.chars().map(|_| '\u{a0}')),
            false => self.out.push_str(last),
        }
        for mark in reopened {
            self.out.push_str(&mark);
        }
        self.has_joint = false;
        space.clear();
        self.space = space;
        true
    }

    /// Ends all marks that were begun, for a line; what begins them again.
    fn end_marks(&mut self) -> Vec<String> {
        let is_begun = |open: &&Open| open.kind == Kind::Mark && open.start.is_none();
        let ends: String = self.open.iter().filter(is_begun).rev().map(|open| &*open.end).collect();
        self.out.push_str(&ends);
        // Their two sides are the same in every dialect that needs this.
        self.open.iter().filter(is_begun).map(|open| open.end.clone().into_owned()).collect()
    }

    fn line(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
        self.lead();
        self.has_joint = false;
    }

    /// What is in front of a line, of everything that has begun.
    fn lead(&mut self) {
        self.lead_of(self.open.len());
    }

    /// The same, of so much of what is open.
    fn lead_of(&mut self, depth: usize) {
        for open in self.open.iter().take(depth).filter(|open| open.start.is_none()) {
            self.out.push_str(&open.lead);
        }
    }

    /// Writes what opens everything that has not begun yet.
    fn starts(&mut self) {
        let joint = self.dialect.joint;
        for open in &mut self.open {
            let Some(start) = open.start.take() else { continue };
            if open.kind == Kind::Mark && !start.is_empty() && self.out.ends_with(char::is_alphanumeric) {
                self.out.push_str(joint);
            }
            self.out.push_str(&start);
        }
    }

    fn heading(&self, level: u8, has_headings: bool) -> (Written, Written) {
        match self.dialect.heading {
            Heading::Hashes(most) if has_headings && level <= most => {
                let hashes = "###### ".get(6_usize.saturating_sub(level.into())..);
                (hashes.unwrap_or_default().into(), Written::default())
            }
            Heading::Tag if has_headings => (format!("<h{level}>").into(), format!("</h{level}>").into()),
            _ => both(self.dialect.strong),
        }
    }

    fn link(&self, to: &str, text: &str) -> (Written, Written) {
        let is_bare = to.strip_prefix("mailto:").unwrap_or(to) == text;
        let to = target(to, &self.dialect.escape);
        match self.dialect.link {
            Link::Text if is_bare => Default::default(),
            Link::Text => (Written::default(), format!(" ({to})").into()),
            Link::Brackets | Link::AlwaysBrackets => ("[".into(), format!("]({to})").into()),
            Link::Angle => (format!("<{to}|").into(), ">".into()),
            Link::Tag => (format!("<a href=\"{to}\">").into(), "</a>".into()),
        }
    }

    fn has_bare_links(&self) -> bool {
        matches!(self.dialect.link, Link::Brackets | Link::Angle)
    }

    fn quote(&self) -> (Written, Written) {
        let is_nested = self.open.iter().any(|open| open.kind == Kind::Quote);
        match self.dialect.quote {
            Quote::Lines(mark) => (mark.into(), Written::default()),
            Quote::Tag(_) if is_nested && self.dialect.blocks == Blocks::Lines => Default::default(),
            Quote::Tag(mark) => both(mark),
        }
    }

    fn code(&self, text: &str) -> (Written, Written) {
        if self.dialect.code.0 != "`" {
            return both(self.dialect.code);
        }
        // More backticks than there are in it, and blanks where it begins or ends with one.
        let fence = "`".repeat(longest_run(text).saturating_add(1));
        let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
        (format!("{fence}{blank}").into(), format!("{blank}{fence}").into())
    }

    fn code_block(&self, language: &str, text: &str) -> (Written, Written) {
        let lead: String = self.open.iter().map(|open| &*open.lead).collect();
        match self.dialect.code_block {
            CodeBlock::Text => Default::default(),
            CodeBlock::Tag(mark) => both(mark),
            CodeBlock::Backticks { has_language } => {
                let language = if has_language { language } else { "" };
                (format!("```{language}\n{lead}").into(), "\n```".into())
            }
            CodeBlock::Fence => {
                let fence = "`".repeat(longest_run(text).saturating_add(1).max(3));
                (format!("{fence}{language}\n{lead}").into(), format!("\n{fence}").into())
            }
        }
    }
}

fn both(mark: Mark) -> (Written, Written) {
    (mark.0.into(), mark.1.into())
}

/// How many backticks stand together at most.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

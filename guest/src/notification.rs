//! A notification.
//!
//! How its body reads in each text form is [`crate::markup`]'s to say. CommonMark and plain text are those of
//! GoDoxy's `internal/notif` (its `body.go`), so that a message looks the same after a move: `#### name` and
//! `* item` in markdown, `name: value` in plain text.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::color::Color;
use crate::markup::Text;
use crate::markup::dialect::{COMMONMARK, Dialect, PLAIN};
use crate::settings::declare::{Setting, choices, one_of};

/// How serious a notification is, least serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Finer than debugging.
    Trace,
    /// For whoever debugs the caller.
    Debug,
    /// Worth knowing; nothing to do.
    Info,
    /// Something may need a look.
    Warn,
    /// Something failed.
    Error,
    /// The caller cannot go on.
    Fatal,
}

/// One named value of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What the value is of.
    pub name: String,
    /// The value; may have several lines.
    pub value: String,
}

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Running text.
    Text(String),
    /// A list, one entry an item.
    Items(Vec<String>),
    /// Named values, in this order.
    Fields(Vec<Field>),
}

/// What a caller hands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Unique for ever.
    pub id: String,
    /// When it was handed in, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How serious it is.
    pub level: Level,
    /// The first line; may be empty if the body is not.
    pub title: String,
    /// The rest.
    pub body: Body,
    /// A colour of its own.
    pub color: Option<Color>,
    /// Names of targets; empty for all whose filter matches.
    pub to: Vec<String>,
    /// Words that filters select by.
    pub tags: Vec<String>,
    /// A URL that a reader can follow.
    pub link: Option<String>,
    /// What it is about, in the caller's words: a service that keeps alerts open opens one under this name.
    pub key: Option<String>,
    /// Which of them it closes; never set together with `key`.
    pub resolves: Option<String>,
}

choices! {
    /// How a target writes what a notification says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Format {
        /// Running text is read as CommonMark, and everything is written in the service's own dialect.
        Markdown = "markdown",
        /// Everything is plain text: nothing is read as markup, and none is written.
        Plain = "plain",
    }
}

// === impl Level ===

impl Level {
    /// Every level, least serious first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level's name, as configurations and notifications write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// Reads a level's name in any case. `warning`, `critical` and `panic` are taken too, because callers
    /// that log with other libraries say so.
    ///
    /// Returns `None` for everything else.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "warning" => Some(Self::Warn),
            "critical" | "panic" => Some(Self::Fatal),
            _ => Self::ALL.into_iter().find(|level| level.name() == name),
        }
    }

    /// The colour of notifications that have none of their own: GoDoxy's three (`color.go`), and one
    /// between them for warnings.
    #[must_use]
    pub fn color(self) -> Color {
        match self {
            Self::Trace | Self::Debug => Color::GREY,
            Self::Info => Color::BLUE,
            Self::Warn => Color::YELLOW,
            Self::Error | Self::Fatal => Color::RED,
        }
    }
}

impl Setting for Level {
    fn schema() -> Value {
        one_of(&Self::ALL.map(Self::name))
    }

    fn read(value: &Value) -> Option<Self> {
        let name = value.as_str()?;
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

// === impl Body ===

impl Body {
    /// Whether there is nothing to read in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Items(items) => items.is_empty(),
            Self::Fields(fields) => fields.is_empty(),
        }
    }

    /// The body as JSON: a string, an array of strings, or an array of `{name, value}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Items(items) => json!(items),
            Self::Fields(fields) => json!(fields),
        }
    }
}

// === impl Notification ===

impl Notification {
    /// The colour to show: its own, or its level's.
    #[must_use]
    pub fn shown_color(&self) -> Color {
        self.color.unwrap_or_else(|| self.level.color())
    }

    /// What a service that keeps alerts open knows the alert by: the key that opens or closes it, or else the
    /// notification's own id.
    #[must_use]
    pub fn alert(&self) -> &str {
        self.resolves.as_deref().or(self.key.as_deref()).unwrap_or(&self.id)
    }

    /// What it says ([`Text::of`]) in CommonMark or as plain text, for services that take it as it is. The lines
    /// of lists and fields are ended as GoDoxy's are.
    #[must_use]
    pub fn message(&self, format: Format) -> Cow<'_, str> {
        if let (Body::Text(text), Format::Markdown) = (&self.body, format)
            && Text::is_bare_line(text)
        {
            return text.into();
        }
        let mut message = Text::of(self, format).write(format.of(&COMMONMARK));
        let is_in_lines = match &self.body {
            Body::Text(_) => false,
            Body::Items(_) => format == Format::Markdown,
            Body::Fields(_) => true,
        };
        if is_in_lines && !Text::of_body(&self.body, format).is_blank() {
            message.push('\n');
        }
        message.into()
    }
}

// === impl Format ===

impl Format {
    /// The service's dialect, or plain text.
    #[must_use]
    pub fn of(self, dialect: &'static Dialect) -> &'static Dialect {
        match self {
            Self::Markdown => dialect,
            Self::Plain => &PLAIN,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A notification with a title, for the tests of every module.
    pub(crate) fn notification(level: Level, title: &str, body: Body) -> Notification {
        Notification {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            at: 1_700_000_000_000,
            level,
            title: title.into(),
            body,
            color: None,
            to: vec![],
            tags: vec![],
            link: None,
            key: None,
            resolves: None,
        }
    }

    pub(crate) fn fields(pairs: &[(&str, &str)]) -> Body {
        let field = |(name, value): &(&str, &str)| Field { name: (*name).into(), value: (*value).into() };
        Body::Fields(pairs.iter().map(field).collect())
    }

    pub(crate) fn items(items: &[&str]) -> Body {
        Body::Items(items.iter().map(|item| (*item).into()).collect())
    }

    fn said(body: Body, format: Format) -> String {
        notification(Level::Info, "Title", body).message(format).into_owned()
    }

    #[test]
    fn fields_read_as_godoxy_writes_them() {
        let body = fields(&[("Service Name", "web"), ("Detail", "line one\nline two")]);
        assert_eq!(
            said(body.clone(), Format::Markdown),
            "#### Service Name\nweb\n#### Detail\nline one\nline two\n"
        );
        assert_eq!(
            body.to_json().to_string(),
            r#"[{"name":"Service Name","value":"web"},{"name":"Detail","value":"line one\nline two"}]"#
        );
        assert_eq!(said(body, Format::Plain), "Service Name: web\nDetail: line one\nline two\n");
    }

    #[test]
    fn items_read_as_godoxy_writes_them() {
        let body = items(&["a.example", "b.example"]);
        assert_eq!(said(body.clone(), Format::Markdown), "* a.example\n* b.example\n");
        assert_eq!(body.to_json().to_string(), r#"["a.example","b.example"]"#);
        assert_eq!(said(body, Format::Plain), "a.example\nb.example");
    }

    #[test]
    fn text_reads_as_it_is_in_every_form() {
        let body = Body::Text("**bold** & \"quoted\"".into());
        assert_eq!(body.to_json().to_string(), r#""**bold** & \"quoted\"""#);
        assert_eq!(said(body.clone(), Format::Markdown), "**bold** & \"quoted\"");
        assert_eq!(said(body, Format::Plain), "**bold** & \"quoted\"");
    }

    #[test]
    fn a_message_is_the_title_where_the_body_says_nothing() {
        let empty = notification(Level::Info, "Title", Body::Text(String::new()));
        assert_eq!(empty.message(Format::Plain), "Title");
        let full = notification(Level::Info, "Title", items(&["one"]));
        assert_eq!(full.message(Format::Plain), "one");
        let blank = notification(Level::Info, "Title", items(&["", " "]));
        assert_eq!(blank.message(Format::Plain), "Title");
        let silent = notification(Level::Warn, " ", Body::Text("\n".into()));
        assert_eq!(silent.message(Format::Markdown), "warn");
    }

    #[test]
    fn levels_are_read_in_any_case_and_by_their_other_names() {
        for level in Level::ALL {
            assert_eq!(Level::parse(&level.name().to_uppercase()), Some(level));
        }
        assert_eq!(Level::parse("warning"), Some(Level::Warn));
        assert_eq!(Level::parse("panic"), Some(Level::Fatal));
        assert_eq!(Level::parse("loud"), None);
    }
}

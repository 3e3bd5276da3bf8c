//! Templates and conditions: Jinja, by minijinja (<https://docs.rs/minijinja/latest/minijinja/syntax/>).
//!
//! A template writes text from a notification, a [`Condition`] says yes or no of it. Both are read, and tried on
//! samples, where a configuration is, so that what is wrong with them is said there, with its line. Guarantees: a
//! name that does not exist is an error and never nothing; what is filled in is never read as a template; no
//! template runs for more than [`FUEL`] instructions or writes more than [`LONGEST_TEXT`].

use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Enumerator, Object};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value};
use serde_json::json;

use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Body, Field, Format, Level, Notification};

mod filters;
mod level;
mod token;

/// How many instructions a template has for one notification: some ten for each of its entries.
pub const FUEL: u64 = 50_000;

/// How much a template writes for one notification at most, in bytes: as much as a notification has.
pub const LONGEST_TEXT: usize = 256 << 10;

/// What a template or a condition can name.
pub const NAMES: [&str; 13] = [
    "id", "time", "level", "title", "message", "body", "fields", "items", "color", "tags", "link", "key",
    "resolves",
];

/// What templates have in common; it never changes.
static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_fuel(Some(FUEL));
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_keep_trailing_newline(true);
    filters::add_to(&mut engine);
    engine
});

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
}

/// A condition that was read.
#[derive(Debug)]
pub struct Condition {
    source: String,
    expression: Expression<'static, 'static>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do.
    pub fn read(source: &str) -> Result<Self, (String, String)> {
        let template = Self { source: level::in_template(source).map_err(told)? };
        for sample in samples() {
            template.write(&sample, Format::Markdown).map_err(told)?;
        }
        Ok(template)
    }

    /// Whether a text is meant as a template: it has something between braces that are doubled.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        ["{{", "{%"].iter().any(|mark| text.contains(mark))
    }

    /// What it writes for a notification, in at most [`LONGEST_TEXT`] bytes.
    ///
    /// # Errors
    ///
    /// What went wrong with this notification.
    pub fn write(&self, notification: &Notification, format: Format) -> Result<String, Problem> {
        let mut written = Bounded(Vec::new());
        let engine: &Environment<'_> = &ENGINE;
        let template = engine.template_from_str(&self.source).map_err(Problem::from)?;
        let result = template.render_captured_to(context(notification, format), &mut written).map(drop);
        result.map_err(|error| match error.kind() {
            ErrorKind::WriteFailure => Problem { line: None, what: "it writes more than 256 KiB".to_owned() },
            _ => Problem::from(error),
        })?;
        Ok(String::from_utf8_lossy(&written.0).into_owned())
    }
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do.
    pub fn read(source: &str) -> Result<Self, (String, String)> {
        let engine: &'static Environment<'static> = &ENGINE;
        token::check_closed(source).map_err(told)?;
        let expression = level::in_expression(source).map_err(told)?;
        let expression = engine.compile_expression_owned(expression).map_err(Problem::from).map_err(told)?;
        let condition = Self { source: source.trim().to_owned(), expression };
        for sample in samples() {
            condition.holds(&sample).map_err(told)?;
        }
        Ok(condition)
    }

    /// Whether it holds for a notification.
    ///
    /// # Errors
    ///
    /// What went wrong with this notification.
    pub fn holds(&self, notification: &Notification) -> Result<bool, Problem> {
        let value = self.expression.eval(context(notification, Format::Plain)).map_err(Problem::from)?;
        Ok(value.is_true())
    }

    /// The condition as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// What is wrong with a template, or went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In which of its lines, from 1 on, where that is known.
    pub line: Option<usize>,
    /// What it is.
    pub what: String,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let what = match error.kind() {
            ErrorKind::OutOfFuel => "it takes too long".to_owned(),
            kind => match error.detail() {
                Some(detail) => format!("{kind}: {detail}"),
                None => kind.to_string(),
            },
        };
        Self { line: error.line(), what }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "in its line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A problem, and what can be done about most.
fn told(problem: Problem) -> (String, String) {
    let hint = if problem.what.contains("undefined") {
        format!("known names are {}; `x is defined` asks whether there is one", NAMES.join(", "))
    } else if problem.what.contains("unknown filter") || problem.what.contains("filter") {
        format!("known filters are {}", filters::NAMES.join(", "))
    } else {
        "a template is Jinja: `{{ title }}`, `{% if level >= \"warn\" %}…{% endif %}`".to_owned()
    };
    (problem.to_string(), hint)
}

/// What a template sees of a notification.
fn context(notification: &Notification, format: Format) -> Value {
    let fields = match &notification.body {
        Body::Fields(fields) => Fields(fields.clone()),
        _ => Fields(Vec::new()),
    };
    let items = match &notification.body {
        Body::Items(items) => items.as_slice(),
        _ => &[],
    };
    let message = match format {
        Format::Markdown => notification.message(format),
        Format::Plain => Text::of_body(&notification.body, format).write(&PLAIN).into(),
    };
    let rest = Value::from_serialize(json!({
        "id": notification.id,
        "time": crate::timestamp::rfc_3339(notification.at),
        "level": notification.level.name(),
        level::RANK: level::rank(notification.level),
        "title": notification.title,
        "message": message,
        "body": notification.body.to_json(),
        "items": items,
        "color": notification.shown_color().to_string(),
        "tags": notification.tags,
        "link": notification.link,
        "key": notification.key,
        "resolves": notification.resolves,
    }));
    minijinja::context! { fields => Value::from_object(fields), ..rest }
}

/// Fields by name. One that a notification lacks is empty: which there are, differs from one to the next.
#[derive(Debug)]
struct Fields(Vec<Field>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let name = name.as_str()?;
        let field = self.0.iter().rfind(|field| field.name == name);
        Some(field.map(|field| field.value.as_str()).unwrap_or_default().into())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|field| field.name.as_str().into()).collect())
    }
}

/// What templates are tried on: a notification of each kind.
fn samples() -> [Notification; 3] {
    let field = Field { name: "Sample".into(), value: "1".into() };
    [Body::Text("text".into()), Body::Items(vec!["item".into()]), Body::Fields(vec![field])].map(sample)
}

/// A notification that nobody handed in.
pub(crate) fn sample(body: Body) -> Notification {
    Notification {
        id: "sample".into(),
        at: 0,
        level: Level::Warn,
        title: "Sample".into(),
        body,
        color: None,
        to: vec![],
        tags: vec!["sample".into()],
        link: Some("https://sample.invalid/".into()),
        key: None,
        resolves: None,
    }
}

/// What was written, while that is not too much.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > LONGEST_TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

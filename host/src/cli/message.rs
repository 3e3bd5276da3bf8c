//! The flags that describe a notification, the same for `send` and `explain`.

use std::io::Read;

use nuncio::contract::{Diagnostic, Notification};
use nuncio::notification::LARGEST_NOTIFICATION;
use serde_json::{Map, Value, json};

use super::Failure;

#[derive(clap::Args)]
pub(super) struct Message {
    /// How serious it is: trace, debug, info, warn, error or fatal
    #[arg(short, long, default_value = "info")]
    level: String,
    /// The first line
    #[arg(short, long)]
    title: Option<String>,
    /// Send to this target, whatever its filter says; repeatable [default: all whose filter matches]
    #[arg(long, value_name = "NAME")]
    to: Vec<String>,
    /// A tag that filters can select by; repeatable
    #[arg(long)]
    tag: Vec<String>,
    /// default, red, green, blue, yellow, purple, #rrggbb or an integer [default: the level's]
    #[arg(long)]
    color: Option<String>,
    /// An http or https URL to open
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// What it is about: opens an alert under this key where a service keeps alerts open
    #[arg(long, value_name = "KEY", conflicts_with = "resolves")]
    key: Option<String>,
    /// Closes the alert that was opened under this key
    #[arg(long, value_name = "KEY")]
    resolves: Option<String>,
    /// A named value of the body; repeatable
    #[arg(long, value_name = "NAME=VALUE", conflicts_with_all = ["item", "body"])]
    field: Vec<String>,
    /// A line of the body's list; repeatable
    #[arg(long, value_name = "TEXT", conflicts_with = "body")]
    item: Vec<String>,
    /// The text; `-` reads it from standard input
    body: Option<String>,
}

impl Message {
    /// The notification, read by the brain as every other.
    pub(super) fn read<E: Into<Failure>>(
        self,
        read: impl FnOnce(&str) -> Result<Result<Notification, Vec<Diagnostic>>, E>,
    ) -> Result<Notification, Failure> {
        let json = self.into_json()?.to_string();
        read(&json).map_err(Into::into)?.map_err(|problems| Failure::Usage(describe(&problems)))
    }

    fn into_json(self) -> Result<Value, Failure> {
        let mut members = Map::new();
        members.insert("level".to_owned(), json!(self.level));
        for (name, value) in [
            ("title", self.title),
            ("color", self.color),
            ("link", self.link),
            ("key", self.key),
            ("resolves", self.resolves),
        ] {
            members.insert(name.to_owned(), json!(value));
        }
        members.insert("to".to_owned(), json!(self.to));
        members.insert("tags".to_owned(), json!(self.tag));
        let body = if !self.field.is_empty() {
            self.field.iter().map(|field| read_field(field)).collect::<Result<Value, Failure>>()?
        } else if !self.item.is_empty() {
            json!(self.item)
        } else if self.body.as_deref() == Some("-") {
            json!(read_input()?)
        } else {
            json!(self.body)
        };
        members.insert("body".to_owned(), body);
        Ok(Value::Object(members))
    }
}

fn read_field(field: &str) -> Result<Value, Failure> {
    match field.split_once('=') {
        Some((name, value)) => Ok(json!({ "name": name, "value": value })),
        None => {
            Err(Failure::Usage(format!("`--field {field}` has no `=`\n  help: write `--field NAME=VALUE`")))
        }
    }
}

/// Standard input, without the line break at its end.
fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let most = LARGEST_NOTIFICATION as u64;
    let read = std::io::stdin().take(most + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(Failure::Usage(format!("cannot read standard input: {error}"))),
        Ok(size) if size as u64 > most => {
            Err(Failure::Usage(format!("standard input has more than {most} bytes, which is the most")))
        }
        Ok(_) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// The problems as the flags that they are about.
fn describe(problems: &[Diagnostic]) -> String {
    let line = |problem: &Diagnostic| {
        let member = problem.path.split('/').nth(1).unwrap_or_default();
        let flag = match member {
            "" => String::new(),
            "tags" => "--tag: ".to_owned(),
            "body" => "the body: ".to_owned(),
            member => format!("--{member}: "),
        };
        let help =
            if problem.hint.is_empty() { String::new() } else { format!("\n  help: {}", problem.hint) };
        format!("{flag}{}{help}", problem.problem)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\nerror: ")
}

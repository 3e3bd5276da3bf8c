//! The `queue` section: where the queue is kept, how much it holds, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

use super::document::{Document, Node, Value};
use super::findings::Findings;
use super::report::{Problem, Report};
use super::scalar::Scalar;
use super::substitute::Substitution;
use super::vault::Vault;
use super::{pointer, spelling};
use crate::contract::Level;
use crate::environment::Environment;
use crate::store::Limits;

/// How many attempts may be under way in all where the configuration says nothing.
const DEFAULT_CONCURRENCY: usize = 256;

/// The word for a queue that is gone with the process.
const MEMORY: &str = "memory";

const KEYS: [&str; 7] =
    ["path", "max_messages", "max_bytes", "reserve_for", "keep", "keep_dead", "concurrency"];

/// Where the queue is and what it may hold. What is `None` is the store's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Where it is kept; a relative path is from the folder of the configuration on.
    pub place: Option<QueuePlace>,
    /// How many attempts may be under way in all; each target may have one in any case. At least 1.
    pub concurrency: usize,
    max_messages: Option<u64>,
    max_bytes: Option<u64>,
    reserve_for: Option<Level>,
    keep: Option<u64>,
    keep_dead: Option<u64>,
}

/// Where a queue is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// In memory: what it holds is gone with the process.
    Memory,
    /// In a file.
    File(PathBuf),
}

impl QueuePlace {
    /// What a text means: a file's path, or `memory`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == MEMORY { Self::Memory } else { Self::File(text.into()) }
    }

    /// The same, where a relative path is one from this folder on.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Memory => Self::Memory,
        }
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            place: None,
            concurrency: DEFAULT_CONCURRENCY,
            max_messages: None,
            max_bytes: None,
            reserve_for: None,
            keep: None,
            keep_dead: None,
        }
    }
}

impl QueueConfig {
    /// What a store keeps to that by itself has these limits.
    #[must_use]
    pub fn limits(&self, default: Limits) -> Limits {
        Limits {
            max_messages: self.max_messages.unwrap_or(default.max_messages),
            max_bytes: self.max_bytes.unwrap_or(default.max_bytes),
            reserve_for: self.reserve_for.unwrap_or(default.reserve_for),
            keep: self.keep.unwrap_or(default.keep),
            keep_dead: self.keep_dead.unwrap_or(default.keep_dead),
        }
    }

    /// Reads this section of a configuration and nothing else of it, for those who want to know where the
    /// queue is and have none of the secrets.
    ///
    /// # Errors
    ///
    /// What is wrong with the section, or with the file as YAML.
    pub fn of_file(source: &str, text: &str, environment: &dyn Environment) -> Result<Self, Report> {
        let mut root = match Document::parse(text) {
            Ok(document) => document.root,
            // Nothing of a text without a tree is shown: nobody can tell what in it is secret.
            Err(problem) => {
                let everything = std::iter::once(0..text.len()).collect();
                return Err(Report::new(source, text, vec![problem], everything));
            }
        };
        let Value::Map(entries) = &mut root.value else { return Ok(Self::default()) };
        let Some(queue) = entries.iter_mut().find(|entry| entry.key == "queue") else {
            return Ok(Self::default());
        };
        let mut findings = Findings::new(text);
        let mut vault = Vault::new(source, environment);
        let mut at = "/queue".to_owned();
        Substitution::new(&mut vault, text).run(&mut queue.value, false, &mut at, &mut findings);
        let config = Self::read(&queue.value, &mut findings);
        findings.into_report(source).map_or(Ok(config), Err)
    }

    /// Reads the section `/queue`. What is wrong with it is noted, and stays as if nothing were said.
    #[must_use]
    pub fn read(queue: &Node, findings: &mut Findings<'_>) -> Self {
        let mut config = Self::default();
        if !queue.is_null() && !matches!(queue.value, Value::Map(_)) {
            findings.refuse(queue, "/queue", "`queue` must be a mapping", "write `path: …` below it");
        }
        for entry in queue.entries() {
            let mut at = "/queue".to_owned();
            pointer::push(&mut at, &entry.key);
            if findings.covers(&at) || entry.value.is_null() {
                continue;
            }
            let scalar = entry.value.scalar();
            let problem = match entry.key.as_str() {
                "path" => take(&mut config.place, scalar, place, "write a file's path, or `memory`"),
                "max_messages" => take(&mut config.max_messages, scalar, count, "write a number from 1 on"),
                "max_bytes" => {
                    let hint = "write a size of at least 1 MiB, such as 512MiB or 1GiB";
                    take(&mut config.max_bytes, scalar, size, hint)
                }
                "reserve_for" => {
                    let hint = "write a level: trace, debug, info, warn, error or fatal";
                    take(&mut config.reserve_for, scalar, |scalar| Level::parse(&scalar.text), hint)
                }
                "keep" => take(&mut config.keep, scalar, duration, LENGTH_OF_TIME),
                "keep_dead" => take(&mut config.keep_dead, scalar, duration, LENGTH_OF_TIME),
                "concurrency" => {
                    let mut concurrency = None;
                    let hint = "write a number from 1 to 10000";
                    let problem = take(&mut concurrency, scalar, parallel, hint);
                    config.concurrency = concurrency.unwrap_or(config.concurrency);
                    problem
                }
                key => {
                    let (problem, hint) = (format!("unknown key `{key}`"), spelling::hint(key, &KEYS));
                    findings.add(&at, Problem::at(entry.key_span.clone(), problem, hint));
                    continue;
                }
            };
            if let Some(hint) = problem {
                findings.refuse(&entry.value, &at, format!("this is no value for `{}`", entry.key), hint);
            }
        }
        config
    }
}

const LENGTH_OF_TIME: &str = "write a length of time up to 10 years, such as 24h or 30d";

/// Sets what a scalar means, or returns what to write instead.
fn take<T>(
    setting: &mut Option<T>,
    scalar: Option<&Scalar>,
    parse: impl FnOnce(&Scalar) -> Option<T>,
    hint: &'static str,
) -> Option<&'static str> {
    *setting = scalar.and_then(parse);
    if setting.is_none() { Some(hint) } else { None }
}

fn place(scalar: &Scalar) -> Option<QueuePlace> {
    (!scalar.text.is_empty()).then(|| QueuePlace::parse(&scalar.text))
}

fn count(scalar: &Scalar) -> Option<u64> {
    scalar.to_json().as_u64().filter(|count| *count > 0)
}

fn parallel(scalar: &Scalar) -> Option<usize> {
    count(scalar).and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= 10_000)
}

fn size(scalar: &Scalar) -> Option<u64> {
    const LEAST: u64 = 1 << 20;
    scalar.text.parse::<ByteSize>().ok().map(|size| size.as_u64()).filter(|size| *size >= LEAST)
}

/// In milliseconds.
fn duration(scalar: &Scalar) -> Option<u64> {
    const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    let duration = humantime::parse_duration(&scalar.text).ok().filter(|duration| *duration <= LONGEST)?;
    u64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(queue: &str) -> Result<QueueConfig, Report> {
        let environment = HashMap::from([("DIR".to_owned(), "/var/lib".to_owned())]);
        QueueConfig::of_file("f", &format!("queue: {queue}\ntargets: [\"${{UNSET}}\"]\n"), &environment)
    }

    #[test]
    fn what_is_said_goes_over_what_the_store_says() {
        let text = "{path: '${DIR}/q.db', max_messages: 5, max_bytes: 1GiB, reserve_for: fatal, keep: 0s, \
             keep_dead: 90d, concurrency: 8}";
        let config = read(text).unwrap();
        let place = QueuePlace::File("/var/lib/q.db".into());
        assert_eq!((config.place.clone(), config.concurrency), (Some(place), 8));
        let limits = config.limits(Limits::default());
        assert_eq!((limits.max_messages, limits.max_bytes, limits.keep), (5, 1 << 30, 0));
        assert_eq!((limits.reserve_for, limits.keep_dead), (Level::Fatal, 90 * 24 * 60 * 60 * 1_000));
        assert_eq!(read("{path: memory}").unwrap().place, Some(QueuePlace::Memory));
        for nothing in ["", "{}", "{path: }"] {
            assert_eq!(read(nothing).unwrap(), QueueConfig::default());
            assert_eq!(read(nothing).unwrap().limits(Limits::default()), Limits::default());
        }
    }

    #[test]
    fn what_is_wrong_is_one_problem_with_what_to_write() {
        for (queue, words) in [
            ("memory", "must be a mapping"),
            ("{paht: x}", "did you mean `path`"),
            ("{path: ''}", "or `memory`"),
            ("{path: [x]}", "or `memory`"),
            ("{max_messages: 0}", "from 1 on"),
            ("{max_messages: many}", "from 1 on"),
            ("{max_bytes: 1023}", "at least 1 MiB"),
            ("{max_bytes: big}", "at least 1 MiB"),
            ("{reserve_for: loud}", "write a level"),
            ("{keep: 24}", "length of time"),
            ("{keep_dead: -1s}", "length of time"),
            ("{keep_dead: 100y}", "length of time"),
            ("{concurrency: 0}", "from 1 to 10000"),
            ("{path: '${UNSET}'}", "UNSET"),
        ] {
            let report = read(queue).unwrap_err();
            assert_eq!(report.problems().len(), 1, "{report}");
            assert!(report.to_string().contains(words), "{queue}: {report}");
        }
    }

    #[test]
    fn a_file_without_the_section_says_nothing() {
        let environment = HashMap::new();
        assert_eq!(QueueConfig::of_file("f", "", &environment).unwrap(), QueueConfig::default());
        let report = QueueConfig::of_file("f", "token: canary: x", &environment).unwrap_err();
        assert!(!report.to_string().contains("canary"), "{report}");
    }
}

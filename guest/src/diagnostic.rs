//! What is wrong with a configuration or a notification, and where.

use std::fmt;

/// Which part of a mapping's entry a diagnostic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The entry's name.
    Key,
    /// The entry's value.
    Value,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A JSON pointer (RFC 6901).
    pub path: String,
    /// Which part of what is there.
    pub place: Place,
    /// What is wrong. Holds no value from a setting that may be a secret.
    pub problem: String,
    /// What to do about it; empty where the problem says it all.
    pub hint: String,
}

/// A place in a JSON text, written as a JSON pointer.
#[derive(Clone, Debug, Default)]
pub struct Pointer(String);

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Pointer {
    /// The place of an entry or item inside this one.
    #[must_use]
    pub fn at(&self, step: impl fmt::Display) -> Self {
        let step = step.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{step}", self.0))
    }
}

impl Diagnostics {
    /// Adds a problem with a value.
    pub fn value(&mut self, at: &Pointer, problem: impl Into<String>, hint: impl Into<String>) {
        self.add(at, Place::Value, problem.into(), hint.into());
    }

    /// Adds a problem with an entry's name.
    pub fn key(&mut self, at: &Pointer, problem: impl Into<String>, hint: impl Into<String>) {
        self.add(at, Place::Key, problem.into(), hint.into());
    }

    /// Forgets what is about these members of a mapping, and, where there are any, about the mapping itself.
    pub fn leave_out(&mut self, at: &Pointer, members: &[String]) {
        let left_out: Vec<String> = members.iter().map(|member| at.at(member).0).collect();
        let is_inside = |path: &str, place: &String| {
            path.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.retain(|found| {
            left_out.is_empty()
                || (found.path != at.0 && !left_out.iter().any(|place| is_inside(&found.path, place)))
        });
    }

    /// Adds what was found elsewhere.
    pub fn append(&mut self, mut found: Self) {
        self.0.append(&mut found.0);
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much was found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What was found, in the order in which it was found.
    #[must_use]
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    fn add(&mut self, at: &Pointer, place: Place, problem: String, hint: String) {
        self.0.push(Diagnostic { path: at.0.clone(), place, problem, hint });
    }
}

/// A name that is longer is compared with none, in bytes.
const LONGEST_SLIP: usize = 64;

/// The name among `known` that somebody who wrote `name` most likely meant; `None` where none is near.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Comparing takes the product of the lengths, and nobody slips in a name that long.
    if name.len() > LONGEST_SLIP {
        return None;
    }
    let name = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    let distances = known.iter().map(|other| (distance(other), *other));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, other)| other)
}

/// `did you mean X?`, or the known names where none is near.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut all = Vec::new();
    known.into_iter().for_each(|known| all.push(known));
    nearest_or_all(name, &all)
}

/// One code for every way to say what is known.
fn nearest_or_all(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("known are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_its_steps() {
        let pointer = Pointer::default().at("headers").at("a/b~c").at(0);
        assert_eq!(pointer.0, "/headers/a~1b~0c/0");
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        let known = ["token", "topic", "url"];
        assert_eq!(nearest("tokne", &known), Some("token"));
        assert_eq!(nearest("URL", &known), Some("url"));
        assert_eq!(nearest("password", &known), None);
        assert_eq!(did_you_mean("password", known), "known are: token, topic, url");
    }
}

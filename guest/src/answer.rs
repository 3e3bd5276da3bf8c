//! What a reply means whose body has the last word.
//!
//! Many services answer 200 to what they refuse, and say so in JSON. A provider describes where it is said and
//! which of its words mean what; a word that is not listed means that trying again will not help.

use serde_json::Value;

use crate::outcome::{Class, Reply};

/// How a service's JSON says whether it took something.
pub(crate) struct Answer {
    /// Where it says so: a JSON pointer.
    pub at: &'static str,
    /// What is there if it did, as JSON.
    pub success: &'static str,
    /// Where it says why not: a JSON pointer to a text or a number.
    pub reason: &'static str,
    /// What some of its reasons mean.
    pub meanings: &'static [(&'static str, Class)],
}

impl Answer {
    /// What a reply means; `None` where it is what its status means.
    ///
    /// A success that is no such JSON comes from something in between, or was cut off on its way: it is
    /// [`Class::Ambiguous`].
    pub(crate) fn classify(&self, reply: &Reply) -> Option<Class> {
        let is_success = (200..300).contains(&reply.status);
        let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
            return is_success.then_some(Class::Ambiguous);
        };
        let said = body.pointer(self.at).map(ToString::to_string);
        if is_success && said.as_deref() == Some(self.success) {
            return Some(Class::Delivered);
        }
        let reason = match body.pointer(self.reason) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let known = self.meanings.iter().find(|(word, _)| *word == reason).map(|(_, class)| *class);
        match (known, said) {
            (Some(class), _) => Some(class),
            (None, Some(_)) if is_success => Some(Class::Permanent),
            (None, None) if is_success => Some(Class::Ambiguous),
            (None, _) => None,
        }
    }
}

/// What a success means whose body has only to hold something at a JSON pointer, such as an id: without that,
/// [`Class::Ambiguous`]; else `None`.
pub(crate) fn accepted(reply: &Reply, at: &str) -> Option<Class> {
    let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let has_it = body.as_ref().and_then(|body| body.pointer(at)).is_some_and(|value| !value.is_null());
    ((200..300).contains(&reply.status) && !has_it).then_some(Class::Ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer = Answer {
        at: "/code",
        success: "0",
        reason: "/code",
        meanings: &[("11", Class::Throttled), ("12", Class::Credentials)],
    };

    #[test]
    fn the_body_has_the_last_word() {
        for (status, body, class) in [
            (200, r#"{"code": 0}"#, Some(Class::Delivered)),
            (200, r#"{"code": "0"}"#, Some(Class::Permanent)),
            (200, r#"{"code": 11}"#, Some(Class::Throttled)),
            (200, r#"{"code": 9}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (200, "{}", Some(Class::Ambiguous)),
            (400, r#"{"code": 12}"#, Some(Class::Credentials)),
            (500, r#"{"code": 0}"#, None),
            (400, r#"{"code": 9}"#, None),
            (502, "<html>", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(ANSWER.classify(&reply), class, "{status} {body}");
        }
    }
}

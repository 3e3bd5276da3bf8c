//! JSON pointers (RFC 6901) into a tree.
//!
//! It decides which part of the text to show for a place in the configuration: the shortest that names it.

use std::ops::Range;

use super::document::{Node, Value};
use super::position::first_line;
use crate::contract::Place;

/// Appends a step to a pointer; taken back by `truncate` to the length that is returned.
pub fn push(pointer: &mut String, step: &str) -> usize {
    let length = pointer.len();
    pointer.push('/');
    for character in step.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
    length
}

/// Where the thing that a pointer names stands in the text.
///
/// What is missing stands where the nearest thing around it does. A value that is not all on its key's line
/// stands at its key, or where it has none at its first line. Returns `None` for the whole document.
#[must_use]
pub fn locate(root: &Node, text: &str, pointer: &str, place: Place) -> Option<Range<usize>> {
    let mut node = root;
    let mut key: Option<&Range<usize>> = None;
    let mut is_there = true;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = match &node.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == step)
                .map(|entry| (Some(&entry.key_span), &entry.value)),
            Value::List(items) => {
                step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (None, item))
            }
            Value::Scalar(_) => None,
        };
        let Some(next) = next else {
            is_there = false;
            break;
        };
        (key, node) = next;
    }
    if std::ptr::eq(node, root) {
        return None;
    }
    let first = first_line(text, node.span.clone());
    let is_container = !matches!(node.value, Value::Scalar(_));
    let is_long = first != node.span || (!is_there && is_container) || matches!(place, Place::Key);
    let is_below =
        |key: &Range<usize>| text.get(key.end..first.start).is_some_and(|gap| gap.contains(['\n', '\r']));
    Some(key.filter(|key| is_long || is_below(key)).cloned().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    const TEXT: &str = "
targets:
  - name: ä
    filter: {levels: [a, b]}
    a/b~c: 1
    payload: |
      text
retry:
  interval: 1s
";

    fn at(pointer: &str, place: Place) -> Option<&'static str> {
        let root = Document::parse(TEXT).unwrap().root;
        locate(&root, TEXT, pointer, place).map(|span| &TEXT[span])
    }

    #[test]
    fn a_pointer_finds_the_value_or_the_key() {
        assert_eq!(at("/targets/0/name", Place::Value), Some("ä"));
        assert_eq!(at("/targets/0/name", Place::Key), Some("name"));
        assert_eq!(at("/targets/0/a~1b~0c", Place::Value), Some("1"));
        assert_eq!(at("/targets/0/filter/levels/1", Place::Value), Some("b"));
        assert_eq!(at("/targets/0/filter/levels/1", Place::Key), Some("b"));
        assert_eq!(at("/targets/0/filter", Place::Value), Some("{levels: [a, b]}"));
    }

    #[test]
    fn several_lines_stand_at_their_key_or_first_line() {
        assert_eq!(at("/retry", Place::Value), Some("retry"));
        assert_eq!(at("/targets/0/payload", Place::Value), Some("payload"));
        assert_eq!(at("/targets/0", Place::Value), Some("name: ä"));
    }

    #[test]
    fn what_is_missing_stands_at_the_nearest_thing_around_it() {
        assert_eq!(at("/targets/0/token", Place::Value), Some("name: ä"));
        assert_eq!(at("/targets/0/filter/tags/3", Place::Key), Some("filter"));
        assert_eq!(at("/targets/7/name", Place::Value), Some("targets"));
        assert_eq!(at("/nothing", Place::Key), None);
        assert_eq!(at("", Place::Value), None);
        assert_eq!(at("no pointer", Place::Value), None);
    }

    #[test]
    fn steps_are_escaped() {
        let mut pointer = "/a".to_owned();
        let length = push(&mut pointer, "b/~");
        assert_eq!(pointer, "/a/b~1~0");
        pointer.truncate(length);
        assert_eq!(pointer, "/a");
    }
}

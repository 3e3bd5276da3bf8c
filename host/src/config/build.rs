//! From the YAML parser's events to a tree.
//!
//! It decides what aliases and merge keys stand for, how much they may repeat, and where each node is: the
//! parser counts characters, ends a block where the next one starts, and puts a missing value at whatever
//! follows it. Everything else about the tree is in [`super::document`].

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Marker, ScalarStyle, Span, Tag};

use super::document::{DEEPEST, Document, Entry, HEAVIEST, LONGEST_KEY, Node, Value};
use super::position::{Lines, first_line};
use super::report::Problem;
use super::scalar::Scalar;

/// The tree, while events come in.
pub struct Builder<'t> {
    text: &'t str,
    lines: Lines<'t>,
    /// The byte offset of each character, for a text that is not ASCII: the parser counts characters.
    offsets: Option<Vec<usize>>,
    /// The lists and mappings that are open.
    open: Vec<Open>,
    /// What can be referred to.
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    weight: usize,
    /// Where the last thing read ended.
    end: usize,
    problems: Vec<Problem>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, usize>, merges: Vec<Node>, key: Option<Key> },
}

/// A key whose value has not come yet.
struct Key {
    text: String,
    span: Range<usize>,
    is_merge: bool,
}

impl<'t> Builder<'t> {
    /// A tree of nothing yet, for this text.
    pub fn new(text: &'t str) -> Self {
        let bom = text.strip_prefix('\u{feff}').map_or(0, |rest| text.len().saturating_sub(rest.len()));
        let offsets = (!text.is_ascii())
            .then(|| text.char_indices().map(|(at, _)| at).filter(|at| *at >= bom).collect());
        Self {
            text,
            lines: Lines::of(text),
            offsets,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            weight: 0,
            end: bom,
            problems: Vec::new(),
        }
    }

    /// The byte that a parser's marker means.
    #[must_use]
    pub fn offset(&self, marker: &Marker) -> usize {
        let byte = match &self.offsets {
            Some(offsets) => offsets.get(marker.index()).copied().unwrap_or(self.text.len()),
            None => marker.index(),
        };
        byte.min(self.text.len())
    }

    /// The bytes of a parser's span, without the white space at its end.
    fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(&span.start);
        let text = self.text.get(start..self.offset(&span.end)).unwrap_or_default();
        start..start.saturating_add(text.trim_end().len())
    }

    /// The bytes of a quoted scalar. The parser's span also takes in a comment after it.
    fn quoted(&self, span: Span, quote: char) -> Range<usize> {
        let whole = self.range(span);
        let text = self.text.get(whole.clone()).unwrap_or_default();
        let mut characters =
            text.char_indices().skip_while(|(_, character)| *character != quote).skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            if character == '\\' && quote == '"' {
                characters.next();
            } else if character == quote {
                // In single quotes, two stand for one.
                if quote == '"' || characters.next_if(|(_, next)| *next == quote).is_none() {
                    return whole.start..whole.start.saturating_add(at).saturating_add(1);
                }
            }
        }
        whole
    }

    /// Takes the next event.
    ///
    /// # Errors
    ///
    /// As [`Document::parse`], but for what the parser finds.
    pub fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents < 2 {
                    return Ok(());
                }
                let hint = "keep one document in a file: remove the `---`, or what follows it";
                Err(Problem::at(
                    first_line(self.text, self.range(span)),
                    "a second document starts here",
                    hint,
                ))
            }
            Event::Alias(anchor) => self.alias(anchor, self.range(span)),
            Event::Scalar(text, style, anchor, tag) => {
                let bare = anchor == 0 && tag.is_none() && style == ScalarStyle::Plain && text.is_empty();
                let range = match style {
                    _ if bare => self.nothing(span),
                    ScalarStyle::SingleQuoted => self.quoted(span, '\''),
                    ScalarStyle::DoubleQuoted => self.quoted(span, '"'),
                    _ => self.range(span),
                };
                let plain = match self.core_tag(tag.as_deref(), &range) {
                    None => style == ScalarStyle::Plain,
                    Some(suffix) => matches!(suffix, "null" | "bool" | "int" | "float"),
                };
                let scalar = Scalar { text: text.into_owned(), plain, secret: false };
                self.charge(weight(&scalar.text), &range)?;
                let node = Node { span: range.clone(), value: Value::Scalar(scalar) };
                self.remember(anchor, &node)?;
                self.add(node, range)
            }
            Event::SequenceStart(anchor, tag) => {
                self.core_tag(tag.as_deref(), &self.range(span));
                self.start(anchor, span, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.core_tag(tag.as_deref(), &self.range(span));
                let (entries, seen, merges) = (Vec::new(), HashMap::new(), Vec::new());
                self.start(anchor, span, Content::Map { entries, seen, merges, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                // A block ends where its last part does; only brackets have an end of their own.
                let bracket = self.range(span);
                if matches!(self.text.get(bracket.clone()), Some("]" | "}")) {
                    self.end = self.end.max(bracket.end);
                }
                let value = match open.content {
                    Content::List(items) => Value::List(items),
                    Content::Map { entries, seen, merges, .. } => Value::Map(merged(entries, seen, merges)),
                };
                let node = Node { span: open.start..self.end.max(open.start), value };
                self.remember(open.anchor, &node)?;
                let span = node.span.clone();
                self.add(node, span)
            }
        }
    }

    fn start(&mut self, anchor: usize, span: Span, content: Content) -> Result<(), Problem> {
        let span = self.range(span);
        self.charge(1, &span)?;
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            let hint = "put quotes around text that starts with `{` or `[`; a key is a single word or text";
            return Err(Problem::at(
                first_line(self.text, span),
                "a key cannot be a list or a mapping",
                hint,
            ));
        }
        self.check_depth(self.open.len().saturating_add(1), &span)?;
        self.end = self.end.max(span.end);
        self.open.push(Open { start: span.start, anchor, content });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            let hint = "an alias can only repeat what is complete before it";
            return Err(Problem::at(span, "this alias stands inside of what it refers to", hint));
        };
        let (weight, height) = node.measure();
        self.charge(weight, &span)?;
        self.check_depth(self.open.len().saturating_add(height), &span)?;
        let Some(node) = self.anchors.get(&anchor).cloned() else { return Ok(()) };
        self.add(node, span)
    }

    /// Puts a complete node where it belongs; `place` is where it was found, which for an alias is not
    /// where it was defined.
    fn add(&mut self, node: Node, place: Range<usize>) -> Result<(), Problem> {
        self.end = self.end.max(place.end);
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, merges, key, seen } => match key.take() {
                None => {
                    let Value::Scalar(scalar) = node.value else {
                        let hint = "a key is a single word or text";
                        return Err(Problem::at(place, "a key cannot be a list or a mapping", hint));
                    };
                    if scalar.text.len() > LONGEST_KEY {
                        let place = first_line(self.text, place);
                        return Err(Problem::at(place, "this key is longer than 1024 bytes", ""));
                    }
                    let is_merge = scalar.plain && scalar.text == "<<";
                    *key = Some(Key { text: scalar.text, span: place, is_merge });
                }
                Some(key) if key.is_merge => match node.value {
                    Value::Map(_) => merges.push(node),
                    Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
                        merges.extend(items);
                    }
                    _ => self.problems.push(Problem::at(
                        key.span,
                        "`<<` merges mappings, and this is none",
                        "write `<<: *name`, with `&name` before a mapping, or put quotes around \"<<\"",
                    )),
                },
                Some(key) => {
                    let first = *seen.entry(key.text.clone()).or_insert(key.span.start);
                    if first != key.span.start {
                        let line = self.lines.number(first);
                        let problem = format!("`{}` was already given on line {line}", key.text);
                        self.problems.push(Problem::at(key.span.clone(), problem, "keep one of the two"));
                    }
                    entries.push(Entry { key: key.text, key_span: key.span, value: node });
                }
            },
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), Problem> {
        if anchor > 0 {
            self.charge(node.measure().0, &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    /// Where a value stands that is not there: at its key, its dash, or the end of what came before.
    fn nothing(&self, span: Span) -> Range<usize> {
        match self.open.last().map(|open| &open.content) {
            Some(Content::Map { key: Some(key), .. }) => key.span.clone(),
            _ => {
                let gap = self.text.get(self.end..self.offset(&span.start)).unwrap_or_default();
                gap.find('-').map_or(self.end..self.end, |dash| {
                    let dash = self.end.saturating_add(dash);
                    dash..dash.saturating_add(1)
                })
            }
        }
    }

    /// The part of a core schema's tag after `!!`; notes a problem where it is another's.
    fn core_tag<'g>(&mut self, tag: Option<&'g Tag>, span: &Range<usize>) -> Option<&'g str> {
        let tag = tag?;
        let core = ["null", "bool", "int", "float", "str", "seq", "map"];
        if tag.handle == "!" && tag.suffix.is_empty() || tag.handle.is_empty() && tag.suffix == "!" {
            return Some("str");
        }
        if !tag.is_yaml_core_schema() || !core.contains(&tag.suffix.as_str()) {
            let hint = "remove it, or put quotes around text that starts with `!`";
            let span = first_line(self.text, span.clone());
            self.problems.push(Problem::at(span, "this YAML tag is not known here", hint));
        }
        Some(&tag.suffix)
    }

    fn charge(&mut self, weight: usize, span: &Range<usize>) -> Result<(), Problem> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > HEAVIEST {
            let hint = "aliases repeat everything that they refer to; use fewer of them";
            let problem = format!("the file holds more than {HEAVIEST} values, counting what aliases repeat");
            return Err(Problem::at(first_line(self.text, span.clone()), problem, hint));
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize, span: &Range<usize>) -> Result<(), Problem> {
        if depth > DEEPEST {
            let problem = format!("lists and mappings are nested deeper than {DEEPEST} levels here");
            return Err(Problem::at(first_line(self.text, span.clone()), problem, "use fewer levels"));
        }
        Ok(())
    }

    /// The tree.
    ///
    /// # Errors
    ///
    /// The text is no mapping.
    pub fn finish(self) -> Result<Document, Problem> {
        let empty = Node { span: self.end..self.end, value: Value::Map(Vec::new()) };
        let root = match self.root {
            Some(root) if !root.is_null() => root,
            _ => empty,
        };
        // A list is one of targets, as a plain list of notification URLs is.
        let root = match root.value {
            Value::List(_) => {
                let (key_span, span) = (root.span.start..root.span.start, root.span.clone());
                let entry = Entry { key: "targets".to_owned(), key_span, value: root };
                Node { span, value: Value::Map(vec![entry]) }
            }
            _ => root,
        };
        if !matches!(root.value, Value::Map(_)) {
            let hint = "start with a key, such as `targets:`";
            let span = first_line(self.text, root.span);
            return Err(Problem::at(span, "the file must be a mapping of keys to values", hint));
        }
        Ok(Document { root, problems: self.problems })
    }
}

/// The entries with those of the merged mappings that they do not override; an earlier one wins.
fn merged(mut entries: Vec<Entry>, mut seen: HashMap<String, usize>, merges: Vec<Node>) -> Vec<Entry> {
    for node in merges {
        let Value::Map(merge) = node.value else { continue };
        for entry in merge {
            if !seen.contains_key(&entry.key) {
                seen.insert(entry.key.clone(), entry.key_span.start);
                entries.push(entry);
            }
        }
    }
    entries
}

/// What a key or a scalar counts towards [`HEAVIEST`].
#[must_use]
pub fn weight(text: &str) -> usize {
    text.len().saturating_div(64).saturating_add(1)
}

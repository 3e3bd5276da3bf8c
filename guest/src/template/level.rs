//! Levels in comparisons: `level >= "warn"` is meant by how serious they are, not by the alphabet.
//!
//! Where a level's name is compared with `level`, both give way to numbers of the same width, so that what else
//! is wrong is reported where it stands.

use crate::diagnostic::did_you_mean;
use crate::notification::Level;

use super::Problem;
use super::token::{Kind, Token, tokens};

/// What stands for `level` in a comparison; as wide.
pub(super) const RANK: &str = "_rank";

/// How serious a level is, from 0 on.
pub(super) fn rank(level: Level) -> usize {
    Level::ALL.iter().position(|other| *other == level).unwrap_or_default()
}

/// An expression in which comparisons with `level` are between numbers.
pub(super) fn in_expression(source: &str) -> Result<String, Problem> {
    let mut written = source.to_owned();
    replace(source, 0, source, &mut written)?;
    Ok(written)
}

/// A template in whose expressions they are.
pub(super) fn in_template(source: &str) -> Result<String, Problem> {
    let mut written = source.to_owned();
    let mut from = 0;
    while let Some((start, end)) = next_expression(source, from) {
        replace(source, start, source.get(start..end).unwrap_or_default(), &mut written)?;
        from = end;
    }
    Ok(written)
}

/// Where the next expression or statement of a template begins and ends, without its braces.
fn next_expression(source: &str, from: usize) -> Option<(usize, usize)> {
    let rest = source.get(from..)?;
    let (at, close) = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
        .into_iter()
        .filter_map(|(open, close)| Some((rest.find(open)?, close)))
        .min_by_key(|(at, _)| *at)?;
    let start = from.saturating_add(at).saturating_add(2);
    let end = source.get(start..)?.find(close).map_or(source.len(), |at| start.saturating_add(at));
    // What is in a comment compares nothing.
    if close == "#}" { next_expression(source, end) } else { Some((start, end)) }
}

/// Replaces the comparisons in a part of a text, which begins at `start`.
fn replace(whole: &str, start: usize, part: &str, written: &mut String) -> Result<(), Problem> {
    let tokens = tokens(part);
    for (n, three) in tokens.windows(3).enumerate() {
        let [first, comparison, last] = three else { continue };
        let is_member =
            n.checked_sub(1).and_then(|before| tokens.get(before)).is_some_and(|before| before.text == ".");
        if comparison.kind != Kind::Comparison || is_member {
            continue;
        }
        let is_level = |token: &Token<'_>| token.kind == Kind::Name && token.text == "level";
        let (name, text) = match (is_level(first), is_level(last)) {
            (true, false) if last.kind == Kind::Text => (first, last),
            (false, true) if first.kind == Kind::Text => (last, first),
            _ => continue,
        };
        let quoted = text.text.get(1..text.text.len().saturating_sub(1)).unwrap_or_default();
        let Some(level) = Level::parse(quoted) else {
            let before = whole.get(..start.saturating_add(text.at)).unwrap_or_default();
            let hint = did_you_mean(quoted, Level::ALL.map(Level::name));
            let line = Some(before.matches('\n').count().saturating_add(1));
            return Err(Problem { line, what: format!("no level is called `{quoted}`; {hint}") });
        };
        let number = format!("{:<width$}", rank(level), width = text.text.len());
        for (token, new) in [(name, RANK), (text, number.as_str())] {
            let at = start.saturating_add(token.at);
            written.replace_range(at..at.saturating_add(token.text.len()), new);
        }
    }
    Ok(())
}

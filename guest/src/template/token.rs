//! The pieces of an expression, as far as Nuncio must know them before minijinja reads it.

use super::Problem;

/// What a piece of an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Text,
    Comparison,
    Other,
}

/// A piece of an expression.
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Before which byte of the expression.
    pub(super) at: usize,
}

/// Refuses an expression that closes what it does not open: `}}` would end it, and behind that the lexer of
/// minijinja 2.24 panics.
pub(super) fn check_closed(source: &str) -> Result<(), Problem> {
    let mut open = 0_usize;
    for token in tokens(source) {
        match token.text {
            "(" | "[" | "{" => open = open.saturating_add(1),
            ")" | "]" | "}" => {
                let line = source.get(..token.at).unwrap_or_default().matches('\n').count().saturating_add(1);
                let what = || format!("nothing opens its `{}`", token.text);
                open = open.checked_sub(1).ok_or_else(|| Problem { line: Some(line), what: what() })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The words, texts and signs of an expression. Names and texts in ASCII quotes are whole; white space is none.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            '"' | '\'' => (Kind::Text, quoted(rest, first)),
            '<' | '>' | '=' | '!' => {
                let length = if rest.get(1..2) == Some("=") { 2 } else { 1 };
                let is_comparison = !matches!(rest.get(..length), Some("=" | "!"));
                (if is_comparison { Kind::Comparison } else { Kind::Other }, length)
            }
            c if c.is_alphanumeric() || c == '_' => {
                (Kind::Name, rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()))
            }
            c => (Kind::Other, c.len_utf8()),
        };
        let (text, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(Token { kind, text, at: source.len().saturating_sub(rest.len()) });
        }
        rest = after;
    }
    tokens
}

/// How long a quoted text is, quotes and all.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

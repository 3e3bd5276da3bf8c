//! Everything that is wrong with a text, as people and programs read it.
//!
//! A report shows each problem with the line that it is on, as `rustc` does. It shows no more of the text
//! than that line, none of it where a secret stands, and no control character.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

use super::position::Lines;
use super::vault::Files;
use crate::secrets::MASK;

/// How much of a long line is shown before and after the start of what is underlined, in bytes. Some ten
/// times what a terminal has room for.
const SHOWN: usize = 1_024;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the text that it is about; `None` where it is about the whole file.
    pub span: Option<Range<usize>>,
    /// What is wrong, in one line.
    pub problem: String,
    /// What to do about it, in one line or more; empty where the problem says it all.
    pub hint: String,
}

impl Problem {
    /// A problem with a part of the text.
    pub fn at(span: Range<usize>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { span: Some(span), problem: problem.into(), hint: hint.into() }
    }

    /// A problem with the whole file.
    pub fn general(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { span: None, problem: problem.into(), hint: hint.into() }
    }
}

/// A problem, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The line that it starts on, from 1; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// The column that it starts in, from 1, in characters; `None` where it is about the whole file.
    pub column: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it; empty where the problem says it all.
    pub hint: String,
}

/// Everything that is wrong with a text.
///
/// Its `Display` is plain text. Trying the same text again does not help.
pub struct Report {
    source: String,
    text: String,
    problems: Vec<Problem>,
    masked: Vec<Range<usize>>,
    files: Files,
}

impl Report {
    /// A report on a text that came from `source`, such as a path. No part of `masked` is ever shown.
    ///
    /// Problems are sorted by position, and equal ones told once. A span that does not fit to the text is
    /// cut down to what does.
    #[must_use]
    pub fn new(source: &str, text: &str, mut problems: Vec<Problem>, masked: Vec<Range<usize>>) -> Self {
        for span in problems.iter_mut().filter_map(|problem| problem.span.as_mut()) {
            let end = text.floor_char_boundary(span.end.max(span.start));
            *span = text.floor_char_boundary(span.start)..end;
        }
        let key = |p: &Problem| (p.span.as_ref().map(|span| (span.start, span.end)), p.problem.clone());
        problems.sort_by_cached_key(key);
        problems.dedup();
        Self {
            source: source.to_owned(),
            text: text.to_owned(),
            problems,
            masked: union(masked),
            files: Files::default(),
        }
    }

    /// The same, where these files were read too.
    #[must_use]
    pub(super) fn of_files(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// The files that were read beside the text, or would have been if they had been there.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Where the text came from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The problems, those with the whole file first, then by position.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems with their lines and columns, in the same order.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let lines = Lines::of(&self.text);
        let line = |Problem { span, problem, hint }: &Problem| Line {
            line: span.as_ref().map(|span| lines.number(span.start)),
            column: span.as_ref().map(|span| lines.column(span.start)),
            problem: problem.clone(),
            hint: hint.clone(),
        };
        self.problems.iter().map(line).collect()
    }

    /// The report with ANSI colours.
    #[must_use]
    pub fn colored(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let lines = Lines::of(&self.text);
        let shown: Vec<String> =
            self.problems.iter().map(|problem| self.one(problem, &lines, renderer)).collect();
        shown.join("\n\n")
    }

    fn one(&self, problem: &Problem, lines: &Lines<'_>, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&problem.problem));
        let mut group = Group::with_title(title);
        let mut columns = None;
        if let Some(span) = &problem.span {
            let number = lines.number(span.start);
            let (line, underlined) = self.shown(lines.range(span.start), span);
            let place = |column: usize| format!("{}:{number}:{column}", self.source);
            columns =
                Some((place(Lines::of(&line).column(underlined.start)), place(lines.column(span.start))));
            let annotation = AnnotationKind::Primary.span(underlined);
            group = group.element(
                Snippet::source(line).line_start(number).path(self.source.clone()).annotation(annotation),
            );
        } else {
            group = group.element(Origin::path(self.source.clone()));
        }
        if !problem.hint.is_empty() {
            let hint: Vec<String> = problem.hint.lines().map(normalize_untrusted_str).collect();
            group = group.element(Level::HELP.message(hint.join("\n")));
        }
        let shown = renderer.render(&[group]);
        // The renderer counts columns in the line that it is given; an editor counts them in the file.
        match columns {
            Some((masked, real)) if masked != real => shown.replacen(&masked, &real, 1),
            _ => shown,
        }
    }

    /// A line with every masked part replaced, and what is to be underlined in it: where the span starts or
    /// ends inside a mask, it takes in the whole mask. Of a long line it is the part around the span.
    fn shown(&self, whole: Range<usize>, span: &Range<usize>) -> (String, Range<usize>) {
        let near = span.start.clamp(whole.start, whole.end);
        let start = self.text.floor_char_boundary(near.saturating_sub(SHOWN)).max(whole.start);
        let end = self.text.floor_char_boundary(near.saturating_add(SHOWN)).min(whole.end);
        let line = start..end;
        let first = self.masked.partition_point(|mask| mask.end <= line.start);
        let masks =
            self.masked.get(first..).unwrap_or_default().iter().take_while(|mask| mask.start < line.end);
        let masks: Vec<_> = masks.map(|mask| mask.start.max(line.start)..mask.end.min(line.end)).collect();

        let mut shown = String::new();
        let mut at = line.start;
        for mask in &masks {
            shown.push_str(self.text.get(at..mask.start).unwrap_or_default());
            shown.push_str(MASK);
            at = mask.end;
        }
        shown.push_str(self.text.get(at..line.end).unwrap_or_default());

        let moved = |offset: usize, inside: usize| {
            let offset = offset.clamp(line.start, line.end);
            let (mut moved, mut at) = (0_usize, line.start);
            for mask in masks.iter().take_while(|mask| mask.start < offset) {
                moved = moved.saturating_add(mask.start.saturating_sub(at));
                if offset < mask.end {
                    return moved.saturating_add(inside);
                }
                moved = moved.saturating_add(MASK.len());
                at = mask.end;
            }
            moved.saturating_add(offset.saturating_sub(at))
        };
        (shown, moved(span.start, 0)..moved(span.end, MASK.len()))
    }
}

/// The same ranges, sorted, none touching another.
fn union(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut union: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match union.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => union.push(range),
        }
    }
    union
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("source", &self.source)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\ntoken: tk_ä_canary  # x\nlast: {k: tk_2, l: 3}\n";

    fn at(what: &str) -> Range<usize> {
        let start = TEXT.find(what).unwrap();
        start..start + what.len()
    }

    fn report(problems: Vec<Problem>) -> Report {
        Report::new("nuncio.yaml", TEXT, problems, vec![at("tk_2"), at("tk_ä_canary"), at("canary")])
    }

    #[test]
    fn a_problem_is_shown_with_its_line_and_hint() {
        let shown = report(vec![Problem::at(at("1"), "no", "try\nthis")]).to_string();
        assert_eq!(
            shown,
            "\
error: no
 --> nuncio.yaml:1:4
  |
1 | a: 1
  |    ^
  |
  = help: try
          this"
        );
    }

    #[test]
    fn masked_text_is_not_shown_and_what_follows_it_is_underlined() {
        let shown = report(vec![
            Problem::at(at("l: 3"), "after", ""),
            Problem::at(at("tk_ä_canary"), "inside", ""),
            Problem::at(at("# x"), "comment", ""),
            Problem::at(at("{k: tk_2, l: 3}"), "around", ""),
        ])
        .to_string();
        assert!(!shown.contains("canary") && !shown.contains("tk_"), "{shown}");
        for lines in [
            " --> nuncio.yaml:2:8\n  |\n2 | token: ***  # x\n  |        ^^^\n",
            " --> nuncio.yaml:2:21\n  |\n2 | token: ***  # x\n  |             ^^^\n",
            "3 | last: {k: ***, l: 3}\n  |       ^^^^^^^^^^^^^^\n",
            "3 | last: {k: ***, l: 3}\n  |                ^^^^\n",
        ] {
            assert!(format!("{shown}\n").contains(lines), "{lines}\nis not in\n{shown}");
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_on_each() {
        let text = "a: |\n  one\n  two\n";
        for (offset, line) in [(3, "1 | a: ***"), (7, "2 | ***"), (13, "3 | ***")] {
            let problem = Problem::at(offset..offset + 1, "p", "");
            let shown = Report::new("f", text, vec![problem], vec![3..16, 0..0]).to_string();
            assert!(shown.contains(line) && !shown.contains("one"), "{shown}");
        }
    }

    #[test]
    fn problems_are_sorted_and_told_once() {
        let problem = |at: &str| Problem::at(super::tests::at(at), at, "");
        let general = Problem::general("file", "");
        let report = report(vec![problem("last"), problem("a"), general.clone(), problem("last")]);
        let order: Vec<_> = report.problems().iter().map(|problem| problem.problem.as_str()).collect();
        assert_eq!(order, ["file", "a", "last"]);
        assert_eq!(
            report.lines()[2],
            Line { line: Some(3), column: Some(1), problem: "last".into(), hint: "".into() }
        );
        assert_eq!(report.lines()[0].line, None);
        assert!(report.to_string().starts_with("error: file\n--> nuncio.yaml\n"), "{report}");
    }

    #[test]
    fn control_characters_are_not_passed_on_and_bad_spans_are_cut() {
        let spans = [(2, 3), (5, 1), (8, 9_999), (9_999, 10_000)].map(|(start, end)| start..end);
        let problems = spans.map(|span| Problem::at(span, "p\u{1b}[31m", "h\u{1b}[31m")).to_vec();
        let report = Report::new("f", "ä: \u{1b}[31m\tö", problems, Vec::new());
        assert!(!report.to_string().contains('\u{1b}'), "{report}");
        assert!(report.colored().contains("\u{1b}["));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_span_is_shown() {
        let text = format!("{}canary {{here}} canary{}\n", "ä ".repeat(50_000), " z".repeat(50_000));
        let start = text.find("{here}").unwrap();
        let masks = text.match_indices("canary").map(|(at, found)| at..at + found.len()).collect();
        let report = Report::new("f", &text, vec![Problem::at(start..start + 6, "p", "")], masks);
        let shown = report.to_string();
        assert!(shown.contains(" --> f:1:100008\n") && shown.contains("*** {here} ***"), "{shown}");
        assert!(shown.contains("^^^^^^\n") || shown.ends_with("^^^^^^"), "{shown}");
        assert!(shown.len() < 1_000 && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert!(!format!("{:?}", report(vec![Problem::general("p", "")])).contains("canary"));
    }
}

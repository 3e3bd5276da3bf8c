//! Tests of whole texts: from what is handed in to what is written.

use proptest::prelude::*;

use super::dialect::*;
use super::*;
use crate::limit::{Limit, MOST_PARTS, Overflow, Unit};
use crate::notification::Level;
use crate::notification::tests::{fields, items, notification};

const DIALECTS: &[&Dialect] = &[
    &PLAIN,
    &PLAIN_IN_HTML,
    &COMMONMARK,
    &DATADOG,
    &DATADOG_PLAIN,
    &DISCORD,
    &SLACK,
    &TELEGRAM,
    &PUSHOVER,
    &TEAMS,
    &MATTERMOST,
    &ROCKETCHAT,
    &GOOGLECHAT,
    &WEBEX,
    &ZULIP,
    &HTML,
    &TALK,
    &SYNOLOGY,
    &LARK,
    &DINGTALK,
    &WECOM,
    &UNTAGGED,
];

fn markdown(text: &str) -> Text {
    Text::of_body(&Body::Text(text.into()), Format::Markdown)
}

/// CommonMark as a dialect writes it, CommonMark itself not as it was handed in but written anew.
fn written(text: &str, dialect: &Dialect) -> String {
    Text { source: None, ..markdown(text) }.write(dialect)
}

#[test]
fn each_dialect_has_its_marks() {
    let text = "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>";
    for (dialect, expected) in [
        (&PLAIN, "strong both gone a*b name (https://x.example/?a=1&b=2) https://y.example"),
        (&PLAIN_IN_HTML, "strong both gone a*b name (https://x.example/?a=1&b=2) https://y.example"),
        (
            &COMMONMARK,
            "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>",
        ),
        (&DATADOG, "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>"),
        (&DATADOG_PLAIN, "strong both gone a*b name (https://x.example/?a=1&b=2) https://y.example"),
        (&DISCORD, "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>"),
        (&SLACK, "*strong _both_ ~gone~* `a*b` <https://x.example/?a=1&amp;b=2|name> <https://y.example>"),
        (
            &TEAMS,
            "**strong _both_ gone** a\\*b [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (
            &MATTERMOST,
            "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>",
        ),
        (
            &ROCKETCHAT,
            "*strong _both_ ~gone~* `a*b` [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (&GOOGLECHAT, "*strong _both_ ~gone~* `a*b` <https://x.example/?a=1&b=2|name> <https://y.example>"),
        (&WEBEX, "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>"),
        (
            &ZULIP,
            "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (
            &TELEGRAM,
            "<b>strong <i>both</i> <s>gone</s></b> <code>a*b</code> <a href=\"https://x.example/?a=1&amp;b=2\">name</a> <a href=\"https://y.example\">https://y.example</a>",
        ),
        (
            &PUSHOVER,
            "<b>strong <i>both</i> gone</b> a*b <a href=\"https://x.example/?a=1&amp;b=2\">name</a> <a href=\"https://y.example\">https://y.example</a>",
        ),
        (&TALK, "**strong *both* ~~gone~~** `a*b` [name](https://x.example/?a=1&b=2) <https://y.example>"),
        (&SYNOLOGY, "strong both gone a*b <https://x.example/?a=1&b=2|name> <https://y.example>"),
        (
            &HTML,
            "<p><strong>strong <em>both</em> <del>gone</del></strong> <code>a*b</code> <a href=\"https://x.example/?a=1&amp;b=2\">name</a> <a href=\"https://y.example\">https://y.example</a></p>",
        ),
        (
            &LARK,
            "**strong *both* ~~gone~~** a&#42;b [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (
            &DINGTALK,
            "**strong *both* gone** a*\u{200b}b [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (
            &WECOM,
            "**strong both gone** `a*b` [name](https://x.example/?a=1&b=2) [https://y.example](https://y.example)",
        ),
        (&UNTAGGED, "strong both gone a*b name (https://x.example/?a=1&b=2) https://y.example"),
    ] {
        assert_eq!(written(text, dialect), expected);
    }
}

#[test]
fn each_dialect_has_its_blocks() {
    let text = "# Head\n\nline one\nline two\n\n> quoted\n> > twice\n\n* a\n  1. b\n  2. c\n* d\n\n```rust\nlet x = 1 < 2;\n\n```\n\n---\n";
    for (dialect, expected) in [
        (
            &PLAIN,
            "Head\n\nline one\nline two\n\n> quoted\n>\n> > twice\n\n- a\n  1. b\n  2. c\n- d\n\nlet x = 1 < 2;\n\n———",
        ),
        (
            &COMMONMARK,
            "# Head\n\nline one\nline two\n\n> quoted\n>\n> > twice\n\n* a\n  1. b\n  2. c\n* d\n\n```rust\nlet x = 1 < 2;\n```\n\n———",
        ),
        (
            &SLACK,
            "*Head*\n\nline one\nline two\n\n> quoted\n>\n> > twice\n\n• a\n  1. b\n  2. c\n• d\n\n```\nlet x = 1 &lt; 2;\n```\n\n———",
        ),
        (
            &TELEGRAM,
            "<b>Head</b>\n\nline one\nline two\n\n<blockquote>quoted\n\ntwice</blockquote>\n\n• a\n  1. b\n  2. c\n• d\n\n<pre>let x = 1 &lt; 2;</pre>\n\n———",
        ),
        (
            &HTML,
            "<h1>Head</h1><p>line one<br>line two</p><blockquote><p>quoted</p><blockquote><p>twice</p></blockquote></blockquote><ul><li>a<ol start=\"1\"><li>b</li><li>c</li></ol></li><li>d</li></ul><pre><code>let x = 1 &lt; 2;</code></pre><p>———</p>",
        ),
    ] {
        assert_eq!(written(text, dialect), expected);
    }
    assert_eq!(written("###### Low", &DISCORD), "**Low**");
    assert_eq!(written("a ``` b", &DISCORD), r"a \`\`\` b");
}

#[test]
fn raw_html_is_text_and_links_that_could_do_something_are_text() {
    let text = "<b>x</b> [a](javascript:alert(1)) [b](data:text/html,x) ![c](https://x.example/y.png) [](https://z.example)";
    assert_eq!(
        written(text, &TELEGRAM),
        "&lt;b&gt;x&lt;/b&gt; a b <a href=\"https://x.example/y.png\">c</a> <a href=\"https://z.example\">https://z.example</a>"
    );
    assert_eq!(
        written("<div onclick=x>\nhi\n</div>", &HTML),
        "<p>&lt;div onclick=x&gt;<br>hi<br>&lt;/div&gt;</p>"
    );
    assert_eq!(
        written("[![alt](https://i.example/i.png)](https://l.example)", &TELEGRAM),
        "<a href=\"https://l.example\">alt</a>"
    );
    assert_eq!(
        written("[x](<https://a.example/ \"(b>)", &TELEGRAM),
        "<a href=\"https://a.example/%20%22%28b\">x</a>"
    );
}

#[test]
fn what_is_no_mark_where_it_stands_stays_as_it_is() {
    let text = "snake_case a & b 1 < 2 https://x.example/a_b\n-5 °C\n#42\n1.5\n:x: a | b\n+1";
    assert_eq!(Text::plain(text).write(&COMMONMARK), text);
    let marks = "# a\n- b\n+ c\n1. d\n2) e\n---\n===\n> f\n:-- | --\n&amp; <g> https://x.example/*";
    assert_eq!(
        Text::plain(marks).write(&COMMONMARK),
        "\\# a\n\\- b\n\\+ c\n1\\. d\n2\\) e\n\\---\n\\===\n\\> f\n\\:-- | --\n\\&amp; \\<g> <https://x.example/*>"
    );
}

#[test]
fn what_could_mention_somebody_or_be_an_emoji_is_broken() {
    let text = "@all u@x.example @ 5 :x: 10:30 a: b :+1: ::1";
    assert_eq!(
        Text::plain(text).write(&MATTERMOST),
        "@\u{200b}all u@x.example @ 5 :\u{200b}x: 10:30 a: b :\u{200b}+1: ::\u{200b}1"
    );
}

#[test]
fn an_indented_line_is_no_code() {
    let text = Text::plain("a\n\n    b\n\tc");
    assert_eq!(text.write(&COMMONMARK), "a\n\n\u{a0}\u{a0}\u{a0}\u{a0}b\n\u{a0}c");
    assert_eq!(text.write(&DISCORD), "a\n\n    b\n\tc");
}

#[test]
fn items_and_fields_are_plain_text() {
    let list = Text::of_body(&items(&["*a*\nb", "1. c", "<d>"]), Format::Markdown);
    assert_eq!(list.write(&COMMONMARK), "* \\*a\\*\n  b\n* 1\\. c\n* \\<d>");
    assert_eq!(list.write(&SLACK), "• *\u{200b}a*\u{200b}\n  b\n• 1. c\n• &lt;d&gt;");
    assert_eq!(list.write(&HTML), "<ul><li>*a*<br>b</li><li>1. c</li><li>&lt;d&gt;</li></ul>");
    let pairs = Text::of_body(&fields(&[("na*me", "# v\n---"), ("", "w"), ("x", "")]), Format::Markdown);
    assert_eq!(pairs.write(&COMMONMARK), "#### na\\*me\n\\# v\n\\---\nw\n#### x");
    assert_eq!(pairs.write(&TELEGRAM), "<b>na*me</b>: # v\n---\nw\n<b>x</b>:");
    assert_eq!(pairs.write(&PLAIN), "na*me: # v\n---\nw\nx:");
}

#[test]
fn white_space_is_outside_of_marks_and_a_mark_ends_with_its_line_where_it_has_to() {
    assert_eq!(written("a *b\nc* d", &SLACK), "a _b_\n_c_ d");
    assert_eq!(written("a**b**c", &SLACK), "a\u{200b}*b*\u{200b}c");
    assert_eq!(written("a **b** c, **d**.", &SLACK), "a *b* c, *d*.");
    assert_eq!(markdown("**bold and more**").fit(&COMMONMARK, Limit::characters(10)), "**bold…**");
}

#[test]
fn a_title_and_a_link_are_around_the_text() {
    let text = markdown("*b*").titled("a <b>").linked(Some("https://x.example/?a&b"));
    assert_eq!(text.write(&COMMONMARK), "**a \\<b>**\n\n*b*\n\n<https://x.example/?a&b>");
    assert_eq!(
        text.write(&TELEGRAM),
        "<b>a &lt;b&gt;</b>\n\n<i>b</i>\n\n<a href=\"https://x.example/?a&amp;b\">https://x.example/?a&amp;b</a>"
    );
    // A body that says nothing is the title, which is not said twice.
    let silent = notification(Level::Info, "t", Body::Text(String::new()));
    assert_eq!(Text::of(&silent, Format::Markdown).titled("t").write(&TELEGRAM), "t");
    assert_eq!(markdown("b").linked(Some("javascript:x")).titled(" \u{200b}").write(&TELEGRAM), "b");
}

#[test]
fn parts_are_numbered_in_order_and_each_is_whole() {
    let text = markdown(&format!("**{}**\n\n{}", "bold ".repeat(30).trim(), "plain ".repeat(22)));
    let parts = text.parts(&TELEGRAM, Limit::characters(150), Overflow::Split);
    let ends: Vec<(&str, &str)> = parts.iter().map(|part| (&part[..9], &part[part.len() - 9..])).collect();
    assert_eq!(ends, [("1/3\n<b>bo", " bold</b>"), ("2/3\n<b>bo", "ain plain"), ("3/3\nplain", "ain plain")]);
}

#[test]
fn a_list_goes_on_in_the_next_part_without_a_second_mark() {
    let text = Text::of_body(&items(&["word ".repeat(30).trim(), "b"]), Format::Markdown);
    let parts = text.parts(&DISCORD, Limit::characters(100), Overflow::Split);
    assert!(parts[0].starts_with("1/2\n* word") && parts[1].starts_with("2/2\n  word"), "{parts:?}");
    assert!(parts[1].ends_with("\n* b"), "{parts:?}");
}

#[test]
fn the_last_of_too_many_parts_says_that_there_is_more() {
    let text = markdown(&"word ".repeat(3000)).linked(Some("https://x.example"));
    let parts = text.parts(&PLAIN, Limit::characters(100), Overflow::Split);
    assert_eq!(parts.len(), MOST_PARTS);
    assert!(parts[19].starts_with("20/20\nword"), "{}", parts[19]);
    assert!(parts[19].ends_with("…\n\n(the rest is left out)\n\nhttps://x.example"), "{}", parts[19]);
}

#[test]
fn a_text_that_is_cut_keeps_its_link_and_one_that_may_overflow_is_whole() {
    let text = markdown(&"word ".repeat(100)).linked(Some("https://x.example"));
    let cut = text.fit(&PLAIN, Limit::characters(40));
    assert_eq!(cut, "word word word word…\n\nhttps://x.example");
    assert_eq!(text.parts(&PLAIN, Limit::characters(40), Overflow::Upstream), [text.write(&PLAIN)]);
}

#[test]
fn hostile_nesting_is_flat_and_quick() {
    for source in
        [">".repeat(20_000), "*".repeat(20_000), "[".repeat(20_000), "- ".repeat(5_000), "`".repeat(20_000)]
    {
        for dialect in DIALECTS {
            written(&format!("{source}x"), dialect);
        }
    }
}

/// What a reader of CommonMark sees, and whether there is anything but paragraphs.
fn seen(source: &str) -> (String, bool) {
    let (mut text, mut has_markup) = (String::new(), false);
    for event in commonmark::Parser::new_ext(source, commonmark::Options::ENABLE_STRIKETHROUGH) {
        match event {
            commonmark::Event::Text(part) => text.push_str(&part),
            commonmark::Event::SoftBreak | commonmark::Event::HardBreak => text.push('\n'),
            commonmark::Event::Start(commonmark::Tag::Paragraph) => text.push('\n'),
            commonmark::Event::End(commonmark::TagEnd::Paragraph) => {}
            _ => has_markup = true,
        }
    }
    (text, has_markup)
}

/// The words of a text.
fn words(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Text that tries to be markup.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "*",
        "_",
        "`",
        "~",
        "#",
        "# ",
        ">",
        "- ",
        "+ ",
        "1. ",
        "23) ",
        "[",
        "](",
        ")",
        "<",
        "&amp;",
        "&",
        "|",
        "\\",
        "!",
        "=",
        "---",
        "===",
        "```",
        "~~~",
        "    ",
        "\t",
        "\n",
        "\n\n",
        "a",
        "b_c",
        "é",
        "👩‍👩‍👧",
        "e\u{301}",
        "http://x/_y_",
        "https://z*",
        "<b>",
        "@here",
        "\u{202e}",
    ]);
    prop_oneof![prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat()), any::<String>()]
}

/// Whether every tag is closed in its order, and every `&` begins an entity.
fn is_well_formed(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let after = &rest[at..];
        let end = if after.starts_with('&') { after.find(';') } else { after.find('>') };
        let Some(end) = end else { return false };
        let inside = &after[1..end];
        match inside.strip_prefix('/') {
            _ if after.starts_with('&') => {
                if !["amp", "lt", "gt", "quot"].contains(&inside) {
                    return false;
                }
            }
            Some(name) => {
                if open.pop() != Some(name) {
                    return false;
                }
            }
            None if inside == "br" => {}
            None => open.push(inside.split(' ').next().unwrap()),
        }
        rest = &after[end + 1..];
    }
    open.is_empty() && !rest.contains(['<', '&'])
}

proptest! {
    #[test]
    fn plain_text_is_never_markup(text in tricky()) {
        let (seen, has_markup) = seen(&Text::plain(&text).write(&COMMONMARK));
        let source = Text::plain(&text).write(&COMMONMARK);
        if !text.contains("http") {
            prop_assert!(!has_markup, "{source:?}");
            prop_assert_eq!(words(&seen), words(&text), "{:?}", source);
        }
        for dialect in [&TELEGRAM, &PUSHOVER, &HTML] {
            prop_assert!(is_well_formed(&Text::plain(&text).write(dialect)));
        }
        prop_assert_eq!(words(&Text::plain(&text).write(&PLAIN)), words(&text));
    }

    #[test]
    fn parts_are_within_any_limit(
        text in tricky(),
        times in 1_usize..40,
        dialect in prop::sample::select(DIALECTS),
        unit in prop::sample::select(vec![Unit::Characters, Unit::Bytes, Unit::Utf16]),
        most in 64_usize..400,
    ) {
        let text = format!("{text} ").repeat(times);
        let limit = Limit { most, unit };
        for whole in [markdown(&text), Text::plain(&text)] {
            let whole = whole.titled("t").linked(Some("https://x.example"));
            for overflow in [Overflow::Split, Overflow::Truncate] {
                let parts = whole.parts(dialect, limit, overflow);
                prop_assert!(parts.len() <= MOST_PARTS && !parts.is_empty());
                for part in &parts {
                    prop_assert!(limit.fits(part), "{limit:?} {}: {part:?}", limit.length(part));
                    if dialect.link == dialect::Link::Tag {
                        prop_assert!(is_well_formed(part), "{part:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_lose_nothing(text in tricky(), times in 1_usize..40, most in 64_usize..400) {
        let text = format!("{text} ").repeat(times);
        let parts = Text::plain(&text).parts(&PLAIN, Limit::characters(most), Overflow::Split);
        if parts.len() > 1 && parts.len() < MOST_PARTS {
            let rest = |part: &String| part.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            let again: String = parts.iter().map(rest).collect();
            prop_assert_eq!(words(&again).concat(), words(&text).concat());
        }
    }
}

#[test]
fn more_marks_than_people_write_are_plain_text() {
    let marks = |count: usize| Text::of_body(&Body::Text("*a* ".repeat(count)), Format::Markdown);
    assert!(marks(4_900).write(&PLAIN).starts_with("a a a "));
    assert!(marks(5_100).write(&PLAIN).starts_with("*a* *a* *a* "));
    assert!(marks(5_100).write(&dialect::HTML).starts_with("<p>*a* *a* "));
}

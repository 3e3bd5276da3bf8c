//! Numbers, lengths of time and foreign text as a reader should see them.

use std::fmt;

/// Text of a scenario, made harmless: no markup, no control characters, no change of writing direction.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().map(harmless) {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// As much of a scenario's text as fits into a plot, which escapes it itself.
pub(super) fn clipped(text: &str, most: usize) -> String {
    let mut chars = text.chars().map(harmless);
    let mut clipped: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        clipped.pop();
        clipped.push('…');
    }
    clipped
}

/// The character, or a replacement where XML forbids it or where it would turn the text after it around.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// `3600` as `3,600`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Thousandths with one decimal.
pub(super) fn tenths(milli: u64) -> String {
    let rounded = milli / 100 + u64::from(milli % 100 >= 50);
    format!("{}.{}", count(rounded / 10), rounded % 10)
}

/// Thousandths with two decimals.
pub(super) fn hundredths(milli: u64) -> String {
    let rounded = milli / 10 + u64::from(milli % 10 >= 5);
    format!("{}.{:02}", count(rounded / 100), rounded % 100)
}

/// Thousandths with as many decimals as they need.
pub(super) fn decimal(milli: u64) -> String {
    let text = format!("{}.{:03}", count(milli / 1000), milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number of at most seven characters: in full below a million.
pub(super) fn brief(number: u64) -> String {
    if number < 1_000_000 { count(number) } else { short(number) }
}

/// A number of at most seven characters, for an axis: `12,000` as `12k`.
pub(super) fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "E"),
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1000, "k"),
    ];
    let unit = UNITS.iter().find(|(size, _)| number >= 10_000 && number >= *size);
    unit.map_or_else(|| count(number), |(size, name)| format!("{}{name}", decimal(number / (size / 1000))))
}

/// A length of time in its two largest units: `1 h 5 min`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        1..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{} s", decimal(ms / 100 * 100)),
        10_000..60_000 => format!("{} s", ms / 1000),
        // From ten minutes on, seconds say nothing any more.
        60_000..600_000 => two(ms / 1000, 60, "min", "s"),
        600_000..86_400_000 => two(ms / 60_000, 60, "h", "min"),
        _ => two(ms / 3_600_000, 24, "d", "h"),
    }
}

fn two(small: u64, in_large: u64, large_name: &str, small_name: &str) -> String {
    match (small / in_large, small % in_large) {
        (0, rest) => format!("{rest} {small_name}"),
        (large, 0) => format!("{} {large_name}", count(large)),
        (large, rest) => format!("{} {large_name} {rest} {small_name}", count(large)),
    }
}

/// An instant of a run as its axis and its spans write it: `1h30m`.
pub(super) fn instant(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let mut text = String::new();
    let mut rest = ms;
    let mut parts = 0;
    for (size, name) in UNITS {
        let large = rest / size;
        // What comes after two units would change nothing that can be seen.
        if large > 0 && parts < 2 {
            text.push_str(&large.to_string());
            text.push_str(name);
        }
        parts += u8::from(large > 0 || parts > 0);
        rest %= size;
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

//! The receiver's own word on when to come back: Retry-After, rate-limit headers, a number in the body.
//!
//! Refuses to know which statuses deserve a hint: on a failure it holds the endpoint back, on a success it
//! only paces. A hint can lengthen a wait and never shorten it, because the caller takes the longer of this
//! and its own backoff; so what cannot be read is as if it were not there, and only counted.
//!
//! No arithmetic on floats: a native build and a WebAssembly one agree on every bit.

use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::octets;
use crate::outcome::Reply;

/// The usual cap, one hour in milliseconds. A receiver that says more is asked again then.
pub const LONGEST_MS: u64 = 3_600_000;

/// What a reply says about when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// How long to wait from now on, in milliseconds, at most the cap.
    pub wait: Option<u64>,
    /// Something was there and could not be read, so it was left out. There can be a wait all the same.
    pub is_unreadable: bool,
}

/// What a number in a body counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// Reads a reply. `in_body` is what the provider found in its body ([`in_json`]), in milliseconds; `now` is
/// the host's clock, in milliseconds since the Unix epoch.
///
/// The first of these that can be read counts, whether or not it is the longest:
///
/// 1. The number in the body: it is the vendor's own, and finer than a header's whole seconds.
/// 2. Retry-After (RFC 9110, section 10.2.3): at most 10 digits, or an HTTP date. Two such headers are against
///    section 5.3, and proxies may reorder them; the longer wait counts.
/// 3. Rate limits where nothing remains, or where the status is 429 and what remains is not said; the longest
///    wait of all. They yield to Retry-After by draft-ietf-httpapi-ratelimit-headers-10, whose form is
///    `RateLimit: "default";r=0;t=30`. `RateLimit-Remaining` and `-Reset` are of its versions up to 06;
///    `X-RateLimit-Remaining` and `-Reset-After`, or else `-Reset`, are Discord's and others'.
///
/// A reset is a wait in seconds if it is below 10⁹, or else an instant: in seconds (GitHub, Discord; GitLab
/// even in `RateLimit-Reset`) or, from 10¹¹ on, in milliseconds (Rocket.Chat).
///
/// An instant is read against the reply's own Date, because one clock wrote both (RFC 9110, section 6.6.1):
/// then it does not matter how wrong the receiver's clock is, or ours. If that gives more than a day, there
/// were two clocks, such as a proxy's and the origin's, and `now` is taken instead, as it is without a
/// readable Date. An instant in the past is no wait: 0.
#[must_use]
pub fn of(reply: &Reply, in_body: Option<u64>, cap_ms: u64, now: u64) -> Hint {
    if !says_when(&reply.head.0) {
        return Hint { wait: in_body.map(|wait| wait.min(cap_ms)), is_unreadable: false };
    }
    let sent = reply.header("date").and_then(date).unwrap_or(now);
    let mut reader = Reader { reply, sent, now, is_unreadable: false };
    // All are read, so that a receiver's mistakes are counted even while they do not matter.
    let (retry_after, limits) = (reader.retry_after(), reader.limits());
    let wait = in_body.or(retry_after).or(limits);
    Hint { wait: wait.map(|wait| wait.min(cap_ms)), is_unreadable: reader.is_unreadable }
}

/// Whether a head has a header that can say when to come back: it is only by such a one that another counts.
fn says_when(mut head: &str) -> bool {
    loop {
        let begins =
            |with: &str| head.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
        // Most begin with another letter, and need no closer look.
        if matches!(head.as_bytes(), [b'r' | b'R' | b'x' | b'X', ..])
            && ["retry-after", "ratelimit", "x-ratelimit"].into_iter().any(begins)
        {
            return true;
        }
        let Some(next) = octets::find(head.as_bytes(), b'\n').and_then(|end| head.get(end + 1..)) else {
            return false;
        };
        head = next;
    }
}

/// Reads a number at a JSON pointer (RFC 6901) of the body as milliseconds, rounded up and saturating.
///
/// - Discord: `"/retry_after"`, seconds with a fraction
///   (<https://docs.discord.com/developers/topics/rate-limits>; milliseconds before version 8 of the API).
/// - Telegram: `"/parameters/retry_after"`, seconds
///   (<https://core.telegram.org/bots/api#responseparameters>).
/// - Matrix: `"/retry_after_ms"` (<https://spec.matrix.org/latest/client-server-api/#rate-limiting>; since
///   version 1.10 servers may send Retry-After alone).
///
/// Slack promises Retry-After only (<https://docs.slack.dev/apis/web-api/rate-limits>).
///
/// Returns `None` for a body that is no JSON, and for anything but a number without a sign, or one in a string.
#[must_use]
pub fn in_json(reply: &Reply, pointer: &str, unit: Unit) -> Option<u64> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let text = match body.pointer(pointer)? {
        // The shortest text that means the same number: 0.376 stays 0.376, where arithmetic would not.
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (decimal, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let exponent = exponent.parse::<i32>().ok()?;
    let shift = if unit == Unit::Seconds { 3 } else { 0 };
    scaled(decimal, exponent.saturating_add(shift))
}

/// The optional white space around a header's value (RFC 9110, section 5.6.3).
const OWS: [char; 2] = [' ', '\t'];
const DAY_MS: u64 = 86_400_000;

struct Reader<'a> {
    reply: &'a Reply,
    /// When the reply was written, by the clock that wrote it.
    sent: u64,
    now: u64,
    is_unreadable: bool,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn retry_after(&mut self) -> Option<u64> {
        let waits = self.reply.head.values("retry-after").filter_map(|value| {
            let wait = delay(value).or_else(|| date(value).map(|at| self.until(at)));
            self.counted(wait)
        });
        waits.max()
    }

    fn limits(&mut self) -> Option<u64> {
        let header = |name| self.reply.header(name);
        let vendor = header("x-ratelimit-reset-after").or(header("x-ratelimit-reset"));
        let draft = (header("ratelimit-remaining"), header("ratelimit-reset"));
        let members = self.reply.head.values("ratelimit").flat_map(|list| unquoted(list, ','));
        let members = members.map(|member| (parameter(member, "r="), parameter(member, "t=")));
        let limits = members.chain([draft, (header("x-ratelimit-remaining"), vendor)]);
        limits.filter_map(|(remaining, reset)| self.limit(remaining, reset)).max()
    }

    /// The wait that one limit asks for, if any.
    fn limit(&mut self, remaining: Option<&str>, reset: Option<&str>) -> Option<u64> {
        let remaining = remaining.and_then(|value| self.counted(thousandths(value)));
        if remaining.map_or(self.reply.status != 429, |left| left > 0) {
            return None;
        }
        let reset = self.counted(thousandths(reset?))?;
        let at = if reset < 100_000_000_000_000 { reset } else { reset.div_ceil(1000) };
        Some(if reset < 1_000_000_000_000 { reset } else { self.until(at) })
    }

    /// How long it is until an instant by the receiver's clock.
    fn until(&self, at: u64) -> u64 {
        let wait = at.saturating_sub(self.sent);
        if wait > DAY_MS { at.saturating_sub(self.now) } else { wait }
    }

    fn counted(&mut self, read: Option<u64>) -> Option<u64> {
        self.is_unreadable |= read.is_none();
        read
    }
}

/// Reads `delay-seconds = 1*DIGIT`. More than 10 digits are 300 years, and no wait that anybody means.
fn delay(value: &str) -> Option<u64> {
    let digits = value.trim_matches(OWS);
    if digits.len() > 10 || digits.contains('.') { None } else { scaled(digits, 3) }
}

/// Reads an HTTP date in any of its three forms (RFC 9110, section 5.6.7), as milliseconds since the epoch.
///
/// Returns `None` for a weekday that is not the date's. So a two-digit year, which `httpdate` takes to be one
/// of 1970 to 2069 whatever the time is now, is never taken for the same year of another century.
fn date(value: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(value).ok()?;
    u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Splits a structured field where a separator stands outside of strings (RFC 9651, section 3.3.3).
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

/// The value of a parameter; the last one where there are several (RFC 9651, section 4.2.3.2).
fn parameter<'a>(member: &'a str, start: &str) -> Option<&'a str> {
    unquoted(member, ';').skip(1).filter_map(|text| text.trim_matches(OWS).strip_prefix(start)).last()
}

/// Reads a header's `1*DIGIT ["." 1*DIGIT]` in thousandths. 13 digits before the point are enough for an
/// instant in milliseconds; more are no time at all.
fn thousandths(value: &str) -> Option<u64> {
    let decimal = value.trim_matches(OWS);
    let whole = decimal.find('.').unwrap_or(decimal.len());
    if whole > 13 { None } else { scaled(decimal, 3) }
}

/// Reads `1*DIGIT ["." 1*DIGIT]`, times a power of ten, rounded up and saturating.
fn scaled(decimal: &str, exponent: i32) -> Option<u64> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // How many digits stand before the point once it has moved; without end there are zeros behind.
    let kept = i64::try_from(whole.len()).ok()?.saturating_add(exponent.into());
    let (mut value, mut rest, mut places) = (0_u64, 0, 0_i64);
    for digit in whole.chars().chain(fraction.chars()).filter_map(|digit| digit.to_digit(10)) {
        if places < kept {
            value = value.saturating_mul(10).saturating_add(digit.into());
        } else {
            rest |= digit;
        }
        places = places.saturating_add(1);
    }
    let zeros = u32::try_from(kept.saturating_sub(places).max(0)).unwrap_or(u32::MAX);
    Some(value.saturating_mul(10_u64.saturating_pow(zeros)).saturating_add(u64::from(rest > 0)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Head;

    /// Now, the same in a header, and a minute later in the three forms.
    const NOW: u64 = 1_700_000_000_000;
    const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    const LATER: [&str; 3] =
        ["Tue, 14 Nov 2023 22:14:20 GMT", "Tuesday, 14-Nov-23 22:14:20 GMT", "Tue Nov 14 22:14:20 2023"];
    const UNREADABLE: Hint = Hint { wait: None, is_unreadable: true };

    fn reply(status: u16, headers: &[(&str, &str)]) -> Reply {
        Reply { status, head: Head::of(headers.iter().copied()), body: vec![] }
    }

    fn read(status: u16, headers: &[(&str, &str)]) -> Hint {
        of(&reply(status, headers), None, LONGEST_MS, NOW)
    }

    fn wait(ms: u64) -> Hint {
        Hint { wait: Some(ms), ..Hint::default() }
    }

    #[test]
    fn digits_are_seconds_and_what_is_no_date_either_is_left_out_and_counted() {
        for (value, seconds) in [("0", 0), ("120", 120), (" 120 ", 120), ("\t7", 7), ("0000000012", 12)] {
            assert_eq!(read(503, &[("retry-after", value)]), wait(seconds * 1000), "{value}");
        }
        let long = "1".repeat(400);
        let words = "-5 +5 1.5 1e300 inf NaN 12s 3,5 ١٢ ünf 00000000001 2023-11-14T22:13:20Z";
        let dates = ["Mon, 14 Nov 2023 22:14:20 GMT", "Friday, 14-Nov-70 22:14:20 GMT"];
        for value in ["", " ", &long].into_iter().chain(words.split(' ')).chain(dates) {
            assert_eq!(read(429, &[("retry-after", value)]), UNREADABLE, "{value}");
        }
    }

    #[test]
    fn of_two_headers_the_longer_wait_counts() {
        for (one, two, bad) in [("3", LATER[0], false), (LATER[0], "3", false), ("3, 5", "60", true)] {
            let hint = read(429, &[("retry-after", one), ("Retry-After", two)]);
            assert_eq!(hint, Hint { is_unreadable: bad, ..wait(60_000) }, "{one}");
        }
    }

    #[test]
    fn every_form_of_a_date_is_read_against_the_replys_own() {
        for date in LATER {
            let dated = reply(503, &[DATE, ("retry-after", date)]);
            // Right, an hour or ten years off, and with no idea of the time.
            for now in [NOW, NOW + 3_600_000, NOW - 3_600_000, NOW + 3650 * DAY_MS, 0, u64::MAX] {
                assert_eq!(of(&dated, None, LONGEST_MS, now), wait(60_000), "{date}, {now}");
            }
            let undated = reply(503, &[("date", "noon"), ("retry-after", date)]);
            assert_eq!(of(&undated, None, LONGEST_MS, NOW), wait(60_000), "{date}");
            assert_eq!(of(&undated, None, LONGEST_MS, NOW + 120_000), wait(0), "{date}, in the past");
        }
        let old = ("date", "Thu, 01 Jan 1970 00:00:09 GMT");
        assert_eq!(read(503, &[old, ("retry-after", LATER[0])]), wait(60_000), "two clocks");
    }

    #[test]
    fn a_wait_is_capped() {
        let dates = ["Fri, 31 Dec 9999 23:59:59 GMT", "Thursday, 14-Nov-69 22:14:20 GMT"];
        for value in ["9999999999", "3601"].into_iter().chain(dates) {
            assert_eq!(read(429, &[DATE, ("retry-after", value)]), wait(LONGEST_MS), "{value}");
        }
        assert_eq!(read(429, &[("retry-after", "3600")]), wait(LONGEST_MS));
        assert_eq!(of(&reply(429, &[]), Some(u64::MAX), LONGEST_MS, NOW), wait(LONGEST_MS));
    }

    #[test]
    fn the_body_goes_before_retry_after_and_that_before_limits() {
        let reply = reply(429, &[("retry-after", "1"), ("ratelimit", "a;r=0;t=40")]);
        assert_eq!(of(&reply, Some(376), LONGEST_MS, NOW), wait(376));
        assert_eq!(of(&reply, None, LONGEST_MS, NOW), wait(1000));
    }

    #[test]
    fn a_limit_counts_where_nothing_remains_whatever_the_status() {
        let vendor = ("x-ratelimit-remaining", "0");
        for headers in [
            &[("ratelimit", r#""default";r=0;t=30"#)][..],
            &[("ratelimit", r#""a;r=0;t=99,b\";r=9";pk=:cHM=:;r=0;t=30, "hour";r=5;t=99"#)],
            &[("ratelimit", r#""a";r=0;t=3"#), ("ratelimit", r#""b"; r=0; t=30"#)],
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")],
            &[vendor, ("x-ratelimit-reset", "30")],
            &[vendor, ("x-ratelimit-reset", "1700000030")],
            &[vendor, ("x-ratelimit-reset", "1700000029.9999")],
            &[vendor, ("x-ratelimit-reset", "1700000030000")],
            &[vendor, ("x-ratelimit-reset-after", "29.9999"), ("x-ratelimit-reset", "1700000099")],
        ] {
            assert_eq!((read(204, headers), read(429, headers)), (wait(30_000), wait(30_000)), "{headers:?}");
        }
        for value in ["-1", "1e3", "inf", "", ".5", "5.", "12345678901234"] {
            assert_eq!(read(200, &[vendor, ("x-ratelimit-reset", value)]), UNREADABLE, "{value}");
        }
        assert_eq!((read(429, &[vendor]), read(429, &[])), Default::default(), "no reset");
        let left = [("ratelimit-remaining", "1"), ("ratelimit-reset", "soon"), ("ratelimit", "a;r=1;t=30")];
        assert_eq!(read(429, &left), Hint::default());
        for header in [("ratelimit", "a;t=9"), ("ratelimit-reset", "9"), ("x-ratelimit-reset-after", "9.0")] {
            assert_eq!((read(200, &[header]), read(429, &[header])), (Hint::default(), wait(9000)));
        }
    }

    #[test]
    fn a_number_in_the_body_is_rounded_up_to_milliseconds() {
        use Unit::{Milliseconds, Seconds};
        let read = |body: &str, pointer: &str, unit| {
            in_json(&Reply { body: body.into(), ..reply(429, &[]) }, pointer, unit)
        };
        let discord = r#"{"message": "You are being rate limited.", "retry_after": 0.376, "global": false}"#;
        assert_eq!(read(discord, "/retry_after", Seconds), Some(376));
        let telegram = r#"{"ok":false,"error_code":429,"parameters":{"retry_after":14}}"#;
        assert_eq!(read(telegram, "/parameters/retry_after", Seconds), Some(14_000));
        assert_eq!(read(r#"{"retry_after_ms":"2000.5"}"#, "/retry_after_ms", Milliseconds), Some(2001));
        for (body, ms) in [("1e-7", 1), ("1.5E2", 150_000), ("0e99", 0), ("1.0001", 1001)] {
            assert_eq!(read(body, "", Seconds), Some(ms), "{body}");
        }
        for body in ["18446744073709551615", "1e300", r#""1e2147483647""#] {
            assert_eq!(read(body, "", Seconds), Some(u64::MAX), "{body}");
        }
        for body in r#"|1e400|-1|-0.1|NaN|null|[1]|"NaN"|"inf"|" 1"|"+1"|"1e99999999999"|{"a":1"#.split('|') {
            assert_eq!(read(body, "", Seconds), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_wait_is_above_the_cap(
            status in prop_oneof![Just(429), any::<u16>()],
            headers in prop::collection::vec((
                "date|retry-after|(x-)?ratelimit(-remaining|-reset|-reset-after)?",
                prop_oneof![
                    any::<String>(), "[0-9]{0,14}(\\.[0-9]{0,4})?", "\"[a-z\"\\\\,]{0,4};r=[0-9];t=[0-9]{0,20}",
                    "(Sun|Sunday), [0-9]{2}[ -](Nov|Feb)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
                ],
            ), 0..6),
            body: Vec<u8>, in_body: Option<u64>, cap: u64, now: u64,
        ) {
            let reply = Reply { status, head: Head::of(headers), body };
            let hint = of(&reply, in_body.or(in_json(&reply, "", Unit::Seconds)), cap, now);
            prop_assert!(hint.wait.is_none_or(|wait| wait <= cap));
        }

        #[test]
        fn every_date_is_read_in_every_form(at in 0_u64..3_155_760_000, before in 0..=DAY_MS) {
            let imf = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
            let parts: Vec<&str> = imf.split([' ', ',']).filter(|part| !part.is_empty()).collect();
            let [weekday, day, month, year, time, _] = parts[..] else { panic!("{imf}") };
            let rest = ["day", "sday", "nesday", "rsday", "urday"];
            let names = rest.map(|rest| format!("{weekday}{rest}, {day}-{month}-{} {time} GMT", &year[2..]));
            let rfc850 = names.into_iter().find(|name| date(name).is_some()).unwrap();
            let asctime = format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0'));
            let now = (at * 1000).saturating_sub(before);
            for date in [imf.clone(), asctime, rfc850] {
                let hint = of(&reply(503, &[("retry-after", &date)]), None, u64::MAX, now);
                prop_assert_eq!(hint, wait(at * 1000 - now), "{}", date);
            }
        }

        #[test]
        fn every_decimal_is_exact(ms in 0..=u64::MAX / 1000) {
            let body = format!("[\"{}.{:03}\", {ms}]", ms / 1000, ms % 1000).into();
            let reply = Reply { body, ..reply(429, &[]) };
            let read = |pointer, unit| in_json(&reply, pointer, unit);
            prop_assert_eq!((read("/0", Unit::Seconds), read("/1", Unit::Milliseconds)), (Some(ms), Some(ms)));
        }
    }
}

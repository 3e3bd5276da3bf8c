//! The receiver's own word on when to come back: Retry-After (RFC 9110, section 10.2.3).

use crate::outcome::Reply;

/// No hint holds an endpoint back for longer: one hour, in milliseconds. A receiver that says more is
/// asked again then.
pub const LONGEST_MS: u64 = 3_600_000;

/// How long a reply asks to be left alone, in milliseconds, at most [`LONGEST_MS`].
///
/// Returns `None` where there is no Retry-After, or none in delay-seconds: digits only, at most 10 of
/// them, white space around them allowed. A sign, a fraction or an exponent is no delay-seconds.
#[must_use]
pub fn hint(reply: &Reply) -> Option<u64> {
    delay_seconds(reply.header("retry-after")?).map(|seconds| seconds.saturating_mul(1000).min(LONGEST_MS))
}

/// Reads `1*DIGIT`.
#[must_use]
pub fn delay_seconds(value: &str) -> Option<u64> {
    let digits = value.trim_matches([' ', '\t']);
    let readable = (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    readable.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_seconds() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 120 ", 120),
            ("\t7", 7),
            ("0000000012", 12),
            ("9999999999", 9_999_999_999),
        ] {
            assert_eq!(delay_seconds(value), Some(seconds), "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_number_of_seconds() {
        let long = "1".repeat(400);
        for value in ["", " ", "-5", "+5", "1.5", "1e300", "inf", "NaN", "12s", "١٢", "00000000001", &long]
        {
            assert_eq!(delay_seconds(value), None, "{value}");
        }
    }

    #[test]
    fn a_hint_is_capped_and_the_first_header_counts() {
        let header = |value: &str| ("retry-after".to_owned(), value.to_owned());
        let reply = |headers| Reply { status: 429, headers, body: vec![] };
        assert_eq!(hint(&reply(vec![])), None);
        assert_eq!(hint(&reply(vec![header("3"), header("5")])), Some(3_000));
        assert_eq!(hint(&reply(vec![header("9999999999")])), Some(LONGEST_MS));
    }

    proptest! {
        #[test]
        fn no_value_panics(value in any::<String>()) {
            let _ = delay_seconds(&value);
        }

        #[test]
        fn every_short_number_is_read(seconds in 0_u64..=9_999_999_999) {
            prop_assert_eq!(delay_seconds(&seconds.to_string()), Some(seconds));
        }
    }
}

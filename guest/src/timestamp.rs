//! Instants as services write them.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond of the year 9999, behind which RFC 3339 has no date.
const LAST_DATE: u64 = 253_402_300_799_999;

/// An instant in milliseconds since the Unix epoch as RFC 3339 writes it, in UTC: `2026-11-24T18:00:00.000Z`.
#[must_use]
pub fn rfc_3339(at: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(at.min(LAST_DATE))).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_has_a_date() {
        assert_eq!(rfc_3339(1_700_000_000_001), "2023-11-14T22:13:20.001Z");
        assert_eq!(rfc_3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

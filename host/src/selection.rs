//! Which deliveries somebody means: the same words in flags and in the query of a URL.

use nuncio::clock::UnixMs;
use nuncio::contract::Level;
use nuncio::store::{Query, State};

/// The words for a set of deliveries; what is absent excludes nothing.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Selection {
    /// Only deliveries to this target
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Only of notifications at least as serious as this: trace, debug, info, warn, error or fatal
    #[arg(short, long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// Only what was queued, tried or ended since: a length of time before now (2h), a day or an instant
    /// (2026-11-24, 2026-11-24T06:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only where the last outcome or the reason of death contains this text
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A word that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Misunderstood {
    /// Which word: the flag without its dashes, or the parameter.
    pub name: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: &'static str,
}

impl Selection {
    /// Whether nothing is excluded.
    pub fn is_everything(&self) -> bool {
        let Self { target, level, since, reason } = self;
        target.is_none() && level.is_none() && since.is_none() && reason.is_none()
    }

    /// The query for deliveries in one of these states.
    ///
    /// # Errors
    ///
    /// The word that means nothing.
    pub fn query(&self, states: &[State], now: UnixMs) -> Result<Query, Misunderstood> {
        let level = self.level.as_deref().map(|name| {
            Level::parse(name).ok_or_else(|| Misunderstood {
                name: "level",
                problem: format!("no level is called `{name}`"),
                hint: "write trace, debug, info, warn, error or fatal",
            })
        });
        Ok(Query {
            states: states.to_vec(),
            target: self.target.clone(),
            level: level.transpose()?,
            since: self.since.as_deref().map(|text| read_since(text, now)).transpose()?,
            reason: self.reason.clone(),
            ..Query::default()
        })
    }
}

fn read_since(text: &str, now: UnixMs) -> Result<UnixMs, Misunderstood> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
    }
    // A day begins at midnight, in UTC.
    let day = format!("{text}T00:00:00Z");
    let instant = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&day)).ok();
    let instant = instant.and_then(|instant| instant.duration_since(std::time::UNIX_EPOCH).ok());
    let instant = instant.and_then(|since| u64::try_from(since.as_millis()).ok());
    instant.ok_or_else(|| Misunderstood {
        name: "since",
        problem: format!("`{text}` is no time"),
        hint: "write a length of time before now, such as 2h, or an instant, such as 2026-11-24T06:00:00Z",
    })
}

/// The states of names, separated by commas; all where there are none.
///
/// # Errors
///
/// Where a name is none.
pub fn read_states(names: &str) -> Result<Vec<State>, Misunderstood> {
    let state = |name: &str| {
        State::parse(name).ok_or_else(|| Misunderstood {
            name: "state",
            problem: format!("no state is called `{name}`"),
            hint: "write queued, retrying, delivered, dead or dropped, or several with commas between them",
        })
    };
    names.split(',').filter(|name| !name.is_empty()).map(|name| state(name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_795_383_000_000;

    #[test]
    fn since_is_a_length_of_time_or_an_instant() {
        for (text, since) in [
            ("2h", NOW - 7_200_000),
            ("90s", NOW - 90_000),
            ("100years", 0),
            ("2026-11-22T21:30:00Z", NOW),
            ("2026-11-22 21:30:00", NOW),
            ("2026-11-22", NOW - (21 * 60 + 30) * 60_000),
        ] {
            let at = read_since(text, NOW).unwrap().abs_diff(since);
            assert!(at == 0 || since == 0, "{text}");
        }
        for text in ["", "yesterday", "2026", "-1h", "1900-01-01T00:00:00Z"] {
            assert_eq!(read_since(text, NOW).unwrap_err().name, "since", "{text}");
        }
    }

    #[test]
    fn states_are_names_with_commas_between_them() {
        assert_eq!(read_states("").unwrap(), []);
        assert_eq!(read_states("dead, queued,").unwrap(), [State::Dead, State::Queued]);
        assert_eq!(read_states("dead,gone").unwrap_err().problem, "no state is called `gone`");
    }

    #[test]
    fn every_word_ends_in_the_query() {
        let word = |text: &str| Some(text.to_owned());
        let selection =
            Selection { target: word("a"), level: word("warn"), since: word("1s"), reason: word("503") };
        let query = selection.query(&[State::Dead], NOW).unwrap();
        assert_eq!((query.target, query.reason), (word("a"), word("503")));
        assert_eq!((query.level, query.since), (Some(Level::Warn), Some(NOW - 1_000)));
        assert!(Selection::default().is_everything() && !selection.is_everything());
        let loud = Selection { level: word("loud"), ..Selection::default() };
        assert_eq!(loud.query(&[], NOW).unwrap_err().name, "level");
    }
}

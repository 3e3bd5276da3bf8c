//! The parts of a URL as text: decoded once, and split where they are two.

use percent_encoding::percent_decode_str;

use super::{UrlProblem, wrong};

pub(super) fn decode(text: &str, part: &str) -> Result<String, UrlProblem> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded =
        decoded.map_err(|_| wrong(part, "is no UTF-8 where it is decoded", "encode it as UTF-8"))?;
    if decoded.chars().any(char::is_control) {
        return Err(wrong(part, "holds control characters", "leave them out"));
    }
    Ok(decoded.into_owned())
}

/// A host, and the port behind it. What follows a `:` and is no number is left in the host's place: in Telegram's
/// URLs of Apprise a token stands there.
pub(super) fn split_port(place: &str) -> Result<(&str, Option<u16>), UrlProblem> {
    let from = place.rfind(']').map_or(0, |at| at.saturating_add(1));
    let Some(colon) = place.get(from..).and_then(|rest| rest.rfind(':')).map(|at| at.saturating_add(from))
    else {
        return Ok((place, None));
    };
    let (host, port) = place.split_at(colon);
    let digits = port.get(1..).unwrap_or_default();
    if digits.is_empty() {
        return Ok((host, None));
    }
    if digits.contains(|c: char| !c.is_ascii_digit()) {
        return Ok((place, None));
    }
    match digits.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(wrong("port", "is no number from 1 to 65535", "write it as `host:8080`")),
    }
}

/// Names and values. In Apprise's URLs `;` parts them as well, white space around a value is nothing, the last
/// of a name counts, and `+` is itself, because it begins names and telephone numbers. In those of shoutrrr it
/// is a space.
pub(super) fn read_options(text: &str, is_of_apprise: bool) -> Result<Vec<(String, String)>, UrlProblem> {
    let mut options: Vec<(String, String)> = Vec::new();
    for pair in text.split(|c| c == '&' || (is_of_apprise && c == ';')).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if is_of_apprise {
            let (name, value) = (decode(name, "query")?, decode(value, "query")?.trim().to_owned());
            options.retain(|(other, _)| *other != name);
            options.push((name, value));
        } else {
            options.push((
                decode(&name.replace('+', " "), "query")?,
                decode(&value.replace('+', " "), "query")?,
            ));
        }
    }
    Ok(options)
}

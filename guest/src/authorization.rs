//! The Authorization header that the settings `token`, `user` and `password` come to.

use crate::diagnostic::{Diagnostics, Pointer};
use crate::request::Segment;
use crate::settings::Secret;

/// The header's value: the token as a bearer, or the user and the password as basic authentication
/// (RFC 7617); `None` where none of them is set, or where something is wrong with them. `at` is where they
/// stand.
pub(crate) fn value(
    token: Option<&Secret>,
    user: Option<&str>,
    password: Option<&Secret>,
    at: &Pointer,
    problems: &mut Diagnostics,
) -> Option<Vec<Segment>> {
    match (token, user, password) {
        (None, None, None) => None,
        (Some(token), None, None) => Some(token.bearer()),
        (None, Some(user), Some(password)) => {
            if user.contains(|c: char| c == ':' || c.is_control()) {
                let problem = "basic authentication allows no `:` and no control characters in a user's name";
                problems.value(&at.at("user"), problem, "");
            }
            Some(password.basic(user))
        }
        (Some(_), _, _) => {
            let problem = "both a token and a user or password are set";
            problems.value(&at.at("token"), problem, "keep `token`, or `user` and `password`");
            None
        }
        (None, Some(_), None) => {
            problems.value(&at.at("user"), "a user without a password", "add `password`");
            None
        }
        (None, None, Some(_)) => {
            problems.value(&at.at("password"), "a password without a user", "add `user`");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Atom;
    use crate::settings::declare::Setting as _;

    fn read(token: bool, user: Option<&str>, password: bool) -> (Option<Vec<Segment>>, Vec<String>) {
        let secret = |name| Secret::read(&json!({ "$secret": name })).unwrap();
        let (token, password) = (token.then(|| secret("token")), password.then(|| secret("password")));
        let mut problems = Diagnostics::default();
        let value = value(token.as_ref(), user, password.as_ref(), &Pointer::default(), &mut problems);
        (value, problems.into_vec().into_iter().map(|d| d.path).collect())
    }

    #[test]
    fn a_token_is_a_bearer_and_a_user_with_password_is_basic() {
        assert_eq!(read(false, None, false), (None, vec![]));
        assert_eq!(read(true, None, false).0.unwrap()[0], Segment::from("Bearer "));
        let atoms = vec![Atom::Text("ann:".into()), Atom::Secret("password".into())];
        assert_eq!(read(false, Some("ann"), true).0.unwrap(), ["Basic ".into(), Segment::Base64(atoms)]);
    }

    #[test]
    fn halves_and_both_at_once_are_problems() {
        for (token, user, password, path) in [
            (true, Some("ann"), true, "/token"),
            (true, Some("ann"), false, "/token"),
            (true, None, true, "/token"),
            (false, Some("ann"), false, "/user"),
            (false, None, true, "/password"),
            (false, Some("a:b"), true, "/user"),
            (false, Some("a\nb"), true, "/user"),
        ] {
            assert_eq!(read(token, user, password).1, [path], "{user:?}");
        }
    }
}

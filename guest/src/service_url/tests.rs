use proptest::prelude::*;

use super::*;
use crate::provider::{self, from_url};

fn read(text: &str, dialect: UrlDialect) -> ServiceUrl {
    ServiceUrl::parse(text, dialect).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

fn apprise(text: &str) -> ServiceUrl {
    read(text, UrlDialect::Apprise)
}

fn shoutrrr(text: &str) -> ServiceUrl {
    read(text, UrlDialect::Shoutrrr)
}

fn part(text: &str) -> String {
    ServiceUrl::parse(text, UrlDialect::Apprise).expect_err(text).part
}

#[test]
fn a_url_has_its_parts_each_of_which_is_taken_once() {
    let mut url = apprise("  NTFYS://ann:secret@Host.example:8080/a/b?x=1&Y=yes ");
    assert_eq!((url.scheme.as_str(), url.host(), url.entries()), ("ntfys", "Host.example", 2));
    assert!(url.has_login() && url.has_password() && url.has_option("y") && !url.has_option("z"));
    assert_eq!((url.user(), url.user()), (Some("ann".into()), None));
    assert_eq!((url.password(), url.password()), (Some("secret".into()), None));
    assert_eq!(url.origin(true).unwrap(), "https://Host.example:8080");
    assert_eq!(url.origin(true).unwrap_err().part, "host");
    assert_eq!((url.entry("a").unwrap(), url.rest()), ("a".into(), vec!["b".to_owned()]));
    assert_eq!(url.entry("a").unwrap_err().part, "path");
    assert_eq!((url.option(&["x"]), url.option(&["x"])), (Some("1".into()), None));
    assert_eq!(url.flag(&["y"]), Ok(Some(true)));
}

#[test]
fn ports_and_ipv6_addresses_belong_to_the_origin() {
    for (place, origin) in [
        ("h", "http://h"),
        ("h:", "http://h"),
        ("h:1", "http://h:1"),
        ("h:65535", "http://h:65535"),
        ("10.0.0.2:8080", "http://10.0.0.2:8080"),
        ("[::1]", "http://[::1]"),
        ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("münchen.example", "http://münchen.example"),
    ] {
        assert_eq!(apprise(&format!("x://{place}/a")).origin(false).unwrap(), origin);
        assert_eq!(shoutrrr(&format!("x://{place}")).origin(false).unwrap(), origin);
    }
    for place in ["h:0", "h:65536", "h:99999999999999999999"] {
        assert_eq!(part(&format!("x://{place}")), "port", "{place}");
    }
    for (place, wrong) in [
        ("h:port", "port"),
        ("::1", "port"),
        ("a%20b", "host"),
        ("a%2Fb", "host"),
        ("", "host"),
        ("a<b", "host"),
    ] {
        let problem = apprise(&format!("x://{place}/p")).origin(false).unwrap_err();
        assert_eq!(problem.part, wrong, "{place}");
    }
}

#[test]
fn what_is_encoded_is_decoded_once() {
    let mut url = apprise("x://u%40s:p%2525%20w@h/a%2Fb/%C3%A9?k%26=v%3D%26");
    assert_eq!((url.user(), url.password()), (Some("u@s".into()), Some("p%25 w".into())));
    assert_eq!(url.rest(), ["a/b", "é"]);
    assert_eq!(url.option(&["k&"]), Some("v=&".into()));
    for (text, wrong) in [
        ("x://%ff@h", "user"),
        ("x://u:%ff@h", "password"),
        ("x://%ff", "host"),
        ("x://h/%ff", "path"),
        ("x://h?%ff", "query"),
        ("x://h?a=%ff", "query"),
        ("x://h/%0A", "path"),
        ("x://h/\u{7}", "url"),
        ("x:/h", "scheme"),
        ("", "scheme"),
    ] {
        assert_eq!(part(text), wrong, "{text}");
    }
    let long = format!("x://h/{}", "a".repeat(LONGEST_URL));
    assert_eq!(part(&long), "url");
    assert_eq!(from_url(&long, None).unwrap_err().part, "url");
}

#[test]
fn an_at_sign_in_a_password_and_one_before_a_name_are_no_ends() {
    let mut url = apprise("x://u:p@ss:w@h/@channel/#room/+id/!a:h:1");
    assert_eq!((url.user(), url.password()), (Some("u".into()), Some("p@ss:w".into())));
    assert_eq!(url.host(), "h");
    assert_eq!(url.rest(), ["@channel", "#room", "+id", "!a:h:1"]);
    // What stands in the host's place can begin with one.
    let mut url = apprise("x://@name/a");
    assert_eq!((url.has_login(), url.take_host("").unwrap()), (false, "@name".into()));
}

#[test]
fn a_fragment_is_none_in_front_of_an_entry_of_apprises() {
    assert_eq!(apprise("x://h/#a/b#c/d").rest(), ["#a", "b"]);
    assert_eq!(shoutrrr("x://h/#a/b#c/d").rest(), [""; 0]);
    assert_eq!(shoutrrr("x://h/a#b?c").rest(), ["a"]);
    assert!(
        apprise("x://h/a/").is_folder() && !apprise("x://h/a").is_folder() && !apprise("x://h").is_folder()
    );
}

#[test]
fn each_dialect_has_its_own_query() {
    let mut url = apprise("x://h?+a=b+c&d= e ;f&d=g&-=h&to=+1,%20+2,");
    assert_eq!(url.prefixed("+"), [("a".to_owned(), "b+c".to_owned())]);
    assert_eq!((url.option(&["d"]), url.option(&["f"])), (Some("g".into()), Some(String::new())));
    assert_eq!(url.list(&["to"]), ["+1", "+2"]);
    assert_eq!(url.prefixed("-"), [("", ""); 0].map(|(a, b): (&str, &str)| (a.to_owned(), b.to_owned())));
    let mut url = shoutrrr("x://h?a+b=c+d%2B;e&f=1&f=2&g=perhaps");
    assert_eq!(url.option(&["a b"]), Some("c d+;e".into()));
    assert_eq!(url.option(&["f"]), Some("1".into()));
    assert_eq!(url.flag(&["g"]).unwrap_err().part, "?g");
    let such = url.options(|name| name == "f");
    assert_eq!((such.len(), url.has_option("f")), (1, false));
}

#[test]
fn what_nobody_takes_is_left_out_and_said() {
    let finish = |text: &str, has_format| {
        let url = read(text, UrlDialect::Apprise);
        url.finish(vec![Map::new(), Map::new()], has_format).map_err(|problem| problem.part)
    };
    let all = finish("x://u:p@h:1/a?overflow=split&format=text&rto=5&odd=secret", true).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        Value::from(all[1].settings.clone()),
        serde_json::json!({ "overflow": "split", "format": "plain" })
    );
    let parts: Vec<&str> = all[0].left_out.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(parts, ["?rto", "user", "password", "host", "port", "path", "?odd"]);
    assert!(!all[0].left_out.concat().contains("secret"));
    assert_eq!(finish("x://h?overflow=never", true), Err("?overflow".to_owned()));
    assert_eq!(finish("x://h?format=tex", true), Err("?format".to_owned()));
}

#[test]
fn an_unknown_scheme_is_of_nobody() {
    for text in ["nftys://h/t", "://h", "generic", "json:/h", "json+https://h", "mailto:a@b"] {
        assert_eq!(from_url(text, None).unwrap_err().part, "scheme", "{text}");
    }
    assert_eq!(from_url("json://h", Some(UrlDialect::Shoutrrr)).unwrap_err().part, "scheme");
    assert!(from_url("generic+https://h", None).is_ok());
}

/// Letters that no text of a problem has.
const CANARY: &str = "[ЖЩЮЯ]{4,9}";

/// URLs of every scheme, of pieces in any order.
fn urls() -> impl Strategy<Value = String> {
    let schemes = provider::ALL.iter().flat_map(|entry| entry.urls.apprise.iter().chain(entry.urls.shoutrrr));
    let scheme = prop::sample::select(schemes.copied().collect::<Vec<_>>());
    let marks = "/|:|@|?|&|=|#|+|!|,|;|-|%|%2F|%40|%00|$|[|]|.|..|1|123:|xoxb-|hook:|tk_|mode=|to=|token=|priority=|topic=|method=|template=|+https";
    let mark = prop::sample::select(marks.split('|').collect::<Vec<_>>()).prop_map(str::to_owned);
    let piece = prop_oneof![2 => mark, 1 => CANARY];
    (scheme, prop::collection::vec(piece, 0..14))
        .prop_map(|(scheme, rest)| format!("{scheme}://{}", rest.concat()))
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), url in urls()) {
        for dialect in [None, Some(UrlDialect::Apprise), Some(UrlDialect::Shoutrrr)] {
            let _ = from_url(&text, dialect);
            let _ = from_url(&format!("{}://{text}", url.split("://").next().unwrap()), dialect);
            let _ = from_url(&url, dialect);
        }
    }

    #[test]
    fn a_problem_quotes_nothing(url in urls(), unknown in CANARY) {
        for url in [url.clone(), format!("{unknown}{url}"), url.replace("://", &unknown)] {
            for dialect in [None, Some(UrlDialect::Apprise), Some(UrlDialect::Shoutrrr)] {
                let Err(UrlProblem { part, problem, hint }) = from_url(&url, dialect) else { continue };
                let said = format!("{part} {problem} {hint}");
                prop_assert!(!said.contains(['Ж', 'Щ', 'Ю', 'Я', 'ж', 'щ', 'ю', 'я']), "{}", said);
            }
        }
    }
}

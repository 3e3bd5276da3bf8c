//! A notification in JSON, and then every provider's formatting of it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nuncio_guest::config::Config;
use nuncio_guest::ingest;
use nuncio_guest::provider::Occasion;

/// One target of each kind, without a Sync bound to trouble anybody: the fuzzer has one thread.
struct Targets(Config);
unsafe impl Sync for Targets {}
unsafe impl Send for Targets {}

static TARGETS: LazyLock<Targets> = LazyLock::new(|| {
    let url = r#"{"$secret":"u"}"#;
    let targets = [
        r#"{"name":"n","provider":"ntfy","url":"https://x","topic":"t"}"#.to_owned(),
        r#"{"name":"g","provider":"gotify","url":"https://x","token":{"$secret":"t"}}"#.to_owned(),
        format!(
            r#"{{"name":"s","provider":"webhook","url":{url},"payload":"$message","sign":{{"secrets":{url}}}}}"#
        ),
        format!(r#"{{"name":"d","provider":"webhook","url":{url},"template":"discord"}}"#),
        format!(
            r#"{{"name":"j","provider":"webhook","url":{url},"payload":"{{\"a\":$title,\"b\":\"$message $fields\"}}"}}"#
        ),
        format!(
            r#"{{"name":"f","provider":"webhook","url":{url},"payload":"a=$title&b=$message","mime_type":"application/x-www-form-urlencoded"}}"#
        ),
    ];
    let config = format!(r#"{{"targets":[{}]}}"#, targets.join(","));
    Targets(Config::read(&config).unwrap_or_else(|problems| panic!("{problems:?}")))
});

fuzz_target!(|text: &str| {
    let Ok(notification) = ingest::read(text, "id".to_owned(), 0) else { return };
    let occasion = Occasion { now: notification.at, is_plain: false };
    for target in TARGETS.0.targets() {
        let requests = target.format(&notification, &occasion).expect("every notification can be sent");
        assert!(!requests.is_empty());
        assert_eq!(requests, target.format(&notification, &occasion).expect("and again"));
    }
});

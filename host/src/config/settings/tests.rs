use serde_json::json;

use super::*;

fn schema(root: Json) -> Schema {
    Schema { root, origins: Vec::new() }
}

fn nested() -> Schema {
    schema(json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "format": "uri"},
            "token": {"$ref": "#/$defs/Secret"},
            "either": {"anyOf": [{"type": "null"}, {"oneOf": [{"$ref": "#/$defs/Secret"}]}]},
            "headers": {"type": "object", "additionalProperties": {"writeOnly": true, "type": "string"}},
            "keys": {"type": "array", "items": {"$ref": "#/$defs/Secret"}},
            "whole": {"type": "object", "writeOnly": true, "additionalProperties": {"type": "string"}},
            "tree": {"$ref": "#/$defs/Tree"},
            "any": true,
        },
        "additionalProperties": false,
        "$defs": {
            "Secret": {"type": "string", "writeOnly": true},
            "Tree": {
                "type": "object",
                "properties": {"child": {"$ref": "#/$defs/Tree"}, "pin": {"$ref": "#/$defs/Secret"}},
            },
        },
    }))
}

#[test]
fn a_place_is_secret_if_any_branch_is() {
    let schema = nested();
    let top = schema.rules();
    for (path, is_secret) in [
        ("url", false),
        ("token", true),
        ("either", true),
        ("headers", false),
        ("headers/X", true),
        ("whole", true),
        ("whole/x", true),
        ("tree/child/child/pin", true),
        ("tree/child/child", false),
        ("any/x", false),
    ] {
        let rules = path.split('/').fold(schema.rules(), |rules, key| rules.member(key));
        assert_eq!(rules.is_secret(), is_secret, "{path}");
    }
    assert!(top.member("keys").item().is_secret());
    assert!(top.member("url").is_uri() && !top.member("token").is_uri());
}

#[test]
fn secrets_inside_are_found_through_recursion() {
    let schema = nested();
    let top = schema.rules();
    for (key, holds) in [("tree", true), ("headers", true), ("keys", true), ("url", false), ("any", false)] {
        assert_eq!(top.member(key).holds_secrets(), holds, "{key}");
    }
}

#[test]
fn what_may_stand_somewhere_is_known() {
    let schema = nested();
    let top = schema.rules();
    assert!(top.takes_maps() && !top.takes_lists() && !top.takes_scalars());
    assert!(top.member("keys").takes_lists() && top.member("either").takes_scalars());
    assert!(top.is_unknown("tokn") && !top.is_unknown("any"));
    assert!(!top.member("headers").is_unknown("X") && !top.member("any").is_unknown("x"));
    assert!(top.is_refused("tokn") && !top.is_refused("token"));
    assert!(top.member("tree").is_unknown("x") && !top.member("tree").is_refused("x"));
}

#[test]
fn a_component_of_somebody_else_cannot_make_a_secret_an_open_setting() {
    let open = r##"{"properties": {"token": {"$ref": "#/$defs/Text"}, "pin": {"type": "string"},
        "text": {"type": "string"}}, "$defs": {"Text": {"type": "string"}}}"##;
    let (theirs, ours) = (
        [Provider::of("a", open, &[]), Provider::of("b", open, &[])],
        [Provider::of("a", &nested().root.to_string(), &[])],
    );
    let catalog = Catalog::new(&theirs, Some(&ours));
    assert!(catalog.is_foreign());
    for name in ["a", "b"] {
        let rules = catalog.schema(name).unwrap().unwrap().rules();
        assert!(rules.member("token").is_secret() && rules.member("token").takes_scalars(), "{name}");
        assert!(!rules.member("text").is_secret() && !rules.is_unknown("text"), "{name}");
    }
    let own = catalog.schema("a").unwrap().unwrap().rules();
    assert!(own.member("headers").member("X").is_secret() && own.member("keys").item().is_secret());
    assert!(!Catalog::new(&theirs, None).schema("a").unwrap().unwrap().rules().member("token").is_secret());
}

#[test]
fn a_text_has_the_form_of_some_branch() {
    let of = |branches: Json| {
        let schema = schema(json!({ "properties": { "key": { "anyOf": branches } } }));
        let missed = |text: &str| schema.rules().member("key").missed_form(text);
        (missed("ab1"), missed("ab"))
    };
    let like = |pattern: &str, about: &str| json!({ "pattern": pattern, "description": about });
    let (takes_all, takes_one) = ((None, None), |about: &str| (None, Some(about.to_owned())));
    assert_eq!(of(json!([like(r"^[a-b]+\d$", "letters,\na digit")])), takes_one("letters, a digit"));
    assert_eq!(of(json!([{ "type": ["null", "string"], "pattern": "1" }])), takes_one("what matches `1`"));
    assert_eq!(of(json!([like("^a", "x"), like("1", "y")])), takes_all);
    assert_eq!(of(json!([like("1", "x"), { "type": "string" }])), takes_all);
    assert_eq!(of(json!([like("1", "x"), { "type": "array", "items": like("z", "y") }])), takes_one("x"));
    assert_eq!(of(json!([like("1", &"x".repeat(1_000))])), takes_one(&"x".repeat(LONGEST_FORM)));
    for unreadable in ["(", "(?=a)", "((x{100}){100}){100}"] {
        assert_eq!(of(json!([like(unreadable, "x")])), takes_all);
    }
}

#[test]
fn a_provider_that_cannot_be_read_is_known_as_such() {
    let providers = [
        Provider::of("good", "{}", &["https://example.com"]),
        Provider::of("bad", "{", &[]),
        Provider::of("worse", "{}", &["example.com"]),
    ];
    let catalog = Catalog::new(&providers, None);
    assert!(catalog.schema("good").unwrap().is_some_and(|schema| schema.origins.len() == 1));
    assert!(catalog.schema("bad").unwrap().is_none() && catalog.schema("worse").unwrap().is_none());
    assert!(catalog.schema("Good").is_none());
}

#[test]
fn a_line_without_a_tree_shows_no_value_that_may_be_secret() {
    let providers = [Provider::of("a", &nested().root.to_string(), &[])];
    let catalog = Catalog::new(&providers, None);
    for (line, hidden) in [
        ("  - url: a: b", ""),
        ("  token: a: b ", "a: b"),
        ("  token: ", ""),
        ("  tokn: a: b", "a: b"),
        ("  headers: {X: abc", "{X: abc"),
        ("  - abc", "abc"),
        ("targets: [{name: a, token: abc", "[{name: a, token: abc"),
        ("url: https://u:abc@h: x", "https://u:abc@h: x"),
        ("  \"name\": abc\" d", ""),
        ("", ""),
    ] {
        assert_eq!(&line[catalog.doubtful(line)], hidden, "{line}");
    }
}

#[test]
fn a_schema_in_which_everything_refers_to_everything_is_read_at_once_or_not_at_all() {
    let schema = |settings: usize| {
        let all: Vec<String> = (0..settings).map(|n| format!("\"a{n}\":{{\"$ref\":\"#\"}}")).collect();
        format!("{{\"properties\":{{{}}}}}", all.join(","))
    };
    let providers: Vec<Provider> =
        [500, 10_000].map(|n| Provider::of(&n.to_string(), &schema(n), &[])).into();
    let catalog = Catalog::new(&providers, None);
    assert!(catalog.schema("500").unwrap().is_some() && catalog.schema("10000").unwrap().is_none());
    let many: Vec<Provider> =
        (0..40).map(|n| Provider::of(&n.to_string(), &" ".repeat(60_000), &[])).collect();
    assert!(Catalog::new(&many, None).schema("39").unwrap().is_none(), "nor more than fits in all");
}

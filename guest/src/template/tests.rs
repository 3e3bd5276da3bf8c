//! What templates write, what conditions say, and what is said of those that are wrong.

use proptest::prelude::*;

use super::*;
use crate::notification::tests::{fields, items, notification};
use crate::provider::tests::notifications;

fn down() -> Notification {
    let body = fields(&[("Service", "web"), ("Detail", "no \"route\"")]);
    let mut down = notification(Level::Error, "web <is> down", body);
    (down.tags, down.link) = (vec!["db".into(), "prod".into()], Some("https://x.example/".into()));
    down
}

fn written(source: &str) -> String {
    Template::read(source).unwrap().write(&down(), Format::Markdown).unwrap()
}

fn problem(source: &str) -> (String, String) {
    Template::read(source).unwrap_err()
}

fn holds(source: &str, notification: &Notification) -> bool {
    Condition::read(source).unwrap().holds(notification).unwrap()
}

#[test]
fn a_template_writes_what_it_names() {
    for (source, text) in [
        ("plain $title", "plain $title"),
        ("{{ title | upper }}!\n", "WEB <IS> DOWN!\n"),
        ("{{ level }} {{ color }} {{ time }}", "error #ff0000 2023-11-14T22:13:20.000Z"),
        (
            "{{ tags | join(', ') }}/{{ tags | length }}/{{ tags | first }}/{{ tags | last }}",
            "db, prod/2/db/prod",
        ),
        ("{{ fields.Service }}: {{ fields['Detail'] | tojson }}", r#"web: "no \"route\"""#),
        (
            "{% for name in fields %}{{ name }}={{ fields[name] }};{% endfor %}{{ fields.Nobody }}",
            "Service=web;Detail=no \"route\";",
        ),
        (
            "{{ key | default('none') }} {% if link %}{{ link | urlencode }}{% endif %}",
            "none https%3A%2F%2Fx.example%2F",
        ),
        ("{{ title | truncate(5) }} {{ title | replace('<is>', 'was') | lower }}", "web … web was down"),
        ("{% if level >= \"warn\" %}!{% endif %}{% if \"critical\" > level %}?{% endif %}", "!?"),
        ("{# level >= 'x' #}{{ '  a ' | trim }}{% if key is none %}-{% endif %}", "a-"),
    ] {
        assert_eq!(written(source), text, "{source}");
    }
    assert_eq!(written("{{ message }}"), "#### Service\nweb\n#### Detail\nno \"route\"\n");
    let plain = Template::read("{{ message }}").unwrap().write(&down(), Format::Plain).unwrap();
    assert_eq!(plain, "Service: web\nDetail: no \"route\"");
}

#[test]
fn what_is_filled_in_is_no_template() {
    let mut sly = down();
    sly.title = "{{ id }}{% for x in range(9) %}".into();
    let written = Template::read("{{ title }}").unwrap().write(&sly, Format::Markdown).unwrap();
    assert_eq!(written, sly.title);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (source, what, hint) in [
        ("a\n{{ titel }}", "line 2", "known names are id, time"),
        ("{{ title | upcase }}", "line 1", "known filters are default"),
        ("{% if title %}", "line 1", "Jinja"),
        ("a\nb\n{{ level >= 'wran' }}", "in its line 3: no level is called `wran`; did you mean `warn`?", ""),
        ("{{ title", "line 1", ""),
    ] {
        let (problem, told) = problem(source);
        assert!(problem.contains(what) && told.contains(hint), "{source}: {problem} ({told})");
    }
}

#[test]
fn a_template_ends_soon_and_writes_little() {
    let endless = Template { source: "{% for a in items %}{% for b in items %}{% for c in items %}x{% endfor %}{% endfor %}{% endfor %}".into() };
    let many = notification(Level::Info, "t", Body::Items(vec!["x".into(); 1000]));
    assert_eq!(endless.write(&many, Format::Plain).unwrap_err().what, "it takes too long");
    let long = Template { source: "{% for a in items %}{{ title }}{% endfor %}".into() };
    let wide = Notification { title: "x".repeat(1000), ..many };
    assert_eq!(long.write(&wide, Format::Plain).unwrap_err().what, "it writes more than 256 KiB");
}

#[test]
fn conditions_compare_levels_by_how_serious_they_are() {
    for (source, expected) in [
        ("level >= \"warn\" and \"db\" in tags", true),
        ("level > 'error'", false),
        ("'fatal' > level", true),
        ("level == \"ERROR\" or level == 'fatal'", true),
        ("level != 'error'", false),
        ("level in ['warn', 'error']", true),
        ("{'}}': {'a': title}}['}}']['a'] == title", true),
        ("not (level < 'error') and title == 'error'", false),
        ("title is startingwith('web') and fields.Service == 'web'", true),
        ("link and not key", true),
        ("tags | length > 2", false),
    ] {
        assert_eq!(holds(source, &down()), expected, "{source}");
    }
    for (source, what) in [
        ("level >= 'loud'", "no level is called `loud`"),
        ("tag == 'x'", "undefined"),
        ("level >=", "unexpected end"),
        ("'db' in tags and", "unexpected end"),
        ("title | nope", "filter"),
        ("}}a", "in its line 1: nothing opens its `}`"),
        ("'}' in title and\n)}}a", "in its line 2: nothing opens its `)`"),
        ("{'a': {'b': 1}}}}", "nothing opens its `}`"),
    ] {
        let (problem, _) = Condition::read(source).unwrap_err();
        assert!(problem.contains(what), "{source}: {problem}");
    }
}

// Which there are differs from one notification to the next, so that this is no mistake of whoever wrote it.
#[test]
fn a_field_that_is_missing_is_empty() {
    assert!(!holds("fields.Host == 'a'", &down()) && !holds("fields.Host", &down()));
    assert!(holds("fields.Host | default('a') == 'a'", &down()));
    let list = notification(Level::Info, "t", items(&["a", "b"]));
    assert!(holds("'b' in items and items | length == 2", &list));
}

proptest! {
    #[test]
    fn no_text_panics(source in r#"[ -~\n"\\{}%#|<>=é]{0,60}"#, notification in notifications()) {
        if let Ok(template) = Template::read(&source) {
            let _ = template.write(&notification, Format::Markdown);
        }
        if let Ok(condition) = Condition::read(&source) {
            let _ = condition.holds(&notification);
        }
    }

    #[test]
    fn a_title_arrives_as_it_is(notification in notifications()) {
        let written = Template::read("{{ title }}").unwrap().write(&notification, Format::Markdown).unwrap();
        prop_assert_eq!(written, notification.title);
    }
}

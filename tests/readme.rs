//! The README says what the program says: its generated parts are compared with what the program prints,
//! and written anew where `NUNCIO_BLESS` is set.

use std::path::Path;
use std::process::Command;

use nuncio::store::SqliteStore;

use crate::command_line::nuncio;
use crate::queue::{one_target, titled};
use crate::scripted::{Receiver, reply};
use crate::stage::{BEGINNING, Stage};

/// The text between `<!-- NAME -->` and `<!-- /NAME -->`, and how it should read.
fn part(name: &str, should: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).expect("the README is there");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = readme.split_once(&begin).unwrap_or_else(|| panic!("README has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("README has no {end}"));
    let blessed = format!("{before}{begin}{should}{end}{after}");
    #[expect(clippy::disallowed_methods, reason = "how a person asks for the parts to be written")]
    if std::env::var("NUNCIO_BLESS").is_ok() {
        std::fs::write(&path, blessed).expect("the README can be written");
    } else {
        assert!(
            readme == blessed,
            "README's part {name} is not what the program prints; run the tests with NUNCIO_BLESS=1"
        );
    }
}

fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

#[test]
fn the_generated_parts_are_what_the_program_prints() {
    let catalog = printed(nuncio().args(["providers", "--json"]));
    let catalog: serde_json::Value = serde_json::from_str(&catalog).expect("it prints JSON");
    let rows: String = catalog
        .as_array()
        .expect("a list")
        .iter()
        .map(|provider| {
            let text = |member: &str| provider[member].as_str().expect("text").replace('|', "\\|");
            let code = |member: &str| match text(member) {
                form if form.is_empty() => String::new(),
                form => form.split(" or ").map(|form| format!("`{form}`")).collect::<Vec<_>>().join(" or "),
            };
            let limits = provider["limits"].as_array().expect("a list").iter();
            let limits: Vec<String> = limits
                .map(|limit| {
                    [&limit["name"], &limit["most"]].map(|text| text.as_str().expect("text")).join(" ")
                })
                .collect();
            format!(
                "| {} | {} | {} | {} | {} | {} | {} |\n",
                text("name"),
                text("summary"),
                text("auth"),
                limits.join(", "),
                text("dialect"),
                code("apprise_form"),
                code("shoutrrr_form")
            )
        })
        .collect();
    let head = "| provider | what it is | login | limits | text | Apprise | shoutrrr |\n|---|---|---|---|---|---|---|\n";
    part("providers", &format!("{head}{rows}"));

    let example = include_str!("../guest/src/provider/example.rs");
    let (example, _) = example.split_once("\n#[cfg(test)]").expect("its tests come last");
    part("example", &format!("```rust,ignore\n{}\n```\n", example.trim_end()));

    let mut help = String::new();
    for command in ["send", "serve"] {
        // A narrow terminal everywhere, so that lines break the same.
        let text = printed(nuncio().args([command, "--help"]).env("COLUMNS", "100"));
        help += &format!("```text\n$ nuncio {command} --help\n{}\n```\n\n", text.trim_end());
    }
    part("help", &help);
}

/// The queries that the README shows find something in a queue that holds one of each kind.
#[tokio::test]
async fn the_queries_run_and_find_what_they_say() {
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("```sql\n").expect("the README shows queries");
    let queries: Vec<&str> = after.split("```").next().unwrap_or_default().split("\n\n").collect();
    assert_eq!(queries.len(), 3);

    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("queue.db");
    let receiver = Receiver::start([reply(200), reply(400), reply(503)]);
    let store = SqliteStore::open(&path).expect("it can be made");
    let stage = Stage::start_with(&one_target(&receiver, ""), |builder| builder.store(store));
    for title in ["arrives", "dies", "waits"] {
        stage.hand_in(titled(title)).await;
        stage.nuncio.idle().await;
    }
    let connection = rusqlite::Connection::open(&path).expect("it opens");
    // The instants are the scripted clock's.
    let now = BEGINNING / 1_000;
    for query in queries {
        let query = query.replace("unixepoch()", &now.to_string());
        let mut statement = connection.prepare(query.trim()).expect("it is right");
        let mut rows = statement.query([]).expect("it runs");
        let row = rows.next().expect("it reads").expect("it finds one");
        assert_eq!(row.get::<_, String>(0).expect("a name"), "phone");
        assert!(rows.next().expect("it reads").is_none());
    }
}

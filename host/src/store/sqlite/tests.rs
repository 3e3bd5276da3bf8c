use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::*;
use crate::contract::{Class, Level, Notification};
use crate::store::{Delivery, DeliveryKey, Progress, Query, Record, Settlement, State};

const NOW: u64 = 1_795_383_000_000;

fn accept(id: &str, text: &str) -> Operation {
    let notification =
        Notification { id: id.into(), at: NOW, ..Notification::new(Level::Info, "t").text(text) };
    let deliveries = vec![Delivery::queued("x", NOW)];
    Operation::Accept(Record { notification: Arc::new(notification), idempotency_key: None, deliveries })
}

fn delivered(record: u64) -> Operation {
    let progress =
        Progress { state: State::Delivered, due_at: None, ended_at: Some(NOW), ..Progress::queued(NOW) };
    let (key, target) = (DeliveryKey { record, n: 0 }, "x".into());
    Operation::Settle(Settlement { key, target, had_ended: false, level: Level::Info, replaces: 0, progress })
}

fn opened() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("below/queue.db")).unwrap();
    (folder, store)
}

#[test]
fn a_new_file_is_its_users_alone_and_tells_what_it_is() {
    let (_folder, store) = opened();
    for file in [store.path.clone(), PathBuf::from(format!("{}.lock", store.path.display()))] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let connection = store.connection.as_ref().unwrap();
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("application_id"), pragma("user_version")), (0x4e75_6e63, schema::VERSION));
    // 2 is FULL: an fsync at every commit (https://sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!((pragma("synchronous"), pragma("auto_vacuum")), (2, 2));
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_newer_schema_and_other_peoples_files_are_left_alone() {
    let (folder, store) = opened();
    let path = store.path.clone();
    drop(store);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(OpenError::Newer { version: 99, .. })));
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&foreign).unwrap();
    assert!(matches!(SqliteStore::open(&foreign), Err(OpenError::NotAQueue(_))));
    assert_eq!(fs::read(&foreign).unwrap(), before);
}

#[test]
fn a_commit_that_fails_is_as_if_it_had_never_been_and_the_next_one_opens_the_file_anew() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", "")]).unwrap();
    let connection = store.connection.as_ref().unwrap();
    // As a full disk: SQLite may add no page.
    connection.pragma_update_and_check(None, "max_page_count", 1, |_| Ok(())).unwrap();
    let large = "x".repeat(1 << 20);
    let group = [delivered(1), accept("b", &large)];
    let failed = store.commit(&group).unwrap_err();
    assert!(failed.to_string().contains("full"), "{failed}");
    assert!(store.connection.is_none());
    let mut reader = store.reader();
    let open = reader.list(&Query::open()).unwrap().entries;
    assert_eq!(open.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(store.commit(&group).unwrap(), [Done::Settled, Done::Accepted(2)]);
}

#[test]
fn what_was_written_but_never_acknowledged_is_taken_out() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", "")]).unwrap();
    // A commit that reached the disk, and whose word did not come back.
    let before = store.tally;
    let Operation::Settle(mut delivered) = delivered(3) else { unreachable!() };
    delivered.progress.detail = "status 200".into();
    store.commit(&[accept("b", ""), accept("d", ""), Operation::Settle(delivered)]).unwrap();
    (store.tally, store.connection) = (before, None);
    assert_eq!(store.commit(&[accept("c", "")]).unwrap(), [Done::Accepted(2)]);
    let mut reader = store.reader();
    assert_eq!((reader.find("b").unwrap(), reader.find("d").unwrap()), (None, None));
    let usage = reader.usage().unwrap();
    assert_eq!((usage.open, usage.bytes), (store.tally.open, store.tally.bytes));
    assert_eq!(usage.open, 2);
    let ended = "SELECT count(*) FROM ended_delivery";
    let connection = store.connection.as_ref().unwrap();
    assert_eq!(connection.query_row(ended, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn the_file_shrinks_when_what_it_held_is_forgotten() {
    let (_folder, mut store) = opened();
    let text = "x".repeat(2_000);
    for n in 0..20_u64 {
        let group: Vec<Operation> = (0..200).map(|m| accept(&format!("{n}-{m}"), &text)).collect();
        store.commit(&group).unwrap();
        let group: Vec<Operation> = (1..=200).map(|m| delivered(n * 200 + m)).collect();
        store.commit(&group).unwrap();
    }
    let size = |store: &SqliteStore| store.reader().usage().unwrap().file_bytes;
    let full = size(&store);
    let mut steps = 0;
    while store.commit(&[Operation::Prune(u64::MAX)]).unwrap() != [Done::Pruned { next: None }] {
        steps += 1;
        assert!(steps < 200, "it never ends");
    }
    let empty = size(&store);
    assert!(full > 8_000_000 && empty < full / 6, "{full} bytes, then {empty}");
}

#[test]
fn one_process_writes_and_others_are_told_who() {
    let (_folder, mut store) = opened();
    let owner = Owner { process: 7, address: Some("127.0.0.1:1".into()), token: Some("canary".into()) };
    store.announce(&owner).unwrap();
    let Err(OpenError::InUse(in_use)) = SqliteStore::open(store.path.clone()) else { panic!("it opened") };
    assert_eq!(in_use.owner, Some(owner));
    assert!(in_use.to_string().contains("process 7, which listens on http://127.0.0.1:1"), "{in_use}");
    assert!(!format!("{in_use:?}{in_use}").contains("canary"));
    let path = store.path.clone();
    drop(store);
    assert!(SqliteStore::open(path).is_ok());
}

#[test]
fn what_somebody_broke_in_the_file_is_an_error_and_no_panic() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", "")]).unwrap();
    let connection = Connection::open(&store.path).unwrap();
    for (column, value) in [("level", "loud"), ("body", "{"), ("body", "[1]"), ("tags", "{}")] {
        connection.execute(&format!("UPDATE notification SET {column} = ?1"), [value]).unwrap();
        let found = store.reader().find("a");
        assert!(matches!(found, Err(StoreError::Broken(_))), "{column} = {value}: {found:?}");
        connection.execute("UPDATE notification SET level = 'info', body = '\"\"', tags = '[]'", []).unwrap();
    }
    store.commit(&[accept("b", "")]).unwrap();
    connection.execute("UPDATE open_delivery SET state = 'gone' WHERE key >> 16 = 1", []).unwrap();
    let page = store.reader().list(&Query::default()).unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["b"]);
    let (key, why) = &page.unreadable[0];
    assert!(key.to_string() == "1.0" && why.contains("no state"), "{why}");
    let page = store.reader().list(&Query { limit: 1, ..Query::default() }).unwrap();
    assert_eq!((page.entries.len(), page.next), (0, Some(*key)));
}

#[test]
fn what_somebody_says_was_the_last_record_takes_none_of_those_that_are_there() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", ""), accept("b", "")]).unwrap();
    let path = store.path.clone();
    drop(store);
    let say =
        |last: i64| Connection::open(&path).unwrap().execute("UPDATE tally SET last = ?1", [last]).unwrap();
    let ids = |store: &SqliteStore| -> Vec<String> {
        let page = store.reader().list(&Query::default()).unwrap();
        page.entries.into_iter().map(|entry| entry.id).collect()
    };
    say(0);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.commit(&[accept("c", "")]).unwrap(), [Done::Accepted(3)]);
    drop(store);
    for last in [i64::MAX, 1 << 47, (1 << 47) - 1] {
        say(last);
        let Err(error) = SqliteStore::open(&path) else { panic!("{last} was the last") };
        assert!(error.to_string().contains("put back `tally.last`"), "{error}");
    }
    say((1 << 47) - 2);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.commit(&[accept("d", "")]).unwrap(), [Done::Accepted((1 << 47) - 1)]);
    assert!(store.commit(&[accept("e", "")]).is_err());
    assert_eq!(ids(&store), ["a", "b", "c", "d"]);
    assert_eq!(store.reader().find("d").unwrap().unwrap().deliveries.len(), 1);
}

#[test]
fn a_record_whose_deliveries_are_there_is_not_forgotten_as_one_without_any() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", "")]).unwrap();
    Connection::open(&store.path).unwrap().execute("UPDATE notification SET is_unmatched = 1", []).unwrap();
    let pruned = store.commit(&[Operation::Prune(u64::MAX)]).unwrap();
    assert_eq!(pruned, [Done::Pruned { next: None }]);
    assert_eq!(store.reader().list(&Query::open()).unwrap().entries.len(), 1);
}

#[test]
fn where_somebody_put_a_row_that_is_to_be_written_it_is_written_all_the_same() {
    let (_folder, mut store) = opened();
    let retried = |record| {
        let Operation::Settle(mut settlement) = delivered(record) else { unreachable!() };
        settlement.progress.attempts = 2;
        settlement.progress.class = Some(Class::Delivered);
        Operation::Settle(settlement)
    };
    store.commit(&[accept("a", ""), accept("b", ""), retried(1)]).unwrap();
    let connection = Connection::open(&store.path).unwrap();
    let columns = "target, state, attempts, queued_at, detail, tried, sent, parts, faults, plain";
    // What has arrived is to be sent again, what waits is said to have arrived, and one waits that is yet to come.
    let rows = format!(
        "INSERT INTO open_delivery (key, {columns}, moved) SELECT key, {columns}, 0 FROM ended_delivery; \
         INSERT INTO ended_delivery (key, ended_at, {columns}) SELECT key, 0, {columns} FROM open_delivery \
         WHERE key >> 16 = 2; \
         INSERT INTO open_delivery (key, {columns}, moved) SELECT 3 << 16, {columns}, 0 FROM open_delivery LIMIT 1; \
         UPDATE open_delivery SET attempts = 9 WHERE key >> 16 = 3"
    );
    connection.execute_batch(&rows).unwrap();
    let group = [retried(1), retried(2), accept("c", "")];
    assert_eq!(store.commit(&group).unwrap(), [Done::Settled, Done::Settled, Done::Accepted(3)]);
    let all = store.reader().list(&Query::default()).unwrap().entries;
    let all: Vec<(&str, u32)> = all.iter().map(|e| (e.id.as_str(), e.delivery.progress.attempts)).collect();
    assert_eq!(all, [("a", 2), ("b", 2), ("c", 0)]);
}

#[test]
fn a_list_goes_through_none_of_what_is_in_other_states() {
    let (_folder, mut store) = opened();
    let accepted: Vec<Operation> = (1..=2_000).map(|n| accept(&n.to_string(), "")).collect();
    store.commit(&accepted).unwrap();
    let ended = (1..=1_000).map(|number| {
        let Operation::Settle(mut settlement) = delivered(number) else { unreachable!() };
        settlement.progress.state = if number < 1_000 { State::Delivered } else { State::Dead };
        Operation::Settle(settlement)
    });
    store.commit(&ended.collect::<Vec<_>>()).unwrap();
    let connection = Connection::open(&store.path).unwrap();
    let steps = |states: &[State]| {
        let query = Query { states: states.to_vec(), limit: 1, ..Query::default() };
        let mut statement = connection.prepare(&read::list_sql(&query)).unwrap();
        assert!(statement.query_map([], |_| Ok(())).unwrap().count() > 0);
        statement.get_status(rusqlite::StatementStatus::VmStep)
    };
    // Neither of the two is in the words of one table.
    assert!(steps(&[State::Retrying, State::Dead]) > 3_000);
    for states in [State::OPEN.as_slice(), &[State::Dead], &[State::Delivered]] {
        let steps = steps(states);
        assert!(steps < 500, "{states:?}: {steps} steps");
    }
}

#[test]
fn a_file_that_is_taken_away_is_not_written_and_one_that_is_put_back_is() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", "")]).unwrap();
    let away = store.path.with_extension("away");
    fs::rename(&store.path, &away).unwrap();
    let refused = store.commit(&[accept("b", "")]).unwrap_err();
    assert!(refused.to_string().contains("somebody deleted or replaced"), "{refused}");
    fs::rename(&away, &store.path).unwrap();
    assert_eq!(store.commit(&[accept("b", "")]).unwrap(), [Done::Accepted(2)]);
    fs::remove_file(format!("{}.lock", store.path.display())).unwrap();
    assert!(store.commit(&[accept("c", "")]).is_err());
}

#[test]
fn a_link_leads_to_the_same_lock_and_a_lock_is_never_a_link() {
    let (folder, store) = opened();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&store.path, &link).unwrap();
    assert!(matches!(SqliteStore::open(&link), Err(OpenError::InUse(_))));
    let victim = folder.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("other.db.lock")).unwrap();
    assert!(matches!(SqliteStore::open(folder.path().join("other.db")), Err(OpenError::Unusable { .. })));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn a_tally_that_somebody_broke_is_counted_anew() {
    let (_folder, mut store) = opened();
    store.commit(&[accept("a", ""), accept("b", "")]).unwrap();
    Connection::open(&store.path).unwrap().execute("UPDATE tally SET open = 0, bytes = 0", []).unwrap();
    let path = store.path.clone();
    drop(store);
    let mut store = SqliteStore::open(path).unwrap();
    assert_eq!(store.commit(&[delivered(1), delivered(2)]).unwrap(), [Done::Settled, Done::Settled]);
    assert_eq!((store.tally.open, store.tally.bytes), (0, 0));
}

#[test]
fn another_programs_file_is_not_read_as_a_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE delivery (a)").unwrap();
    assert!(matches!(SqliteReader::new(path).usage(), Err(StoreError::Broken(_))));
}

#[test]
fn a_record_that_is_too_large_takes_no_room_from_one_that_is_not() {
    let (_folder, mut store) = opened();
    let limits = Limits { max_bytes: 10_000, reserve_for: Level::Trace, ..Limits::default() };
    let middle = "x".repeat(4_000);
    let kept = [Operation::Limit(limits), accept("open", &middle), accept("ended", &middle), delivered(2)];
    assert!(!store.commit(&kept).unwrap().contains(&Done::Full));
    // Not even all that has ended makes room for this, so that it is not looked for again; but for that it does.
    assert_eq!(store.commit(&[accept("large", &"x".repeat(9_000))]).unwrap(), [Done::Full]);
    assert_eq!(store.commit(&[accept("large", &"x".repeat(8_000))]).unwrap(), [Done::Full]);
    assert_eq!(store.commit(&[accept("small", &middle)]).unwrap(), [Done::Accepted(3)]);
    assert!(
        store.reader().find("ended").unwrap().is_none() && store.reader().find("open").unwrap().is_some()
    );
}

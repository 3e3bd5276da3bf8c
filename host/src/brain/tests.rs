use std::sync::Barrier;

use wasmtime::{Memory, MemoryType, Ref, RefType, Table, TableType};

use super::*;
use crate::contract::Level;

const TARGETS: &str =
    r#"{"targets":[{"name":"phone","provider":"webhook","url":{"$secret":"phone/url"},"payload":"{}"}]}"#;

#[test]
fn no_more_instances_are_kept_than_there_is_use_for() {
    const CALLS: usize = MOST_IDLE + 4;
    let dispatcher = Brain::new(EMBEDDED).unwrap().dispatcher(TARGETS).unwrap();
    let all_called = Barrier::new(CALLS);
    std::thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| {
                dispatcher.call(|_, _, _| {
                    all_called.wait();
                    Ok(())
                })
            });
        }
    });
    assert_eq!(dispatcher.idle.lock().unwrap().len(), MOST_IDLE);
}

#[test]
fn a_condition_sees_what_a_notification_says_and_filters_what_they_look_at() {
    let brain = Brain::new(EMBEDDED).unwrap();
    let filters = r#"{"targets":[
        {"name":"log","provider":"webhook","url":{"$secret":"x/url"},"payload":"{}"},
        {"name":"grave","provider":"webhook","url":{"$secret":"x/url"},"payload":"{}","filter":{"level":"error"}},
        {"name":"db","provider":"webhook","url":{"$secret":"x/url"},"payload":"{}","filter":{"tags":{"any":["db"]}}},
        {"name":"down","provider":"webhook","url":{"$secret":"x/url"},"payload":"{}"WHEN}]}"#;
    let asked = [
        Notification::new(Level::Info, "up"),
        Notification::new(Level::Fatal, "down").tag("db"),
        Notification::new(Level::Info, "up").tag("db").to("grave").to("nobody"),
    ];
    for (when, has_conditions, targets) in [
        ("", false, [vec![0, 3], vec![0, 1, 2, 3], vec![1]]),
        (r#","when":"title == 'down'""#, true, [vec![0], vec![0, 1, 2, 3], vec![1]]),
    ] {
        let dispatcher = brain.dispatcher(&filters.replace("WHEN", when)).unwrap();
        let routed = dispatcher.route(&asked).unwrap();
        assert_eq!(dispatcher.has_conditions.get(), Some(&has_conditions));
        let chosen: Vec<_> = routed.iter().map(|routed| routed.targets.clone()).collect();
        assert_eq!(chosen, targets, "{when}");
        let unknown =
            routed.iter().map(|routed| routed.unknown.iter().map(|name| name.at).collect::<Vec<_>>());
        assert!(unknown.eq([vec![], vec![], vec![1]]), "{when}");
    }
}

#[test]
fn an_instance_whose_call_failed_is_dropped() {
    let dispatcher = Brain::new(EMBEDDED).unwrap().dispatcher(TARGETS).unwrap();
    assert_eq!(dispatcher.idle.lock().unwrap().len(), 1);
    let broken = dispatcher.call(|_, _, _| -> wasmtime::Result<()> { Err(wasmtime::Trap::Interrupt.into()) });
    assert_eq!(broken.unwrap_err().to_string(), "the guest broke off: it took more than 1000 ms");
    assert_eq!(dispatcher.idle.lock().unwrap().len(), 0);
    assert_eq!(dispatcher.targets().unwrap().len(), 1);
    assert_eq!(dispatcher.idle.lock().unwrap().len(), 1);
}

#[test]
fn an_instance_cannot_grow_beyond_its_tables_and_memory() {
    let brain = Brain::new(EMBEDDED).unwrap();
    let table = |store: &mut Store<Bounds>, elements: usize| {
        let kind = TableType::new(RefType::FUNCREF, u32::try_from(elements).unwrap(), None);
        Table::new(store, kind, Ref::Func(None))
    };
    let (mut store, _) = brain.instantiate().unwrap();
    assert!(table(&mut store, MOST_TABLE_ELEMENTS + 1).is_err());
    let grown = table(&mut store, MOST_TABLE_ELEMENTS).unwrap();
    assert!(grown.grow(&mut store, 1, Ref::Func(None)).is_err());
    let memory = |store: &mut Store<Bounds>, pages| Memory::new(store, MemoryType::new(pages, None));
    let most = u32::try_from(Limits::default().memory >> 16).unwrap();
    assert!(memory(&mut store, most + 1).is_err());
    let grown = memory(&mut store, most).unwrap();
    assert!(grown.grow(&mut store, 1).is_err());
}

//! A brain whose memories a test can read, all of them, also those that are gone.
//!
//! ```ignore
//! let (brain, memories) = memories::watched();
//! // … something calls the brain …
//! assert!(!memories.contains(b"a secret"));
//! ```

use std::sync::{Arc, Mutex};

use nuncio::brain::{Brain, EMBEDDED, Limits};
use wasmtime::{Config, LinearMemory, MemoryCreator, MemoryType};

/// Every memory that instances of a brain had and have.
#[derive(Clone, Default)]
pub struct Memories(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// What those have that are in use, by their address.
    live: Vec<(usize, usize)>,
    /// What those had that are gone.
    gone: Vec<Vec<u8>>,
}

/// The embedded brain, and every memory that its instances have from now on.
pub fn watched() -> (Brain, Memories) {
    watched_of(EMBEDDED)
}

/// A component, and every memory that its instances have from now on.
pub fn watched_of(component: &[u8]) -> (Brain, Memories) {
    let memories = Memories::default();
    let mut config = Config::new();
    // A memory of the host's own is where it is, without pages around it that cannot be touched: code checks
    // every access.
    config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(0);
    // Nor can the system map a component's data into it.
    config.memory_init_cow(false);
    config.with_host_memory(Arc::new(Creator { memories: memories.clone() }));
    let brain = Brain::with_engine(component, Limits::default(), config);
    (brain.expect("the component is a brain"), memories)
}

impl Memories {
    /// Whether these bytes stand in any memory, of an instance that is kept or of one that is gone. Not while a
    /// call is under way.
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let seen = self.0.lock().unwrap();
        let has = |memory: &[u8]| memory.windows(bytes.len()).any(|window| window == bytes);
        let live = |(address, size): &(usize, usize)| {
            // SAFETY: a memory is taken off the list before it is freed, and no call changes it meanwhile.
            has(unsafe { std::slice::from_raw_parts(*address as *const u8, *size) })
        };
        seen.live.iter().any(live) || seen.gone.iter().any(|memory| has(memory))
    }

    /// How many memories there were and are.
    pub fn count(&self) -> usize {
        let seen = self.0.lock().unwrap();
        seen.live.len() + seen.gone.len()
    }
}

struct Creator {
    memories: Memories,
}

/// A memory that has at once all the room that it may ever take, so that it never moves.
struct Watched {
    bytes: Box<[u8]>,
    size: usize,
    memories: Memories,
}

// SAFETY: what is made is as large as was asked for, zeroed, and owned by whoever asked; tests only read it.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        assert!(guard == 0 && reserved.unwrap_or(0) == 0, "code relies on {guard} bytes that are not there");
        let most = Limits::default().memory;
        let room = maximum.map_or(most, |maximum| maximum.min(most)).max(minimum);
        let memory = Watched { bytes: vec![0; room].into(), size: minimum, memories: self.memories.clone() };
        memory.memories.0.lock().unwrap().live.push((memory.as_ptr() as usize, minimum));
        Ok(Box::new(memory))
    }
}

// SAFETY: the bytes stay where they are, and there are as many as is said.
unsafe impl LinearMemory for Watched {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.bytes.len()
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        assert!(size <= self.bytes.len(), "it grows beyond its limit");
        self.size = size;
        let address = self.as_ptr() as usize;
        let mut seen = self.memories.0.lock().unwrap();
        for live in seen.live.iter_mut().filter(|live| live.0 == address) {
            live.1 = size;
        }
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.bytes.as_ptr().cast_mut()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let (address, size) = (self.as_ptr() as usize, self.size);
        let mut seen = self.memories.0.lock().unwrap();
        seen.live.retain(|live| live.0 != address);
        seen.gone.push(self.bytes[..size].to_vec());
    }
}

#[test]
fn what_a_guest_was_given_is_found_and_what_it_was_not_is_not() {
    let (brain, memories) = watched();
    let config =
        r#"{"targets":[{"name":"phone","provider":"ntfy","url":"https://ntfy.sh","topic":"canary-topic"}]}"#;
    let dispatcher = brain.dispatcher(config).unwrap();
    assert!(memories.contains(b"canary-topic"), "an instance that is kept has read it");
    assert!(!memories.contains(b"canary-title"));
    // An instance of its own, which is gone when the answer is there.
    brain.read(r#"{"title":"canary-title"}"#, "id", 0).unwrap().unwrap();
    assert!(memories.contains(b"canary-title"), "an instance that is gone has read it");
    drop(dispatcher);
    assert!(memories.contains(b"canary-topic"), "it is gone now, and what it had is known");
    assert!(!memories.contains(b"canary-secret") && memories.count() == 2);
    // It grows: what stands behind the memory's first pages is found, too.
    let title = format!("{}canary-end", "x".repeat(200 << 10));
    brain.read(&serde_json::json!({ "title": title }).to_string(), "id", 0).unwrap().unwrap();
    assert!(memories.contains(b"canary-end"));
}

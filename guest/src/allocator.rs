//! The component's allocator: what was freed lately is handed out again, and the rest is talc's.
//!
//! A call makes some dozens of short texts and lists and frees all of them, as the call before it did. So blocks of
//! each size up to [`LARGEST`] bytes are kept in a list of their own when they are freed, [`MOST_KEPT`] at most, and the
//! next of that size is the first of the list: a few instructions, where finding room in a heap takes some hundred.
//!
//! What a host hands over comes to the same lists, by `cabi_realloc`.
//!
//! Guarantees: a block is in one list or in one hand, never in both; what is kept beside the heap is bounded by half a
//! megabyte. It is for one thread, which a component without atomics has.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;

/// A block is a multiple of this, in bytes.
const UNIT: usize = 16;

/// How many sizes are kept.
const SIZES: usize = 64;

/// The largest block that is kept, in bytes.
const LARGEST: usize = SIZES * UNIT;

/// How many blocks of a size are kept.
const MOST_KEPT: usize = 16;

/// No block that is kept is aligned to more, in bytes.
const ALIGNMENT: usize = 8;

/// Keeps blocks that were freed in front of another allocator.
pub struct Recycling<A> {
    heap: A,
    kept: UnsafeCell<[Kept; SIZES]>,
}

/// Free blocks of one size, each of which begins with the address of the next.
#[derive(Clone, Copy)]
struct Kept {
    first: *mut *mut u8,
    count: usize,
}

impl<A> Recycling<A> {
    /// Keeps blocks in front of this allocator.
    pub const fn new(heap: A) -> Self {
        Self { heap, kept: UnsafeCell::new([Kept { first: ptr::null_mut(), count: 0 }; SIZES]) }
    }

    /// What is kept of a block's size.
    ///
    /// # Safety
    ///
    /// Nobody else may hold what this returns.
    #[expect(
        clippy::mut_from_ref,
        reason = "it is the cell's, and whoever calls promises to be the only one"
    )]
    unsafe fn kept(&self, block: Layout) -> Option<&mut Kept> {
        // SAFETY: the caller is the only one who has it, and it is never handed on.
        unsafe { (*self.kept.get()).get_mut(block.size() / UNIT - 1) }
    }

    /// A block that was kept, where there is one.
    ///
    /// # Safety
    ///
    /// One thread, and whoever calls holds nothing that [`kept`](Self::kept) returned.
    #[inline(always)]
    unsafe fn again(&self, layout: Layout) -> Option<*mut u8> {
        // SAFETY: the caller's promise; a block in a list is as large as a pointer at least, and begins with one that
        // was written when it was freed; the block's size is not 0.
        unsafe {
            let kept = self.kept(block(layout)?)?;
            let first = kept.first;
            if first.is_null() {
                return None;
            }
            kept.first = first.read().cast();
            kept.count -= 1;
            Some(first.cast())
        }
    }
}

/// The block that serves a layout, where blocks like that are kept.
#[inline(always)]
fn block(layout: Layout) -> Option<Layout> {
    let is_kept = (1..=LARGEST).contains(&layout.size()) && layout.align() <= ALIGNMENT;
    let block = || Layout::from_size_align(layout.size().next_multiple_of(UNIT), ALIGNMENT).ok();
    is_kept.then(block).flatten()
}

// SAFETY: a block goes from the heap to whoever asked, from there into its list or back to the heap, and from its list
// to the next who asks; the layout with which the heap gave it is the one with which the heap gets it back, as `block`
// gives the same for every layout that it serves.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and nothing below calls back; the size is not 0, as the caller promises.
        unsafe { self.again(layout).unwrap_or_else(|| self.heap.alloc(block(layout).unwrap_or(layout))) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let Some(block) = block(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { self.heap.dealloc(at, layout) };
        };
        // SAFETY: as above; the block is the caller's no more, and aligned to a pointer.
        unsafe {
            match self.kept(block) {
                Some(kept) if kept.count < MOST_KEPT => {
                    let first: *mut *mut u8 = at.cast();
                    first.write(kept.first.cast());
                    kept.first = first;
                    kept.count += 1;
                }
                _ => self.heap.dealloc(at, block),
            }
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (block(layout), block(wanted)) {
            (Some(before), Some(after)) if before == after => at,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { self.heap.realloc(at, layout, size) },
            // SAFETY: both blocks are as large as what is copied, and are not the same.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    ptr::copy_nonoverlapping(at, new, layout.size().min(size));
                    self.dealloc(at, layout);
                }
                new
            },
        }
    }
}

/// Makes room for what a host hands over, as the canonical ABI has it ask
/// (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>). In the place of
/// `wit-bindgen`'s, which comes here by way of five functions, some twenty times a delivery.
///
/// # Safety
///
/// That of [`room`]; and no call of the allocator is under way, as none can be in a component that imports nothing.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(at: *mut u8, before: usize, align: usize, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let new = unsafe { room(&crate::ALLOCATOR, at, before, align, size) };
    if new.is_null() {
        // The host has the limit that was met, and says so.
        core::arch::wasm32::unreachable();
    }
    new
}

/// A block of a size, with what was in the one before; null where there is no room.
///
/// # Safety
///
/// One thread. `align` is a power of two. Where `before` is not 0, it is the size of a block of this allocator's with
/// this alignment, which the caller gives up, and `size` is not 0.
#[inline(always)]
unsafe fn room<A: GlobalAlloc>(
    allocator: &Recycling<A>,
    at: *mut u8,
    before: usize,
    align: usize,
    size: usize,
) -> *mut u8 {
    // SAFETY: the caller's promise, also for `size`: nothing is asked of the allocator where both are 0.
    unsafe {
        let layout = |size| Layout::from_size_align_unchecked(size, align);
        match (before, size) {
            // Nothing lies there, but it is aligned.
            (0, 0) => ptr::without_provenance_mut(align),
            (0, size) => match allocator.again(layout(size)) {
                Some(block) => block,
                None => allocator.alloc(layout(size)),
            },
            (before, size) => allocator.realloc(at, layout(before), size),
        }
    }
}

// SAFETY: a component without atomics has one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl<A: Sync> Sync for Recycling<A> {}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// The system's, and how many of its blocks are out.
    #[derive(Default)]
    struct Counted(Cell<usize>);

    // SAFETY: it is the system's.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.0.set(self.0.get() + 1);
            // SAFETY: the caller's promise; likewise below.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            self.0.set(self.0.get() - 1);
            unsafe { System.dealloc(at, layout) }
        }
    }

    /// A block in somebody's hand, filled with one byte.
    struct Held {
        at: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn fill(&self) {
            // SAFETY: it is this one's.
            unsafe { ptr::write_bytes(self.at, self.byte, self.layout.size()) }
        }

        fn is_as_it_was(&self, size: usize) -> bool {
            // SAFETY: it is this one's, and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(self.at, size) };
            bytes.iter().all(|byte| *byte == self.byte) && self.at.align_offset(self.layout.align()) == 0
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(Layout),
        Give(prop::sample::Index),
        Resize(prop::sample::Index, usize),
    }

    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![4 => 1..=80_usize, 2 => 1..=LARGEST + 40, 1 => 1..=20_000_usize]
    }

    fn step() -> impl Strategy<Value = Step> {
        let layout = (size(), 0..=5_u32);
        let layout = layout.prop_map(|(size, align)| Layout::from_size_align(size, 1 << align).unwrap());
        prop_oneof![
            3 => layout.prop_map(Step::Take),
            2 => any::<prop::sample::Index>().prop_map(Step::Give),
            2 => (any::<prop::sample::Index>(), size()).prop_map(|(of, size)| Step::Resize(of, size)),
        ]
    }

    proptest! {
        #[test]
        fn whoever_holds_a_block_holds_it_alone(steps in prop::collection::vec(step(), 1..200)) {
            let allocator = Recycling::new(Counted::default());
            let mut held: Vec<Held> = Vec::new();
            for (step, byte) in steps.into_iter().zip((0..=u8::MAX).cycle()) {
                match step {
                    Step::Take(layout) => {
                        // SAFETY: the size is not 0; every block is freed once, with its layout.
                        let at = unsafe { allocator.alloc(layout) };
                        held.push(Held { at, layout, byte });
                        held.last().unwrap().fill();
                    }
                    Step::Give(of) if !held.is_empty() => {
                        let Held { at, layout, .. } = held.swap_remove(of.index(held.len()));
                        unsafe { allocator.dealloc(at, layout) };
                    }
                    Step::Resize(of, size) if !held.is_empty() => {
                        let index = of.index(held.len());
                        let block = held.get_mut(index).unwrap();
                        let before = block.layout.size();
                        block.at = unsafe { allocator.realloc(block.at, block.layout, size) };
                        block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                        prop_assert!(block.is_as_it_was(before.min(size)));
                        block.fill();
                    }
                    Step::Give(_) | Step::Resize(..) => {}
                }
                prop_assert!(held.iter().all(|block| block.is_as_it_was(block.layout.size())));
            }
            held.into_iter().for_each(|Held { at, layout, .. }| unsafe { allocator.dealloc(at, layout) });
            // SAFETY: nobody else is there.
            let kept: usize = unsafe { (*allocator.kept.get()).iter().map(|kept| kept.count).sum() };
            prop_assert_eq!(allocator.heap.0.get(), kept, "what is in no list is the heap's again");
        }
    }

    #[test]
    fn a_host_gets_room_that_is_aligned_and_keeps_what_was_in_it() {
        let allocator = Recycling::new(Counted::default());
        // SAFETY: each block is given up once, and was asked for with this alignment.
        let room = |at, before, size| unsafe { room(&allocator, at, before, 8, size) };
        assert_eq!(room(ptr::null_mut(), 0, 0).addr(), 8);
        assert_eq!(allocator.heap.0.get(), 0);
        let (mut at, mut before) = (ptr::null_mut(), 0);
        for size in [1, 24, 30, LARGEST, LARGEST + 1, 5_000, 40] {
            at = room(at, before, size);
            let held = Held { at, layout: Layout::from_size_align(size, 8).unwrap(), byte: 7 };
            assert!(held.is_as_it_was(size.min(before)), "{size}");
            held.fill();
            before = size;
        }
        // SAFETY: it is this one's.
        unsafe { allocator.dealloc(at, Layout::from_size_align(before, 8).unwrap()) };
        assert_eq!(room(ptr::null_mut(), 0, 40), at);
        unsafe { allocator.dealloc(at, Layout::from_size_align(40, 8).unwrap()) };
    }

    #[test]
    fn what_was_freed_is_handed_out_again_and_no_more_is_kept_than_so_many() {
        let allocator = Recycling::new(Counted::default());
        let layout = Layout::from_size_align(24, 4).unwrap();
        let blocks: Vec<*mut u8> = (0..40).map(|_| unsafe { allocator.alloc(layout) }).collect();
        assert_eq!(allocator.heap.0.get(), 40);
        blocks.iter().for_each(|at| unsafe { allocator.dealloc(*at, layout) });
        assert_eq!(allocator.heap.0.get(), MOST_KEPT);
        let other = Layout::from_size_align(32, 8).unwrap();
        let again: Vec<*mut u8> = (0..MOST_KEPT).map(|_| unsafe { allocator.alloc(other) }).collect();
        assert_eq!(allocator.heap.0.get(), MOST_KEPT);
        assert!(again.iter().all(|at| blocks.contains(at)));
        again.iter().for_each(|at| unsafe { allocator.dealloc(*at, other) });
    }
}

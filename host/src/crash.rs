//! Points at which a test can have the process end at once, as if it had been killed.
//!
//! Only builds with debug assertions have them: `NUNCIO_CRASH_AT=POINT:N` ends the process when it comes to
//! this point for the Nth time.

#[cfg(debug_assertions)]
pub(crate) use armed::at;

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn at(_point: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::environment::{Environment, ProcessEnvironment};

    struct Plan {
        point: String,
        left: AtomicU64,
    }

    /// Comes to a point.
    pub(crate) fn at(point: &str) {
        static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
        let Some(plan) = PLAN.get_or_init(plan) else { return };
        // Nothing is written, closed or told on the way out.
        if plan.point == point && plan.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    fn plan() -> Option<Plan> {
        let text = ProcessEnvironment.var("NUNCIO_CRASH_AT")?;
        let (point, times) = text.split_once(':')?;
        Some(Plan { point: point.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
    }
}

//! The latest answer to a question that is mostly the same.

use std::sync::{Mutex, PoisonError};

/// What was asked last, and its answer.
pub(crate) struct Latest<Q, A>(Mutex<Option<(Q, A)>>);

impl<Q, A: Clone> Latest<Q, A> {
    /// The answer to a question: the latest one if that was the same, else a new one, which is kept if it is no error.
    ///
    /// Nobody waits while one is made, so that one may be made twice.
    pub(crate) fn or_ask<E>(
        &self,
        is_same: impl FnOnce(&Q) -> bool,
        ask: impl FnOnce() -> Result<(Q, A), E>,
    ) -> Result<A, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*lock() {
            Some((question, answer)) if is_same(question) => return Ok(answer.clone()),
            _ => {}
        }
        let (question, answer) = ask()?;
        *lock() = Some((question, answer.clone()));
        Ok(answer)
    }
}

impl<Q, A> Default for Latest<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// A clone was asked nothing yet.
impl<Q, A> Clone for Latest<Q, A> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_question_is_asked_and_an_error_is_no_answer() {
        let latest: Latest<u8, u8> = Latest::default();
        let ask =
            |question: u8| latest.or_ask(|last| *last == question, || Ok::<_, ()>((question, question + 1)));
        let unasked = |question: u8| latest.or_ask(|last| *last == question, || Err(()));
        assert_eq!((unasked(1), ask(1), unasked(1)), (Err(()), Ok(2), Ok(2)));
        assert_eq!((unasked(2), unasked(1), ask(2), unasked(1)), (Err(()), Ok(2), Ok(3), Err(())));
    }
}

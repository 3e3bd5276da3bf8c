//! A request's content (RFC 9110, section 6.4), which remembers whether anybody has asked for it.
//!
//! No client writes a request before it has asked how long its content is, or whether there is any: that is part of
//! the head. So what was never asked for was never sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// What is sent.
pub(super) struct Content {
    content: Full<Bytes>,
    is_begun: Begun,
}

/// Whether sending may have begun.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Content {
    pub(super) fn new(content: Bytes, is_begun: Begun) -> Self {
        Self { content: Full::new(content), is_begun }
    }
}

impl Begun {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_begun.set();
        Pin::new(&mut self.content).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_begun.set();
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.is_begun.set();
        self.content.size_hint()
    }
}

//! The nouns of the contract (`wit/`), as Rust types.
//!
//! These are the types that the component itself speaks, generated from the WIT text with its doc
//! comments: what the library takes from its callers is what the guest gets, without a copy in between.
//! Only this module names generated code.

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "notifier",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub use generated::exports::nuncio::dispatch::catalog::Provider;
pub(crate) use generated::exports::nuncio::dispatch::dispatcher::Guest;
pub use generated::nuncio::dispatch::types::{
    Admission, Atom, Attempt, Body, Choice, Class, Decision, Diagnostic, Endpoint, Escape, Field, Header,
    Hmac, Judgement, Level, Notification, Outcome, Parameter, Place, Reply, Request, Secret, Segment,
    Transport, Verdict,
};
pub(crate) use generated::{Notifier, NotifierPre};

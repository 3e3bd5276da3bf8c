//! The brain of Nuncio: what a notification becomes at each target, and what a reply means.
//!
//! It is deterministic and performs no I/O. It has no clock, no source of randomness, no environment and no
//! state beyond the configuration it was opened with: time, entropy and what the retry policy remembers are
//! arguments, and secrets are names. The same arguments give the same answer, on every host, for ever.
//!
//! [`boundary`] is the one file that speaks WIT. Built as a `cdylib` for `wasm32-unknown-unknown` it is the
//! component in `wit/`; built natively it is a library for property tests, fuzzing and benchmarks.
//!
//! Modules, in the order in which data flows through them: [`ingest`] reads a [`notification`];
//! [`config`] reads the targets, and [`service_url`] those of other programs; [`filter`] routes; a [`provider`] formats a [`request`], with [`markup`] and
//! [`limit`] for its texts; [`outcome`] says what a reply means and [`hint`] when to come back; [`endpoint`] and [`judge`] decide by the [`policy`], with
//! [`backoff`], [`budget`], [`breaker`] and [`pace`].

#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: allocator::Recycling<talc::wasm::WasmDynamicTalc> =
    allocator::Recycling::new(talc::wasm::new_wasm_dynamic_allocator());

#[cfg(any(test, target_family = "wasm"))]
mod allocator;
mod answer;
mod authorization;
pub mod backoff;
pub mod boundary;
mod braces;
pub mod breaker;
pub mod budget;
pub mod color;
pub mod config;
pub mod diagnostic;
pub mod duration;
pub mod endpoint;
pub mod filter;
pub mod hint;
pub mod ingest;
pub mod judge;
pub mod limit;
mod mail;
pub mod markup;
pub mod notification;
pub(crate) mod octets;
pub mod outcome;
pub mod pace;
mod payload;
pub mod policy;
pub mod provider;
pub mod request;
pub mod schema;
pub mod service_url;
pub mod settings;
pub mod target;
pub mod template;
pub mod timestamp;
#[cfg(test)]
mod vendor_schemas;

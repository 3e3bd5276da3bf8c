#![doc = include_str!("../../README.md")]
//!
//! # The modules
//!
//! In the order in which data flows through them: [`config`] reads a configuration and keeps its
//! [`secrets`]; the [`brain`] decides, in the nouns of the [`contract`]; a [`store`] remembers; the
//! [`schedule`] says what runs next; [`egress`] sends. [`Nuncio`] is all of it, running.
#![forbid(unsafe_code)]

pub mod brain;
pub mod clock;
pub mod config;
pub mod contract;
mod dispatch;
pub mod egress;
pub mod entropy;
pub mod environment;
pub mod event;
pub mod notification;
mod nuncio;
pub mod schedule;
pub mod secrets;
pub mod store;

pub use nuncio::{Builder, NotifyError, Nuncio, Receipt, Remains, StartError, Stats, Ticket};

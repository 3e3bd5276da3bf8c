#![doc = include_str!("../../README.md")]
//!
//! # The modules
//!
//! In the order in which data flows through them: [`config`] reads a configuration and keeps its
//! [`secrets`]; the [`brain`] decides, in the nouns of the [`contract`]; a [`store`] remembers; a schedule
//! says what runs next; [`egress`] sends. [`Nuncio`] is all of it, running.
#![forbid(unsafe_code)]

mod alert;
pub mod brain;
mod builder;
pub mod clock;
pub mod config;
pub mod contract;
mod crash;
mod dispatch;
pub mod egress;
pub mod entropy;
pub mod environment;
pub mod event;
mod journal;
mod latest;
mod lint;
pub mod notification;
mod nuncio;
mod schedule;
pub mod secrets;
pub mod store;

pub use builder::{Builder, StartError};
pub use dispatch::{Steer, Steered};
pub use nuncio::{NotifyError, Nuncio, Receipt, Remains, Stats, TargetHealth, Ticket, UnknownTarget};

//! Every scenario, in one binary: the component that is built with the library, real HTTP on the loopback
//! interface, and a clock that moves only when told to.
//!
//! Contents:
//!
//! - `delivery`: from hand-in to the end: retries, limits, lanes, shutdown, faults.
//! - `queue`: what waits: restarts, repeats, bounds, age, steering, reloading, clocks that jump, a disk that
//!   fails.
//! - `crash`: the daemon killed at every moment, a full disk, two daemons on one file.
//! - `godoxy`: a GoDoxy configuration as it is, against receivers that check everything.
//! - `config`: configurations that are wrong, each with the line and the hint.
//! - `brain`: a brain that misbehaves in every way, and bytes that are no brain.
//! - `check`: `nuncio check`, and the schema for editors.
//! - `import`: configurations of other programs.
//! - `urls`: notification URLs of Apprise and shoutrrr.
//! - `canary`: secrets of every source in every place, and nobody who has one that should not.
//! - `memories`: a brain whose memory a test can read.
//! - `egress`: the HTTP client against receivers that misbehave.
//! - `addresses`: URLs that lead where no request may go, in every spelling.
//! - `proxy`, `tls`: requests through proxies, and receivers with certificates of every kind.
//! - `hostile`: receivers that misbehave, beside one that does not.
//! - `ingest`: the daemon's HTTP side, with input that is wrong.
//! - `command_line`: the binary, as a person uses it.
//! - `golden`: the cases that Node and Python answer byte for byte the same.
//! - `secrets`: files of secrets that change under a daemon, systemd's credentials.
//! - `simulate`: outages, limits and poison, hours of them, in virtual time.
//! - `readme`: the README says what the program says.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod addresses;
mod agreement;
mod authority;
mod brain;
mod canary;
mod check;
mod command_line;
mod config;
mod crash;
mod daemon;
mod delivery;
mod disk;
mod egress;
mod godoxy;
mod golden;
mod hostile;
mod import;
mod ingest;
mod memories;
mod proxy;
mod queue;
mod readme;
mod reload;
mod retry;
mod scripted;
mod secrets;
mod simulate;
mod stage;
mod tls;
mod urls;

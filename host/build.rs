//! Builds the guest and encodes it as a component, for the library to embed.
//!
//! The guest is built for `wasm32-unknown-unknown`, whose standard library imports nothing, so that the
//! component has no imports either.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-unknown-unknown";

/// Size and speed of the guest at opt-level 2: small functions are inlined, larger ones where their author asked for it
/// (the standard library's did for what is called most), and no others; and the linker writes no longer numbers than it
/// has to.
const RUSTFLAGS: [&str; 3] = [
    "-Cllvm-args=-inline-threshold=25",
    "-Cllvm-args=-inlinehint-threshold=60",
    "-Clink-arg=--compress-relocations",
];

fn main() -> ExitCode {
    for path in
        ["../guest/Cargo.toml", "../guest/src", "../wit", "../Cargo.toml", "../Cargo.lock", "build.rs"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    require_target()?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    // One build of the guest serves every profile of the host: OUT_DIR is target/PROFILE/build/NAME/out.
    let shared = out.ancestors().nth(4).unwrap_or(&out).join("guest");
    let status = Command::new(variable("CARGO")?)
        .args([
            "build",
            "--profile",
            "brain",
            "--lib",
            "--package",
            "nuncio-guest",
            "--target",
            TARGET,
            "--locked",
        ])
        .arg("--manifest-path")
        .arg(Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../guest/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &shared)
        // What the host is built with (lints, coverage, a linker) is not for the guest.
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags()?)
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .map_err(|error| format!("cannot start cargo to build the guest: {error}"))?;
    if !status.success() {
        return Err(format!("building the guest for {TARGET} failed; its own errors are above"));
    }
    let module = shared.join(TARGET).join("brain/nuncio_guest.wasm");
    let module =
        std::fs::read(&module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    let component = wit_component::ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("cannot encode the guest as a component: {error:#}"))?;
    let path = out.join("nuncio.wasm");
    std::fs::write(&path, component).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// How the guest is compiled. Where its sources lie on this machine is left out of it.
fn rustflags() -> Result<OsString, String> {
    let mut flags = OsString::from(RUSTFLAGS.join("\x1f"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    let root = root.canonicalize().map_err(|error| format!("cannot read {}: {error}", root.display()))?;
    let home = variable("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|_| variable("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let registry = home.ok().map(|home| home.join("registry/src"));
    for folder in [Some(root), registry].into_iter().flatten() {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(folder.join(""));
        flags.push("=");
    }
    Ok(flags)
}

/// The standard library for the target, or the command that brings it.
fn require_target() -> Result<(), String> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot start rustc: {error}"))?;
    let libdir = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    Err(format!("the Rust target {TARGET} is not installed; run: rustup target add {TARGET}"))
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo talks to a build script")]
fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}

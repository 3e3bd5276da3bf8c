//! Notifications from standard input, one JSON object a line.

use std::time::Duration;

use nuncio::notification::LARGEST_NOTIFICATION;
use nuncio::store::StoreError;
use nuncio::{NotifyError, Nuncio};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::server;

/// A line is no longer: a notification, and as much again for its JSON.
const LONGEST_LINE: u64 = 2 * LARGEST_NOTIFICATION as u64;

/// How long a line waits before it is handed in again, while there is no room for it.
const WHILE_FULL: Duration = Duration::from_millis(100);

/// Hands in line after line until the end. What is wrong with a line is said, and the next one is read.
pub(super) async fn take_lines(nuncio: &Nuncio, mut input: impl AsyncBufRead + Unpin) {
    let mut number = 0_u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let read = (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) => return,
            Err(error) => {
                eprintln!("error: cannot read standard input: {error}");
                return;
            }
            Ok(_) => {}
        }
        if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            eprintln!(
                "error: line {number} has more than {LONGEST_LINE} bytes, which is the most; it is left out"
            );
            if !skip_line(&mut input).await {
                return;
            }
        } else if !line.trim_ascii().is_empty()
            && let Err(problem) = take_line(nuncio, &line).await
        {
            eprintln!("error: line {number}: {problem}");
        }
    }
}

/// Reads past the next line break; `false` at the end of the input.
async fn skip_line(mut input: impl AsyncBufRead + Unpin) -> bool {
    loop {
        let (length, found) = match input.fill_buf().await {
            Ok([]) | Err(_) => return false,
            Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            },
        };
        input.consume(length);
        if found {
            return true;
        }
    }
}

async fn take_line(nuncio: &Nuncio, line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let read = nuncio.read(text.trim()).map_err(|fault| fault.to_string())?;
    let notification = read.map_err(|problems| {
        let (message, hint) = server::describe(&problems);
        if hint.is_empty() { message } else { format!("{message} ({hint})") }
    })?;
    let receipt = loop {
        let accepted = match nuncio.notify(notification.clone()) {
            Ok(ticket) => ticket.accepted().await,
            Err(error) => Err(error),
        };
        match accepted {
            Ok(receipt) => break receipt,
            // Standard input can wait.
            Err(NotifyError::Full | NotifyError::Store(StoreError::Full | StoreError::Broken(_))) => {
                tokio::time::sleep(WHILE_FULL).await
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    for unknown in &receipt.unknown {
        eprintln!("warning: {}: {}", unknown.name, unknown.because);
    }
    Ok(())
}

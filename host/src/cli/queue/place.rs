//! Where the queue is, if nobody says.

use std::path::PathBuf;

use nuncio::environment::Environment;

/// What the file is called.
const FILE: &str = "queue.db";

/// The file in the folder that the system has for the state of programs: systemd's `StateDirectory=`, else that
/// of the XDG Base Directory Specification. `None` where there is no such folder.
pub(crate) fn default(environment: &dyn Environment) -> Option<PathBuf> {
    let folder = |name: &str| {
        let value = environment.var(name)?;
        // systemd names several folders with colons between them.
        let first = value.split(':').next().unwrap_or_default();
        (!first.is_empty()).then(|| PathBuf::from(first))
    };
    let own = folder("STATE_DIRECTORY");
    let of_user = || folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    own.or_else(|| Some(of_user()?.join("nuncio"))).map(|folder| folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_first_folder_that_is_named_counts() {
        let at = |variables: &[(&str, &str)]| {
            let all: HashMap<String, String> =
                variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            default(&all).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/ann");
        assert_eq!(at(&[home]).as_deref(), Some("/home/ann/.local/state/nuncio/queue.db"));
        assert_eq!(at(&[home, ("XDG_STATE_HOME", "/s")]).as_deref(), Some("/s/nuncio/queue.db"));
        let unit = ("STATE_DIRECTORY", "/var/lib/nuncio:/var/lib/other");
        assert_eq!(at(&[home, unit]).as_deref(), Some("/var/lib/nuncio/queue.db"));
        assert_eq!(at(&[("HOME", "")]), None);
    }
}

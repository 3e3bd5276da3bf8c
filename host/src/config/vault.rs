//! The secrets that a configuration refers to, and the files that they lie in.
//!
//! It decides where `${secret:NAME}` is looked up: in the section `secrets` of the file, then in the folder that
//! systemd names in `CREDENTIALS_DIRECTORY` (systemd.exec, "Credentials"), then in a folder of files, `secrets_dir`,
//! which is `/run/secrets` where nothing else is said, as Docker and Podman have it. It refuses to know what a secret
//! is for. No error of it quotes a value.
//!
//! It keeps the names of all files that were read, so that somebody can watch them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::document::{Node, Value};
use super::findings::Findings;
use super::pointer;
use super::spelling;
use crate::environment::Environment;

/// The folder of files in which a secret of another name is looked up.
const SECRETS_DIR: &str = "/run/secrets";

/// The largest file of a secret, in bytes.
const LARGEST_SECRET: usize = 64 << 10;

/// The variable in which systemd names the folder of a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// What is wrong, and what to do about it.
type Wrong = (String, String);

/// Where secrets come from.
pub struct Vault<'e> {
    environment: &'e dyn Environment,
    /// The folder of the configuration, from which relative paths are.
    folder: PathBuf,
    given: HashMap<String, Given>,
    secrets_dir: PathBuf,
    files: Files,
}

/// The files that a configuration names, and what they held when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Held>);

/// A hash of what a file held; `None` where it could not be read.
type Held = Option<[u8; 32]>;

/// What the section `secrets` says of one.
enum Given {
    Text(String),
    File(PathBuf),
    /// It is wrong, which was said.
    Wrong,
}

impl<'e> Vault<'e> {
    /// Nothing given yet, for a configuration that people know by this name, usually a file's.
    #[must_use]
    pub fn new(source: &str, environment: &'e dyn Environment) -> Self {
        let folder = Path::new(source).parent().map(Path::to_owned).unwrap_or_default();
        Self {
            environment,
            folder,
            given: HashMap::new(),
            secrets_dir: SECRETS_DIR.into(),
            files: Files::default(),
        }
    }

    /// Where variables come from.
    #[must_use]
    pub fn environment(&self) -> &'e dyn Environment {
        self.environment
    }

    /// The files that were read, or looked for.
    #[must_use]
    pub fn into_files(self) -> Files {
        self.files
    }

    /// Reads the section `/secrets`: names, each with a text or with `{file: PATH}`. What is wrong is noted.
    pub fn take(&mut self, secrets: &Node, findings: &mut Findings<'_>) {
        if !secrets.is_null() && !matches!(secrets.value, Value::Map(_)) {
            findings.hide(secrets.span.clone());
            let hint = "write a line for each below it: `NAME: \"${VARIABLE}\"` or `NAME: { file: PATH }`";
            findings.refuse(secrets, "/secrets", "`secrets` must be a mapping", hint);
        }
        for entry in secrets.entries() {
            let mut at = "/secrets".to_owned();
            pointer::push(&mut at, &entry.key);
            if file_of(&entry.value).is_none() {
                findings.hide(entry.value.span.clone());
            }
            let given = if findings.covers(&at) {
                Err(None)
            } else if is_name(&entry.key) {
                self.give(&entry.value).map_err(Some)
            } else {
                let hint = "a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit";
                Err(Some((format!("`{}` is no name of a secret", entry.key), hint.to_owned())))
            };
            let given = given.unwrap_or_else(|wrong| {
                if let Some((problem, hint)) = wrong {
                    findings.refuse(&entry.value, &at, problem, hint);
                }
                Given::Wrong
            });
            self.given.insert(entry.key.clone(), given);
        }
    }

    fn give(&self, value: &Node) -> Result<Given, Wrong> {
        const HINT: &str = "write a text, such as \"${VARIABLE}\", or { file: PATH }";
        match &value.value {
            Value::Scalar(scalar) if !value.is_null() && !scalar.text.is_empty() => {
                Ok(Given::Text(scalar.text.clone()))
            }
            Value::Map(_) => match file_of(value) {
                Some(path) => Ok(Given::File(self.folder.join(path))),
                None => Err(("a secret is a text or one file".to_owned(), HINT.to_owned())),
            },
            _ => Err(("this secret is empty".to_owned(), HINT.to_owned())),
        }
    }

    /// Reads the setting `/secrets_dir`. What is wrong is noted.
    pub fn take_folder(&mut self, folder: &Node, findings: &mut Findings<'_>) {
        if folder.is_null() || findings.covers("/secrets_dir") {
            return;
        }
        match folder.scalar().filter(|path| !path.text.is_empty()) {
            Some(path) => self.secrets_dir = self.folder.join(&path.text),
            None => {
                let hint = "write the path of a folder in which each secret is a file";
                findings.refuse(folder, "/secrets_dir", "this is no folder", hint);
            }
        }
    }

    /// The value of a secret; `Ok(None)` where it is wrong in the section `secrets`, which was said.
    ///
    /// # Errors
    ///
    /// There is none of this name, or its file cannot be read.
    pub fn look_up(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        if !is_name(name) {
            let hint = "write ${secret:NAME}; a name has letters, digits, `-`, `_` and `.`";
            return Err(("after `secret:` stands no secret's name".to_owned(), hint.to_owned()));
        }
        let path = match self.given.get(name) {
            Some(Given::Text(text)) => return Ok(Some(text.clone())),
            Some(Given::Wrong) => return Ok(None),
            Some(Given::File(path)) => path.clone(),
            None => {
                let folders = self.environment.var(CREDENTIALS_DIRECTORY).map(PathBuf::from);
                let folders = folders.into_iter().chain([self.secrets_dir.clone()]);
                let paths: Vec<PathBuf> = folders.map(|folder| folder.join(name)).collect();
                let found = paths.iter().position(|path| path.is_file());
                // A file that is not there yet, and would come before the one that is, is one to watch too.
                let missing = paths.iter().take(found.unwrap_or(paths.len()));
                self.files.0.extend(missing.map(|path| (path.clone(), None)));
                match found.and_then(|found| paths.get(found)) {
                    Some(path) => path.clone(),
                    None => return Err(self.unknown(name, &paths)),
                }
            }
        };
        self.read(&path).map(Some)
    }

    fn unknown(&self, name: &str, paths: &[PathBuf]) -> Wrong {
        let looked: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let names: Vec<&str> = self.given.keys().map(String::as_str).collect();
        let hint = match spelling::hint(name, &names) {
            near if near.starts_with("did you mean") => near,
            _ => format!("add it to `secrets`, or write it to a file: {}", looked.join(" or ")),
        };
        (format!("there is no secret `{name}`"), hint)
    }

    /// The secret in a file whose path stands at a place in the configuration: its text, without the line's end
    /// after it. `None` where it cannot be read, or is empty, larger than 64 KiB or no text, which is noted.
    pub fn text_in(&mut self, path: &Node, at: &str, findings: &mut Findings<'_>) -> Option<String> {
        self.noting(path, at, findings, Self::read)
    }

    /// What is in such a file. `None` where it cannot be read, or is larger than 64 KiB, which is noted.
    pub fn bytes_in(&mut self, path: &Node, at: &str, findings: &mut Findings<'_>) -> Option<Vec<u8>> {
        self.noting(path, at, findings, Self::read_bytes)
    }

    fn noting<T>(
        &mut self,
        path: &Node,
        at: &str,
        findings: &mut Findings<'_>,
        read: impl FnOnce(&mut Self, &Path) -> Result<T, Wrong>,
    ) -> Option<T> {
        let read = match path_of(path) {
            Some(written) => read(self, &self.folder.join(written)),
            None => {
                findings.hide(path.span.clone());
                let hint = "write the path of a file, not what is in it";
                Err(("this is no path of a file".to_owned(), hint.to_owned()))
            }
        };
        read.map_err(|(problem, hint)| findings.refuse(path, at, problem, hint)).ok()
    }

    fn read(&mut self, path: &Path) -> Result<String, Wrong> {
        let bytes = self.read_bytes(path)?;
        let shown = path.display();
        let Ok(text) = String::from_utf8(bytes) else {
            return Err((format!("{shown} is not UTF-8"), "a secret is text; save it as UTF-8".to_owned()));
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        match text.strip_suffix('\r').unwrap_or(text) {
            "" => Err((format!("{shown} is empty"), "write the secret into it".to_owned())),
            text => Ok(text.to_owned()),
        }
    }

    fn read_bytes(&mut self, path: &Path) -> Result<Vec<u8>, Wrong> {
        let (held, read) = hold(self.environment, path);
        self.files.0.insert(path.to_owned(), held);
        let shown = path.display();
        match read {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                let hint = "this looks like the wrong file".to_owned();
                Err((format!("{shown} is larger than {} KiB", LARGEST_SECRET >> 10), hint))
            }
            Err(error) => {
                let hint =
                    "see that it is there, and that the user that Nuncio runs as may read it".to_owned();
                Err((format!("cannot read {shown}: {error}"), hint))
            }
        }
    }
}

/// What is in a file, and what is kept of that.
fn hold(environment: &dyn Environment, path: &Path) -> (Held, io::Result<Option<Vec<u8>>>) {
    let read = environment.read(path, LARGEST_SECRET);
    let content = read.as_ref().ok().and_then(Option::as_ref);
    (content.map(|content| Sha256::digest(content).into()), read)
}

impl Files {
    /// Their paths, sorted: those that were read, and those that would have been if they had been there.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether one of them holds something else now.
    #[must_use]
    pub fn have_changed(&self, environment: &dyn Environment) -> bool {
        self.0.iter().any(|(path, held)| hold(environment, path).0 != *held)
    }
}

/// The path that `{file: PATH}` names; `None` where a value is anything else.
fn file_of(value: &Node) -> Option<&str> {
    match value.entries() {
        [entry] if entry.key == "file" => path_of(&entry.value),
        _ => None,
    }
}

/// The path that a value can be: what is in a file often cannot, and may be secret.
fn path_of(value: &Node) -> Option<&str> {
    let is_path = |text: &str| {
        (1..=4_096).contains(&text.len()) && !text.contains(char::is_control) && !text.contains("-----BEGIN")
    };
    let scalar = value.scalar().filter(|scalar| !scalar.is_null() && !scalar.secret && is_path(&scalar.text));
    scalar.map(|scalar| scalar.text.as_str())
}

/// Whether a text can be the name of a secret: it is a file's name too, so it leads into no other folder.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{Folder, problems_of, read_in};
    use super::*;
    use crate::environment::ProcessEnvironment;

    /// Two places for secrets, each with files of its own, and one beside the configuration.
    fn folder() -> Folder {
        let folder = Folder::new();
        for (path, text) in [
            ("beside", "canary-beside\n"),
            ("run/docker", "canary-docker\r\n"),
            ("run/both", "canary-not-this\n"),
            ("credentials/systemd", "canary-systemd"),
            ("credentials/both", "canary-both\n\n"),
            ("run/empty", "\n"),
        ] {
            folder.write(path, text.as_bytes());
        }
        folder.write("run/binary", b"canary\xff");
        folder.write("run/large", &vec![b'x'; LARGEST_SECRET + 1]);
        folder
    }

    fn token(reference: &str) -> String {
        let text = format!(
            "secrets_dir: run\nsecrets: {{given: 'canary-${{V}}', file: {{file: beside}}}}\n\
             targets:\n- {{name: a, provider: post, token: \"{reference}\"}}\n"
        );
        let folder = folder();
        let config = read_in(&folder, &text).unwrap_or_else(|report| panic!("{report}"));
        assert!(!format!("{config:?}").contains("canary"));
        config.secrets().reveal("a", "a/token").unwrap().to_owned()
    }

    #[test]
    fn a_secret_is_looked_up_in_the_file_then_with_systemd_then_in_a_folder() {
        for (reference, value) in [
            ("${secret:given}", "canary-1"),
            ("${secret:file}", "canary-beside"),
            ("${secret:systemd}", "canary-systemd"),
            ("${secret:docker}", "canary-docker"),
            ("${secret:both}", "canary-both\n"),
            ("x-${secret:docker}-${V}", "x-canary-docker-1"),
        ] {
            assert_eq!(token(reference), value, "{reference}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_that_says_what_to_do() {
        for (reference, problem, hint) in [
            ("${secret:dokcer}", "there is no secret `dokcer`", "run/dokcer"),
            ("${secret:givne}", "there is no secret `givne`", "did you mean `given`?"),
            ("${secret:../beside}", "after `secret:` stands no secret's name", "letters, digits"),
            ("${secret:.hidden}", "after `secret:` stands no secret's name", "letters, digits"),
            ("${secret:}", "after `secret:` stands no secret's name", "letters, digits"),
            ("${secret:empty}", "run/empty is empty", "write the secret"),
            ("${secret:binary}", "run/binary is not UTF-8", "UTF-8"),
            ("${secret:large}", "run/large is larger than 64 KiB", "wrong file"),
        ] {
            let text = format!(
                "secrets_dir: run\nsecrets: {{given: canary}}\n\
                 targets:\n- {{name: a, provider: post, token: \"{reference}\"}}\n"
            );
            let (folder, lines) = problems_of(folder(), &text);
            assert_eq!(lines.len(), 1, "{reference}: {lines:?}");
            let said = lines[0].problem.replace(&folder.path("").display().to_string(), "");
            assert!(said.contains(problem) && lines[0].hint.contains(hint), "{reference}: {lines:?}");
            assert_eq!(lines[0].line, Some(4), "{reference}");
        }
    }

    #[test]
    fn a_secret_that_is_given_wrongly_is_one_problem_where_it_is_given() {
        for given in [
            "''",
            "~",
            "[canary]",
            "{file: }",
            "{file: [canary]}",
            "{file: a, env: B}",
            "{env: B}",
            "{file: a, value: canary}",
        ] {
            let text = format!(
                "secrets:\n  one: {given}\ntargets:\n- {{name: a, provider: post, token: \"${{secret:one}}\"}}\n"
            );
            let (_folder, lines) = problems_of(folder(), &text);
            assert_eq!(
                lines.iter().map(|line| line.line).collect::<Vec<_>>(),
                [Some(2)],
                "{given}: {lines:?}"
            );
        }
        for section in ["canary", "[canary]", "{../x: canary}"] {
            let text = format!("secrets: {section}\ntargets:\n- {{name: a, provider: post}}\n");
            assert_eq!(problems_of(folder(), &text).1.len(), 1, "{section}");
        }
    }

    #[test]
    fn a_secret_in_a_place_that_does_not_keep_it_is_refused() {
        const ONE: &str = "secrets: {one: canary-one}\n";
        const TARGET: &str = "targets:\n- {name: a, provider: post}\n";
        for text in [
            "targets:\n- {name: a, provider: post, url: 'https://h/${secret:one}'}\n".to_owned(),
            "targets:\n- {name: a, provider: post, priority: '${secret:one}'}\n".to_owned(),
            "targets:\n- {name: '${secret:one}', provider: post}\n".to_owned(),
            "targets:\n- {name: a, provider: '${secret:one}'}\n".to_owned(),
            "targets:\n- {name: a, provider: post, filter: {tags: {any: ['${secret:one}']}}}\n".to_owned(),
            "targets:\n- {name: a, provider: post, token_file: '${secret:one}'}\n".to_owned(),
            format!("{TARGET}retry: {{interval: '${{secret:one}}'}}\n"),
            format!("{TARGET}queue: {{path: '${{secret:one}}'}}\n"),
            format!("{TARGET}server: {{listen: '${{secret:one}}'}}\n"),
            format!("{TARGET}alerts_to: ['${{secret:one}}']\n"),
            format!("{TARGET}secrets_dir: '${{secret:one}}'\n"),
        ] {
            let (_folder, lines) = problems_of(folder(), &(ONE.to_owned() + &text));
            assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        }
        let among = format!("secrets: {{one: canary, two: '${{secret:one}}'}}\n{TARGET}");
        let (_folder, lines) = problems_of(folder(), &among);
        assert!(lines[0].problem.contains("would not be kept"), "{lines:?}");
    }

    #[test]
    fn tokens_of_callers_can_be_secrets_and_can_lie_in_a_file() {
        let folder = folder();
        folder.write("tokens", b"canary-canary-canary\n\n  canary-canary-number-two\n");
        folder.write("run/api", b"canary-canary-number-three");
        let text = "secrets_dir: run\nserver: {listen: '0.0.0.0:1', tokens: '${secret:api}', tokens_file: tokens}\n\
                    targets:\n- {name: a, provider: post}\n";
        assert_eq!(read_in(&folder, text).unwrap().server().tokens.len(), 3);
        folder.write("tokens", b"short\n");
        let (_folder, lines) = problems_of(folder, text);
        assert!(lines.len() == 1 && lines[0].problem.contains("16 characters"), "{lines:?}");
    }

    #[test]
    fn a_setting_can_lie_in_a_file_and_not_also_in_the_configuration() {
        let folder = folder();
        let target = |settings: &str| format!("targets:\n- {{name: a, provider: post, {settings}}}\n");
        let config = read_in(&folder, &target("token_file: beside")).unwrap();
        assert_eq!(config.secrets().reveal("a", "a/token"), Some("canary-beside"));
        assert!(config.guest_config().contains(r#""token":{"$secret":"a/token"}"#));
        for (settings, problem) in [
            ("token: canary, token_file: beside", "`token` and `token_file` are both set"),
            ("token_file: nowhere", "cannot read"),
            ("token_file: run", "cannot read"),
            ("token_file: [canary]", "no path of a file"),
            ("token_file: ''", "no path of a file"),
        ] {
            let (_folder, lines) = problems_of(super::tests::folder(), &target(settings));
            assert!(lines.len() == 1 && lines[0].problem.contains(problem), "{settings}: {lines:?}");
        }
        assert!(read_in(&folder, &target("token_file: ")).is_ok(), "nothing is no file");
    }

    #[test]
    fn what_was_read_and_what_was_looked_for_can_be_watched() {
        let folder = folder();
        let text = "secrets_dir: run\nsecrets: {file: {file: beside}}\ntargets:\n\
                    - {name: a, provider: post, token: '${secret:docker}'}\n\
                    - {name: b, provider: post, token: '${secret:file}'}\n\
                    - {name: c, provider: post, token: '${secret:both}'}\n";
        let config = read_in(&folder, text).unwrap();
        let files: Vec<&Path> = config.files().paths().collect();
        for file in ["beside", "run/docker", "credentials/docker"] {
            assert!(files.contains(&folder.path(file).as_path()), "{file}: {files:?}");
        }
        let before = config.fingerprints["a"];
        assert!(!config.files().have_changed(&ProcessEnvironment));
        folder.write("run/docker", b"canary-rotated\n");
        assert!(config.files().have_changed(&ProcessEnvironment));
        let after = read_in(&folder, text).unwrap().fingerprints["a"];
        assert!(before.whole != after.whole && before.open == after.open);
        fs::remove_file(folder.path("run/docker")).unwrap();
        let report = read_in(&folder, text).unwrap_err();
        folder.write("run/docker", b"canary");
        assert!(report.files().have_changed(&ProcessEnvironment), "what is missing is waited for");
    }
}

//! Notification URLs on the command line.

use nuncio::contract::UrlDialect;

#[derive(clap::Args)]
pub(super) struct Urls {
    /// Send to this notification URL of Apprise or shoutrrr, with no configuration; repeatable
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Vec<String>,
    /// Whose the URLs are, where a scheme is both programs': a URL is read as Apprise reads it, unless it is of a form
    /// that only shoutrrr has
    #[arg(long, value_name = "DIALECT", value_parser = UrlDialect::ALL.map(UrlDialect::name), requires = "url")]
    dialect: Option<String>,
}

impl Urls {
    /// The URLs as a configuration; `None` where there are none.
    pub(super) fn configuration(&self) -> Option<String> {
        let dialect =
            self.dialect.as_deref().map(|name| format!("    dialect: {name}\n")).unwrap_or_default();
        // What a shell has made of a URL stays: `${` begins no variable any more.
        let quoted = |url: &String| serde_json::Value::from(url.replace("${", "$${")).to_string();
        let target = |url: &String| format!("  - url: {}\n{dialect}", quoted(url));
        let targets: String = self.url.iter().map(target).collect();
        (!targets.is_empty()).then(|| format!("targets:\n{targets}"))
    }
}

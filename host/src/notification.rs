//! Making notifications.

use crate::contract::{Body, Envelope, Field, Level, Notification};

/// A notification is no larger, all its texts together and what lists take: 256 KiB.
pub const LARGEST_NOTIFICATION: usize = 256 << 10;

/// What an entry of a list takes beside its text, in bytes.
const ENTRY: usize = 24;

impl Notification {
    /// A notification with a title and nothing else. It gets its id and its time when it is handed in.
    #[must_use]
    pub fn new(level: Level, title: impl Into<String>) -> Self {
        Self {
            id: String::new(),
            at: 0,
            level,
            title: title.into(),
            body: Body::Text(String::new()),
            color: None,
            to: Vec::new(),
            tags: Vec::new(),
            link: None,
            key: None,
            resolves: None,
        }
    }

    /// With running text as its body.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.body = Body::Text(text.into());
        self
    }

    /// With a list as its body.
    #[must_use]
    pub fn items(mut self, items: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.body = Body::Items(items.into_iter().map(Into::into).collect());
        self
    }

    /// With named values as its body, in this order.
    #[must_use]
    pub fn fields(
        mut self,
        fields: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let field = |(name, value): (_, _)| Field { name: Into::into(name), value: Into::into(value) };
        self.body = Body::Fields(fields.into_iter().map(field).collect());
        self
    }

    /// In a colour of its own, as 0xRRGGBB.
    #[must_use]
    pub fn color(mut self, rgb: u32) -> Self {
        self.color = Some(rgb & 0x00ff_ffff);
        self
    }

    /// To this target, whatever its filter says, and to no others but those named the same way.
    #[must_use]
    pub fn to(mut self, target: impl Into<String>) -> Self {
        self.to.push(target.into());
        self
    }

    /// With a tag that filters can select by.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// With an http or https URL that a reader can follow.
    #[must_use]
    pub fn link(mut self, url: impl Into<String>) -> Self {
        self.link = Some(url.into());
        self
    }

    /// About this, in the caller's words: a service that keeps alerts open opens one under this key, of 1 to 255
    /// characters.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self.resolves = None;
        self
    }

    /// Closing the alert that was opened under this key.
    #[must_use]
    pub fn resolves(mut self, key: impl Into<String>) -> Self {
        self.resolves = Some(key.into());
        self.key = None;
        self
    }

    /// What routing looks at, but for conditions.
    pub(crate) fn envelope(&self) -> Envelope {
        let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        Envelope { level: self.level, to: some(&self.to), tags: some(&self.tags) }
    }

    /// What it takes in memory, in bytes: all its texts together, and what each entry of a list takes beside
    /// its text.
    #[must_use]
    pub fn size(&self) -> usize {
        let body = match &self.body {
            Body::Text(text) => text.len(),
            Body::Items(items) => items.iter().map(|item| ENTRY + item.len()).sum(),
            Body::Fields(fields) => {
                fields.iter().map(|field| 2 * ENTRY + field.name.len() + field.value.len()).sum()
            }
        };
        let names: usize = self.to.iter().chain(&self.tags).map(|name| ENTRY + name.len()).sum();
        let others = [&self.link, &self.key, &self.resolves];
        let others: usize = others.into_iter().flatten().map(String::len).sum();
        self.id.len() + self.title.len() + body + names + others
    }
}

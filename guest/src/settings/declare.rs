//! Settings declared once: a `struct` with doc comments, from which its JSON Schema and its reading follow.
//!
//! `settings!` and `choices!` write a table for each type; what goes over the tables is compiled once for
//! all of them. With derived code for each of the providers, the component would be half as large again.

use serde_json::{Map, Value, json};

/// A kind of value that a setting can have.
pub trait Setting: Sized {
    /// Whether it can be left out where no default is declared.
    const IS_OPTIONAL: bool = false;

    /// The JSON Schema of its values.
    fn schema() -> Value;

    /// What a value says; `None` for one that does not fit the schema.
    fn read(value: &Value) -> Option<Self>;

    /// What holds where it is left out; `None` where it cannot be.
    fn absent() -> Option<Self> {
        None
    }
}

/// One setting of a mapping.
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment, a line each.
    pub doc: &'static [&'static str],
    /// The schema of its values.
    pub schema: fn() -> Value,
    /// Whether it has to be there.
    pub is_required: bool,
    /// How many characters its text has, where that is bounded.
    pub length: Option<(u32, u32)>,
    /// A regular expression for its text, for whoever reads the schema: [`crate::schema`] leaves it to the code
    /// that reads the setting, which knows what to say.
    pub pattern: Option<&'static str>,
}

/// The schema of a mapping.
#[must_use]
pub fn mapping(properties: &[Property]) -> Value {
    let mut all = Map::new();
    for property in properties {
        let mut schema = (property.schema)();
        if let Some(schema) = schema.as_object_mut() {
            let doc: Vec<&str> = property.doc.iter().map(|line| line.trim()).collect();
            schema.insert("description".to_owned(), doc.join("\n").into());
            if let Some((least, most)) = property.length {
                schema.insert("minLength".to_owned(), least.into());
                schema.insert("maxLength".to_owned(), most.into());
            }
            if let Some(pattern) = property.pattern {
                schema.insert("pattern".to_owned(), pattern.into());
            }
        }
        all.insert(plain_name(property.name).to_owned(), schema);
    }
    let required: Vec<&str> = properties
        .iter()
        .filter(|property| property.is_required)
        .map(|property| plain_name(property.name))
        .collect();
    json!({ "type": "object", "properties": all, "required": required, "additionalProperties": false })
}

/// The setting of a name, or what holds in its place.
pub fn member<T: Setting>(members: &Map<String, Value>, name: &str, default: Option<T>) -> Option<T> {
    match members.get(plain_name(name)) {
        None | Some(Value::Null) => default.or_else(T::absent),
        Some(value) => T::read(value),
    }
}

/// The schema of a text that is one of these.
#[must_use]
pub fn one_of(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

/// The name of a field, without the mark of one that is a word of Rust's.
#[must_use]
pub fn plain_name(field: &str) -> &str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Declares a mapping: `name: Type`, or `name: Type = default`, each with its doc comment.
macro_rules! settings {
    ($(#[$about:meta])* $vis:vis struct $Name:ident {
        $($(#[doc = $doc:literal])+ $(#[length($least:literal, $most:literal)])? $(#[pattern($pattern:literal)])?
        $field_vis:vis $field:ident: $Type:ty $(= $default:expr)?,)*
    }) => {
        $(#[$about])* $vis struct $Name { $($(#[doc = $doc])+ $field_vis $field: $Type,)* }

        impl $crate::settings::declare::Setting for $Name {
            fn schema() -> ::serde_json::Value {
                const PROPERTIES: &[$crate::settings::declare::Property] = &[$($crate::settings::declare::Property {
                    name: stringify!($field),
                    doc: &[$($doc),+],
                    schema: <$Type as $crate::settings::declare::Setting>::schema,
                    is_required: $crate::settings::declare::settings!(@is_required $Type $(, $default)?),
                    length: $crate::settings::declare::settings!(@some $(($least, $most))?),
                    pattern: $crate::settings::declare::settings!(@some $($pattern)?),
                }),*];
                $crate::settings::declare::mapping(PROPERTIES)
            }

            fn read(value: &::serde_json::Value) -> Option<Self> {
                let members = value.as_object()?;
                Some(Self { $($field: $crate::settings::declare::member::<$Type>(
                    members,
                    stringify!($field),
                    $crate::settings::declare::settings!(@some $($default)?),
                )?,)* })
            }
        }
    };
    (@is_required $Type:ty) => { !<$Type as $crate::settings::declare::Setting>::IS_OPTIONAL };
    (@is_required $Type:ty, $default:expr) => { false };
    (@some) => { None };
    (@some $value:expr) => { Some($value) };
}

/// Declares a choice among names: `Variant = "name"`, each with its doc comment.
macro_rules! choices {
    ($(#[$about:meta])* $vis:vis enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $name:literal,)+ }) => {
        $(#[$about])* $vis enum $Name { $($(#[$doc])* $Variant,)+ }

        impl $Name {
            /// Its name in a configuration.
            #[allow(dead_code, reason = "not every choice is written back")]
            $vis fn name(self) -> &'static str {
                match self { $(Self::$Variant => $name,)+ }
            }
        }

        impl $crate::settings::declare::Setting for $Name {
            fn schema() -> ::serde_json::Value {
                $crate::settings::declare::one_of(&[$($name),+])
            }

            fn read(value: &::serde_json::Value) -> Option<Self> {
                match value.as_str()? {
                    $($name => Some(Self::$Variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {choices, settings};

/// Values by their names, which a configuration chooses; sorted by name. There are few, so that a list does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: String, value: T) {
        self.remove(&name);
        let at = self.0.iter().take_while(|(other, _)| *other < name).count();
        self.0.insert(at, (name, value));
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }
}

impl From<&Named<String>> for Value {
    fn from(all: &Named<String>) -> Self {
        Self::Object(all.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
    }
}

/// A whole number in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within<const LEAST: i64, const MOST: i64>(pub i64);

impl<const LEAST: i64, const MOST: i64> Setting for Within<LEAST, MOST> {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_i64().filter(|number| (LEAST..=MOST).contains(number)).map(Self)
    }
}

impl Setting for String {
    fn schema() -> Value {
        json!({ "type": "string" })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(ToOwned::to_owned)
    }
}

impl Setting for bool {
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for u64 {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

impl<T: Setting> Setting for Option<T> {
    const IS_OPTIONAL: bool = true;

    fn schema() -> Value {
        nullable(T::schema())
    }

    fn read(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const IS_OPTIONAL: bool = true;

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Setting> Setting for Named<T> {
    const IS_OPTIONAL: bool = true;

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }

    fn read(value: &Value) -> Option<Self> {
        let mut all = Self::default();
        for (name, value) in value.as_object()? {
            all.insert(name.clone(), T::read(value)?);
        }
        Some(all)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// The schema of a value that may be missing.
fn nullable(mut schema: Value) -> Value {
    if let Some(branches) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        branches.push(json!({ "type": "null" }));
        return schema;
    }
    if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        names.push(Value::Null);
    }
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    choices! {
        /// A colour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Color {
            /// Red.
            Red = "red",
            /// Blue.
            Blue = "blue",
        }
    }

    settings! {
        /// A thing.
        struct Thing {
            /// What it is
            /// called.
            #[length(1, 9)]
            name: String,
            /// How it looks.
            color: Option<Color>,
            /// How many there are.
            count: Within<1, 5> = Within(2),
            /// What it has.
            parts: Vec<String>,
        }
    }

    #[test]
    fn a_declaration_is_a_schema() {
        let expected = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "What it is\ncalled.", "minLength": 1, "maxLength": 9 },
                "color": { "type": ["string", "null"], "enum": ["red", "blue", null], "description": "How it looks." },
                "count": { "type": "integer", "minimum": 1, "maximum": 5, "description": "How many there are." },
                "parts": { "type": "array", "items": { "type": "string" }, "description": "What it has." },
            },
            "required": ["name"],
            "additionalProperties": false,
        });
        assert_eq!(Thing::schema(), expected);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let read = |value: Value| Thing::read(&value).map(|t| (t.name, t.color, t.count.0, t.parts));
        let whole = json!({ "name": "n", "color": "blue", "count": 5, "parts": ["a"] });
        assert_eq!(read(whole), Some(("n".into(), Some(Color::Blue), 5, vec!["a".into()])));
        assert_eq!(read(json!({ "name": "n", "color": null })), Some(("n".into(), None, 2, vec![])));
        for wrong in [json!({}), json!({ "name": "n", "color": "green" }), json!({ "name": "n", "count": 6 })]
        {
            assert_eq!(read(wrong), None);
        }
    }
}

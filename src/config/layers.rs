//! What was written where: the file, then the environment, then the flags, each on top of the one
//! before.
//!
//! Every value is checked against its key the moment it is read, and keeps the place it was written
//! at, so that any fault, in one value or between two, can be said with key and place. What is
//! *not* here: what values mean together (`config`).

use super::keys::{self, KEYS, Key, Takes};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Variables that begin so are ours; two underscores stand between levels.
const PREFIX: &str = "BELLWETHER_";

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line of the configuration file, counted from 1.
    File { path: PathBuf, line: usize },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nowhere.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{} line {line}", path.display()),
            Place::Variable(name) => write!(f, "variable {name}"),
            Place::Flag(name) => write!(f, "flag {name}"),
            Place::Default => f.write_str("the default"),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The file can't be read.
    #[error("reading the configuration {path} failed: {why}")]
    Unreadable { path: PathBuf, why: String },
    /// The file is not TOML.
    #[error("{place}: this is not TOML: {why}")]
    NotToml { place: Place, why: String },
    /// There is no such key.
    #[error("{place}: there is no key {name}; {advice}")]
    UnknownKey { place: Place, name: String, advice: String },
    /// The key is right, the value isn't.
    #[error("{place}: {key} can't be {value}; it takes {takes}")]
    Value { place: Place, key: &'static str, value: String, takes: String },
    /// Two values, each of them right, that don't go together.
    #[error("{first} and {second} don't go together: {why}")]
    Combination { first: String, second: String, why: String },
}

/// A value that fits its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Path(PathBuf),
    Address(SocketAddr),
    Text(String),
    List(Vec<String>),
    Table(BTreeMap<String, String>),
    Switch(bool),
    Whole(u64),
}

impl fmt::Display for Value {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Path(path) => {
                write!(f, "{}", toml::Value::String(path.to_string_lossy().into_owned()))
            }
            Value::Address(address) => write!(f, "\"{address}\""),
            Value::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Value::List(texts) => {
                let quoted = texts.iter().map(|text| toml::Value::String(text.clone()).to_string());
                write!(f, "[{}]", quoted.collect::<Vec<_>>().join(", "))
            }
            Value::Table(table) => {
                let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
                let entry = |(name, text)| format!("{} = {}", quoted(name), quoted(text));
                let entries: Vec<String> = table.iter().map(entry).collect();
                match entries.join(", ").as_str() {
                    "" => f.write_str("{}"),
                    entries => write!(f, "{{ {entries} }}"),
                }
            }
            Value::Switch(on) => write!(f, "{on}"),
            Value::Whole(n) => write!(f, "{n}"),
        }
    }
}

/// What a flag says: the key, its value as text, and the flag's name.
pub(crate) type FlagValue = (&'static str, String, &'static str);

/// For each key, the value that counts and where it was written.
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Value, Place)>,
}

impl Layers {
    /// Reads all layers. Without a file, the first one is empty.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: Vec<FlagValue>,
    ) -> Result<Self, Fault> {
        let mut layers = Self { values: BTreeMap::new() };
        for key in KEYS {
            layers.set(key, key.default, Place::Default)?;
        }
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        layers.read_environment(environment)?;
        for (name, text, flag) in flags {
            let key = keys::find(name).expect("flags name keys that exist");
            layers.set(key, &text, Place::Flag(flag))?;
        }
        Ok(layers)
    }

    /// The value of a key, and where it was written.
    pub(super) fn get(&self, name: &str) -> (&Value, &Place) {
        let (value, place) = self.values.get(name).expect("every key has at least its default");
        (value, place)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Fault> {
        let unreadable = |why: String| Fault::Unreadable { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        let place = |offset: usize| Place::File {
            path: path.to_owned(),
            line: 1 + text.as_bytes()[..offset.min(text.len())]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count(),
        };
        let table = DeTable::parse(&text).map_err(|e| Fault::NotToml {
            place: place(e.span().map_or(0, |span| span.start)),
            why: e.message().to_owned(),
        })?;
        self.read_table("", table.get_ref(), &place)
    }

    fn read_table(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        place: &dyn Fn(usize) -> Place,
    ) -> Result<(), Fault> {
        for (name, value) in table {
            let place_of_name = place(name.span().start);
            let name = format!("{prefix}{}", name.get_ref());
            let inner = format!("{name}.");
            match (keys::find(&name), value.get_ref()) {
                (Some(key), value) => self.set_toml(key, value, place_of_name)?,
                (None, DeValue::Table(table))
                    if KEYS.iter().any(|k| k.name.starts_with(&inner)) =>
                {
                    self.read_table(&inner, table, place)?;
                }
                (None, _) => return Err(unknown(name, place_of_name)),
            }
        }
        Ok(())
    }

    fn set_toml(&mut self, key: &Key, value: &DeValue<'_>, place: Place) -> Result<(), Fault> {
        let text = match (key.takes, value) {
            (Takes::Table { .. }, DeValue::Table(table)) => {
                let mut entries = BTreeMap::new();
                flatten("", table, &mut entries)
                    .map_err(|(name, what)| unfit(key, format!("{name} {what}"), place.clone()))?;
                self.insert(key, Value::Table(entries), place);
                return Ok(());
            }
            (
                Takes::Path | Takes::Address | Takes::Text { .. } | Takes::Word(_),
                DeValue::String(text),
            ) => text.to_string(),
            (Takes::List { .. }, DeValue::Array(items)) => {
                let text = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    other => {
                        Err(unfit(key, format!("a list of {}", other.type_str()), place.clone()))
                    }
                };
                let texts = items.iter().map(text).collect::<Result<_, _>>()?;
                self.insert(key, Value::List(texts), place);
                return Ok(());
            }
            (Takes::Switch, DeValue::Boolean(on)) => on.to_string(),
            (Takes::Whole { .. }, DeValue::Integer(n)) if n.radix() == 10 => n.as_str().to_owned(),
            (Takes::Whole { .. }, DeValue::Integer(n)) => {
                u64::from_str_radix(n.as_str(), n.radix())
                    .map_or_else(|_| n.to_string(), |n| n.to_string())
            }
            (_, DeValue::String(text)) => return Err(unfit(key, format!("{text:?}"), place)),
            (_, DeValue::Integer(n)) => return Err(unfit(key, n.to_string(), place)),
            (_, DeValue::Float(n)) => return Err(unfit(key, n.to_string(), place)),
            (_, other) => return Err(unfit(key, format!("of type {}", other.type_str()), place)),
        };
        self.set(key, &text, place)
    }

    fn read_environment(
        &mut self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), Fault> {
        for (variable, text) in environment {
            let variable = variable.to_string_lossy();
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            // These are no keys: one says which file to read, the others are for tests.
            if name == "CONFIG" || name.starts_with("TEST_") {
                continue;
            }
            let place = Place::Variable(variable.to_string());
            let name = name.to_lowercase().replace("__", ".");
            let Some(key) = keys::find(&name) else { return Err(unknown(name, place)) };
            let Some(text) = text.to_str() else {
                return Err(unfit(key, text.display().to_string(), place));
            };
            self.set(key, text, place)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &Key, text: &str, place: Place) -> Result<(), Fault> {
        let value = match key.takes {
            Takes::Path if text.is_empty() => None,
            Takes::Path => Some(Value::Path(PathBuf::from(text))),
            Takes::Address => text.parse().ok().map(Value::Address),
            Takes::Text { .. } => Some(Value::Text(text.to_owned())),
            Takes::Word(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Takes::List { .. } => Some(Value::List(inline_list(text))),
            Takes::Table { .. } => inline_table(text).map(Value::Table),
            Takes::Switch => text.parse().ok().map(Value::Switch),
            Takes::Whole { min, max, .. } => {
                let n: Option<u64> = text.replace('_', "").parse().ok();
                n.filter(|n| (min..=max).contains(n)).map(Value::Whole)
            }
        };
        let Some(value) = value else {
            let is_number = text.parse::<i128>().is_ok();
            let written = if is_number { text.to_owned() } else { format!("{text:?}") };
            return Err(unfit(key, written, place));
        };
        self.insert(key, value, place);
        Ok(())
    }

    fn insert(&mut self, key: &Key, value: Value, place: Place) {
        let key = keys::find(key.name).expect("it came from the table");
        self.values.insert(key.name, (value, place));
    }
}

/// A list as it is written in one line: separated by commas, with or without brackets.
fn inline_list(text: &str) -> Vec<String> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    let texts = bare.split(',').map(|text| text.trim().trim_matches('"').to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// A table as it is written in one line.
fn inline_table(text: &str) -> Option<BTreeMap<String, String>> {
    let text = format!("table = {text}");
    let whole = DeTable::parse(&text).ok()?;
    let DeValue::Table(table) = whole.get_ref().get("table")?.get_ref() else { return None };
    let mut entries = BTreeMap::new();
    flatten("", table, &mut entries).ok()?;
    Some(entries)
}

/// The texts of a table by their whole names: `a.b = "c"` is `"a.b" = "c"`. Numbers and switches
/// are as good as their texts; anything else is given back with its name.
fn flatten(
    prefix: &str,
    table: &DeTable<'_>,
    entries: &mut BTreeMap<String, String>,
) -> Result<(), (String, String)> {
    for (name, value) in table {
        let name = format!("{prefix}{}", name.get_ref());
        let text = match value.get_ref() {
            DeValue::Table(inner) => {
                flatten(&format!("{name}."), inner, entries)?;
                continue;
            }
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(on) => on.to_string(),
            other => return Err((name, format!("of type {}", other.type_str()))),
        };
        entries.insert(name, text);
    }
    Ok(())
}

fn unfit(key: &Key, value: String, place: Place) -> Fault {
    let key_name = keys::find(key.name).expect("it came from the table").name;
    Fault::Value { place, key: key_name, value, takes: key.takes.describe() }
}

fn unknown(name: String, place: Place) -> Fault {
    let advice = match (keys::closest_table(&name), keys::closest(&name)) {
        (Some(table), _) if table == name => format!("[{table}] is a table of keys"),
        (_, Some(key)) => format!("did you mean {}, {}?", key.name, key.takes.describe()),
        (Some(table), None) => format!("did you mean the table [{table}]?"),
        (None, None) => "bellwether serve --print-config shows all there are".into(),
    };
    Fault::UnknownKey { place, name, advice }
}

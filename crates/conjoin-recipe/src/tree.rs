//! The recipe as text with places: a tree of TOML values in which every key and value knows its
//! bytes.

use crate::diagnostic::{Diagnostic, Span};
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub value: Value,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time; no option wants one.
    Datetime(String),
    Array(Vec<Tree>),
    Table(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub tree: Tree,
}

/// One step of a path through a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<&String> for Step {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where a value stands in the recipe.
pub(crate) type Path = Vec<Step>;

/// The path of a value: `place!["stages", 2, "train"]`.
macro_rules! place {
    ($($step:expr),* $(,)?) => { $crate::tree::Path::from([$($crate::tree::Step::from($step)),*]) };
}
pub(crate) use place;

impl Tree {
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span }
    }

    pub fn string(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::String(text.into()), span)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a table; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of an array; none of anything else.
    pub fn items(&self) -> &[Tree] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entry(key).map(|entry| &entry.tree)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        let entry = self
            .entries_mut()?
            .iter_mut()
            .find(|entry| entry.key == key)?;
        Some(&mut entry.tree)
    }

    /// Takes a key out of a table.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let entries = self.entries_mut()?;
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at))
    }

    fn child(&self, step: &Step) -> Option<&Tree> {
        match step {
            Step::Key(key) => self.get(key),
            Step::Index(index) => self.items().get(*index),
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Tree> {
        match step {
            Step::Key(key) => self.get_mut(key),
            Step::Index(index) => match &mut self.value {
                Value::Array(items) => items.get_mut(*index),
                _ => None,
            },
        }
    }

    /// The value at a path.
    pub fn at(&self, path: &[Step]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, step| tree.child(step))
    }

    pub fn at_mut(&mut self, path: &[Step]) -> Option<&mut Tree> {
        path.iter()
            .try_fold(self, |tree, step| tree.child_mut(step))
    }

    /// Takes the value at a path out of the tree.
    pub fn cut(&mut self, path: &[Step]) {
        let Some((last, parent)) = path.split_last() else {
            return;
        };
        let Some(parent) = self.at_mut(parent) else {
            return;
        };
        match (last, &mut parent.value) {
            (Step::Key(key), Value::Table(entries)) => entries.retain(|entry| entry.key != *key),
            (Step::Index(index), Value::Array(items)) if *index < items.len() => {
                items.remove(*index);
            }
            _ => {}
        }
    }

    /// Where the value at a path stands, or as much of the path as is written down. A table that
    /// has a header of its own is pointed at by its name.
    pub fn span_at(&self, path: &[Step]) -> Span {
        let mut tree = self;
        let mut span = Span::new(0, 0..0);
        for step in path {
            let Some(child) = tree.child(step) else { break };
            span = match (step, &child.value) {
                (Step::Key(key), Value::Table(_)) => tree
                    .entry(key)
                    .map_or(child.span.clone(), |entry| entry.key_span.clone()),
                _ => child.span.clone(),
            };
            tree = child;
        }
        span
    }

    /// Where the key at the end of a path stands.
    pub fn key_span_at(&self, path: &[Step]) -> Span {
        if let Some((Step::Key(key), parent)) = path.split_last()
            && let Some(entry) = self.at(parent).and_then(|parent| parent.entry(key))
        {
            return entry.key_span.clone();
        }
        self.span_at(path)
    }

    /// The value in words, for messages: `"big"`, `3`, `a table`.
    pub fn found(&self) -> String {
        match &self.value {
            Value::String(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Boolean(truth) => truth.to_string(),
            Value::Datetime(text) => format!("the date {text}"),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// The plain value, for comparing recipes.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::String(text) | Value::Datetime(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(truth) => (*truth).into(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.tree.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Parses a document; every syntax error is reported.
pub(crate) fn parse(text: &str, source: usize, errors: &mut Vec<Diagnostic>) -> Tree {
    let (table, found) = DeTable::parse_recoverable(text);
    for error in found {
        let range = error.span().unwrap_or(0..0);
        let words = plain_words(error.message(), text.get(range.clone()).unwrap_or_default());
        let message = format!("not valid TOML: {words}");
        errors.push(Diagnostic::new("syntax", Span::new(source, range), message));
    }
    let span = Span::new(source, 0..0);
    let value = convert_table(table.into_inner(), source, errors);
    Tree::new(value, span)
}

/// The parser's words where they need no knowledge of its insides, else ours.
fn plain_words(message: &str, found: &str) -> String {
    match message.split(',').next().unwrap_or_default() {
        "duplicate key" => format!("duplicate key \"{found}\""),
        "string values must be quoted" if found.is_empty() => "the value is missing".to_owned(),
        "string values must be quoted" => format!("found {found}, and strings stand in quotes"),
        "invalid basic string" => "the string is never closed".to_owned(),
        _ => message.to_owned(),
    }
}

/// Converts a parsed value.
pub(crate) fn convert(
    value: Spanned<DeValue<'_>>,
    source: usize,
    errors: &mut Vec<Diagnostic>,
) -> Tree {
    let span = Span::new(source, value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(read.unwrap_or_else(|_| {
                let message = format!("the number {number} does not fit 64 bits");
                errors.push(Diagnostic::new("syntax", span.clone(), message));
                0
            }))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or_else(|_| {
            let message = format!("{number} is not a number");
            errors.push(Diagnostic::new("syntax", span.clone(), message));
            0.0
        })),
        DeValue::Boolean(truth) => Value::Boolean(truth),
        DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| convert(item, source, errors))
                .collect(),
        ),
        DeValue::Table(table) => convert_table(table, source, errors),
    };
    Tree::new(value, span)
}

fn convert_table(table: DeTable<'_>, source: usize, errors: &mut Vec<Diagnostic>) -> Value {
    let entries = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_span: Span::new(source, key.span()),
            key: key.into_inner().into_owned(),
            tree: convert(value, source, errors),
        })
        .collect();
    Value::Table(entries)
}

/// A path as a person would write it: `stages[2].schedule.kind`.
pub(crate) struct Dotted<'a>(pub &'a [Step]);

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if key.contains('.') => write!(f, ".'{key}'")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

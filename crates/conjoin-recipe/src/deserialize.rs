//! A serde deserializer over [`Tree`] whose errors keep their parts: the path inside the value, the
//! name that was not known, the names that are.

use crate::tree::{Entry, Path, Step, Tree, Value};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadError {
    /// From the inside out.
    reversed: Vec<Step>,
    pub kind: ReadErrorKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReadErrorKind {
    /// The path ends with the key.
    UnknownKey {
        expected: Vec<String>,
    },
    /// The path ends with the table.
    MissingKey(String),
    /// A name that must be one of several.
    UnknownName {
        expected: &'static [&'static str],
    },
    /// In serde's words.
    Expected(String),
    Other(String),
}

impl ReadError {
    fn new(kind: ReadErrorKind) -> Self {
        Self {
            reversed: Vec::new(),
            kind,
        }
    }

    fn inside(mut self, step: impl Into<Step>) -> Self {
        self.reversed.push(step.into());
        self
    }

    /// An error in its own words about the whole value.
    pub fn at_root(message: &str) -> Self {
        Self::new(ReadErrorKind::Other(message.to_owned()))
    }

    /// An error that another deserializer told as text: what serde's own messages say is taken
    /// apart again. `keys` are those of the value, `blamed` is the one at fault.
    pub fn from_text(message: &str, keys: Vec<String>, blamed: Option<&str>) -> Self {
        let named = |start: &str| message.strip_prefix(start)?.split('`').next();
        if let Some(key) = named("missing field `").filter(|key| keys.iter().any(|k| k == key)) {
            return Self::new(ReadErrorKind::MissingKey(key.to_owned()));
        }
        let Some(blamed) = blamed else {
            return Self::at_root(message);
        };
        if named("unknown field `") == Some(blamed) {
            return Self::new(ReadErrorKind::UnknownKey { expected: keys }).inside(blamed);
        }
        let typed = message.starts_with("invalid type") || message.starts_with("invalid value");
        let kind = match message.split_once(", expected ") {
            Some((_, expected)) if typed => ReadErrorKind::Expected(expected.to_owned()),
            _ => ReadErrorKind::Other(message.to_owned()),
        };
        Self::new(kind).inside(blamed)
    }

    /// Where in the value.
    pub fn path(&self) -> Path {
        self.reversed.iter().rev().cloned().collect()
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {}",
            self.kind,
            crate::tree::Dotted(&self.path())
        )
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ReadErrorKind::Other(message.to_string()))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(ReadErrorKind::Expected(expected.to_string()))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(ReadErrorKind::Expected(expected.to_string()))
    }

    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::new(ReadErrorKind::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(ReadErrorKind::UnknownName { expected })
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        let expected = expected.iter().map(|&name| name.to_owned()).collect();
        Self::new(ReadErrorKind::UnknownKey { expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(ReadErrorKind::MissingKey(field.to_owned()))
    }
}

impl<'de> de::Deserializer<'de> for &'de Tree {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::String(text) | Value::Datetime(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(truth) => visitor.visit_bool(*truth),
            Value::Array(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Table(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::String(text) => {
                let name: StrDeserializer<'_, ReadError> = text.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            _ => Err(ReadError::new(ReadErrorKind::Expected("a name".to_owned()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Tree],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.get(self.next) else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|error| error.inside(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.value = self.entries.next();
        let Some(entry) = self.value else {
            return Ok(None);
        };
        let key: StrDeserializer<'de, ReadError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.inside(&entry.key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some(entry) => seed
                .deserialize(&entry.tree)
                .map_err(|error| error.inside(&entry.key)),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

//! `--set path.to.key=value`: changes to a recipe before it is checked.
//!
//! The value is TOML; a bare word is a string. Stages, and any other list of tables with names, are
//! addressed by name or by position from 0.

use crate::diagnostic::{Diagnostic, Span};
use crate::suggest;
use crate::tree::{self, Entry, Step, Tree, Value};
use toml_edit::{DocumentMut, Item, TableLike};

/// Keys whose value may be a bare kind: setting an option below turns it into a table.
const BARE_KINDS: [&str; 3] = ["loss", "optimiser", "optimisers"];

/// One parsed `--set`.
#[derive(Debug)]
pub(crate) struct Override {
    /// The path with the place of each part in the text.
    steps: Vec<(String, Span)>,
    value: Tree,
}

impl Override {
    /// Parses the text of source number `source`.
    pub fn parse(text: &str, source: usize, errors: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut document = Vec::new();
        let mut tree = tree::parse(text, source, &mut document);
        if !document.is_empty() {
            let Some(bare) = bare_word(text, source) else {
                errors.push(complaint(text, source, document));
                return None;
            };
            tree = bare;
        }
        let mut steps = Vec::new();
        // A dotted key makes tables of one entry each; a table that is written out is the value.
        loop {
            let dotted = steps.is_empty() || tree.span.start < value_start(text);
            match tree.value {
                Value::Table(mut entries) if dotted && entries.len() == 1 => {
                    let entry = entries.remove(0);
                    steps.push((entry.key, entry.key_span));
                    tree = entry.tree;
                }
                value => {
                    tree.value = value;
                    break;
                }
            }
        }
        if steps.is_empty() {
            let message = "expected KEY=VALUE, such as stages.joint.epochs=3";
            errors.push(Diagnostic::new(
                "bad-override",
                Span::new(source, 0..text.len()),
                message,
            ));
            return None;
        }
        Some(Self { steps, value: tree })
    }

    /// Puts the value into a recipe.
    pub fn apply(&self, tree: &mut Tree) -> Result<(), Box<Diagnostic>> {
        let Some((last, parents)) = self.steps.split_last() else {
            return Ok(());
        };
        let mut here = tree;
        let mut above = "";
        for (step, span) in parents {
            here = descend(here, step, above, span)?;
            above = step;
        }
        let (key, key_span) = last;
        if matches!(here.value, Value::Array(_)) {
            *descend(here, key, above, key_span)? = self.value.clone();
            return Ok(());
        }
        let entries = open_table(here, above, key_span)?;
        match entries.iter_mut().find(|entry| entry.key == *key) {
            Some(entry) => entry.tree = self.value.clone(),
            None => entries.push(Entry {
                key: key.clone(),
                key_span: key_span.clone(),
                tree: self.value.clone(),
            }),
        }
        Ok(())
    }

    /// Makes the same change in the text, keeping its comments. To be called after [`apply`] went
    /// well.
    ///
    /// [`apply`]: Self::apply
    pub fn edit(&self, document: &mut DocumentMut) {
        let value = to_edit(&self.value);
        let keys: Vec<&str> = self.steps.iter().map(|(key, _)| key.as_str()).collect();
        edit_item(document.as_item_mut(), &keys, value);
    }
}

/// Where the value begins: after the first `=` outside quotes.
fn value_start(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('=', None) => return at + 1,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// Reads `key=word`, where the word is no TOML value, as a string.
fn bare_word(text: &str, source: usize) -> Option<Tree> {
    let start = value_start(text);
    let word = text.get(start..)?;
    let looks_like_toml = word.trim_start().starts_with(['"', '\'', '[', '{']);
    if word.trim().is_empty() || looks_like_toml || word.contains('\n') {
        return None;
    }
    let key = text.get(..start)?;
    let mut errors = Vec::new();
    let mut tree = tree::parse(&format!("{key}0"), source, &mut errors);
    if !errors.is_empty() {
        return None;
    }
    let begin = start + (word.len() - word.trim_start().len());
    let word = word.trim();
    let mut place = Vec::new();
    let mut inner = &tree;
    while let [entry] = inner.entries() {
        place.push(Step::from(&entry.key));
        inner = &entry.tree;
    }
    *tree.at_mut(&place)? = Tree::string(word, Span::new(source, begin..begin + word.len()));
    Some(tree)
}

fn complaint(text: &str, source: usize, found: Vec<Diagnostic>) -> Diagnostic {
    if value_start(text) == text.len() {
        let message = "expected KEY=VALUE, such as stages.joint.epochs=3";
        return Diagnostic::new("bad-override", Span::new(source, 0..text.len()), message);
    }
    found.into_iter().next().unwrap_or_else(|| {
        Diagnostic::new(
            "bad-override",
            Span::new(source, 0..text.len()),
            "not valid TOML",
        )
    })
}

/// One step down; missing tables are made.
fn descend<'a>(
    here: &'a mut Tree,
    step: &str,
    above: &str,
    span: &Span,
) -> Result<&'a mut Tree, Box<Diagnostic>> {
    if matches!(here.value, Value::Array(_)) {
        return descend_list(here, step, above, span);
    }
    let entries = open_table(here, above, span)?;
    let at = entries
        .iter()
        .position(|entry| entry.key == step)
        .unwrap_or_else(|| {
            entries.push(Entry {
                key: step.to_owned(),
                key_span: span.clone(),
                tree: Tree::new(Value::Table(Vec::new()), span.clone()),
            });
            entries.len() - 1
        });
    Ok(&mut entries[at].tree)
}

/// The element of a list that a step names.
fn descend_list<'a>(
    here: &'a mut Tree,
    step: &str,
    above: &str,
    span: &Span,
) -> Result<&'a mut Tree, Box<Diagnostic>> {
    let items = here.items();
    let names: Vec<Option<String>> = items
        .iter()
        .map(|item| item.get("name")?.as_str().map(str::to_owned))
        .collect();
    let count = items.len();
    if let Some(index) = position(step, &names, count)
        && let Some(item) = here.at_mut(&[Step::Index(index)])
    {
        return Ok(item);
    }
    let known: Vec<String> = names.into_iter().flatten().collect();
    let message = format!("\"{above}\" has no entry \"{step}\"");
    let help = if known.is_empty() {
        format!("it has {count} entries, counted from 0")
    } else {
        suggest::help(step, above, &known)
    };
    Err(Box::new(
        Diagnostic::new("unknown-override", span.clone(), message).help(help),
    ))
}

/// The position that a step names: by name first, then by number.
fn position(step: &str, names: &[Option<String>], count: usize) -> Option<usize> {
    names
        .iter()
        .position(|name| name.as_deref() == Some(step))
        .or_else(|| step.parse().ok().filter(|index| *index < count))
}

fn open_table<'a>(
    here: &'a mut Tree,
    above: &str,
    span: &Span,
) -> Result<&'a mut Vec<Entry>, Box<Diagnostic>> {
    if matches!(here.value, Value::String(_)) && BARE_KINDS.contains(&above) {
        let kind = Entry {
            key: "kind".to_owned(),
            key_span: here.span.clone(),
            tree: here.clone(),
        };
        here.value = Value::Table(vec![kind]);
    }
    let found = here.found();
    if let Value::Table(entries) = &mut here.value {
        return Ok(entries);
    }
    let message = format!("\"{above}\" is {found}, which has no keys");
    Err(Box::new(Diagnostic::new(
        "unknown-override",
        span.clone(),
        message,
    )))
}

fn edit_item(item: &mut Item, keys: &[&str], value: toml_edit::Value) {
    let Some((key, rest)) = keys.split_first() else {
        *item = Item::Value(value);
        return;
    };
    if let Some(tables) = item.as_array_of_tables_mut() {
        let name = |table: &toml_edit::Table| Some(table.get("name")?.as_str()?.to_owned());
        let names: Vec<_> = tables.iter().map(name).collect();
        let table = position(key, &names, names.len()).and_then(|index| tables.get_mut(index));
        if let (Some(table), Some((key, rest))) = (table, rest.split_first()) {
            edit_table(table, key, rest, value);
        }
    } else if let Some(array) = item.as_array_mut() {
        let name = |value: &toml_edit::Value| {
            Some(value.as_inline_table()?.get("name")?.as_str()?.to_owned())
        };
        let names: Vec<_> = array.iter().map(name).collect();
        let Some(index) = position(key, &names, names.len()) else {
            return;
        };
        match (array.get_mut(index), rest.split_first()) {
            (Some(element), None) => *element = value,
            (Some(element), Some((key, rest))) => {
                if let Some(table) = element.as_inline_table_mut() {
                    edit_table(table, key, rest, value);
                }
            }
            (None, _) => {}
        }
    } else if let Some(table) = item.as_table_like_mut() {
        edit_table(table, key, rest, value);
    }
}

fn edit_table(table: &mut dyn TableLike, key: &str, rest: &[&str], value: toml_edit::Value) {
    if rest.is_empty() {
        match table.get_mut(key) {
            // The comment behind the old value stays.
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            Some(old) => *old = Item::Value(value),
            None => {
                table.insert(key, Item::Value(value));
            }
        }
        return;
    }
    let bare = table.get(key).and_then(Item::as_str).map(str::to_owned);
    if table.get(key).is_none() || bare.is_some() {
        let mut inner = toml_edit::InlineTable::new();
        if let Some(kind) = bare {
            inner.insert("kind", kind.into());
        }
        table.insert(key, Item::Value(inner.into()));
    }
    if let Some(item) = table.get_mut(key) {
        edit_item(item, rest, value);
    }
}

fn to_edit(tree: &Tree) -> toml_edit::Value {
    match &tree.value {
        Value::String(text) | Value::Datetime(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Array(items) => items
            .iter()
            .map(to_edit)
            .collect::<toml_edit::Array>()
            .into(),
        Value::Table(entries) => entries
            .iter()
            .map(|entry| (entry.key.as_str(), to_edit(&entry.tree)))
            .collect::<toml_edit::InlineTable>()
            .into(),
    }
}

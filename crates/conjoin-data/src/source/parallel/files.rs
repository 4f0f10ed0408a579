//! Pairs of two plain files, of a table of tab-separated values, and of JSON lines.

use super::Pair;
use crate::DataError;
use crate::text::read_lines;
use serde_json::Value;
use std::path::Path;

/// Line by line of two files.
pub(super) fn lines(source: &Path, target: &Path) -> Result<Vec<Pair>, DataError> {
    let (sources, targets) = (read_lines(source)?, read_lines(target)?);
    if sources.len() != targets.len() {
        let (longer, shorter, last) = if sources.len() > targets.len() {
            (source, target, targets.len())
        } else {
            (target, source, sources.len())
        };
        return Err(DataError::format(
            format!("{} line {}", longer.display(), last + 1),
            "a line without a partner",
            format!("as many lines as {} has, {last}", shorter.display()),
        ));
    }
    let pair = |(line, (source, target))| Pair {
        line,
        source,
        target,
    };
    Ok((1..)
        .zip(sources.into_iter().zip(targets))
        .map(pair)
        .collect())
}

/// Two fields, counted from 1, of each line; a blank line has as many as are asked for, all empty.
pub(super) fn tsv(path: &Path, fields: [usize; 2]) -> Result<Vec<Pair>, DataError> {
    let mut pairs = Vec::new();
    for (line, content) in (1..).zip(read_lines(path)?) {
        if content.trim().is_empty() {
            pairs.push(Pair::blank(line));
            continue;
        }
        let found: Vec<&str> = content.split('\t').collect();
        let field = |number: usize| {
            let field = number.checked_sub(1).and_then(|i| found.get(i));
            field.map(ToString::to_string).ok_or_else(|| {
                DataError::format(
                    format!("{} line {line}", path.display()),
                    format!("{} tab-separated fields", found.len()),
                    format!("at least {number}"),
                )
            })
        };
        pairs.push(Pair {
            line,
            source: field(fields[0])?,
            target: field(fields[1])?,
        });
    }
    Ok(pairs)
}

/// Two keys of the object on each line; where there is no such key, a dot leads into an object within.
/// On a blank line both are empty.
pub(super) fn jsonl(path: &Path, keys: &[String; 2]) -> Result<Vec<Pair>, DataError> {
    let mut pairs = Vec::new();
    for (line, content) in (1..).zip(read_lines(path)?) {
        if content.trim().is_empty() {
            pairs.push(Pair::blank(line));
            continue;
        }
        let wrong = |found: String, expected: String| {
            DataError::format(format!("{} line {line}", path.display()), found, expected)
        };
        let object: Value = serde_json::from_str(&content)
            .map_err(|error| wrong(error.to_string(), "a JSON object".to_owned()))?;
        let field = |key: &String| {
            let within = || {
                let mut steps = key.split('.');
                steps.try_fold(&object, |value, step| value.get(step))
            };
            let value = object.get(key).or_else(within);
            let found = match value {
                Some(Value::String(text)) => return Ok(text.clone()),
                Some(_) => format!("something else than text at `{key}`"),
                None => format!("no key `{key}`"),
            };
            Err(wrong(found, format!("text at `{key}`")))
        };
        pairs.push(Pair {
            line,
            source: field(&keys[0])?,
            target: field(&keys[1])?,
        });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, impl Fn(&str) -> PathBuf + use<>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let root = dir.path().to_owned();
        (dir, move |name: &str| root.join(name))
    }

    fn told(dir: &tempfile::TempDir, found: Result<Vec<Pair>, DataError>) -> String {
        match found {
            Err(error) => error
                .to_string()
                .replace(&format!("{}/", dir.path().display()), ""),
            Ok(pairs) => {
                let text = |pair: &Pair| format!("{} {}={}", pair.line, pair.source, pair.target);
                pairs.iter().map(text).collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn lines_go_together_and_must_be_as_many() {
        let (dir, at) = folder(&[("a", "x\n\ny\n"), ("b", "1\n2\n3"), ("c", "1\n")]);
        assert_eq!(told(&dir, lines(&at("a"), &at("b"))), "1 x=1; 2 =2; 3 y=3");
        let refusal =
            "a line 2: found a line without a partner, expected as many lines as c has, 1";
        assert_eq!(told(&dir, lines(&at("a"), &at("c"))), refusal);
        assert_eq!(told(&dir, lines(&at("c"), &at("a"))), refusal);
        assert!(told(&dir, lines(&at("a"), &at("none"))).starts_with("none: "));
    }

    #[test]
    fn tables_give_the_fields_that_are_asked_for() {
        let (dir, at) = folder(&[("t", "a\tb\tc\nd\te\n"), ("u", "\na\tb\tc\n \t\n")]);
        assert_eq!(told(&dir, tsv(&at("t"), [2, 1])), "1 b=a; 2 e=d");
        assert_eq!(told(&dir, tsv(&at("u"), [3, 1])), "1 =; 2 c=a; 3 =");
        assert_eq!(
            told(&dir, tsv(&at("t"), [1, 3])),
            "t line 2: found 2 tab-separated fields, expected at least 3"
        );
    }

    #[test]
    fn objects_give_the_keys_that_are_asked_for() {
        let text = "{\"t\": {\"en\": \"a\", \"de\": \"b\"}}\n\n{\"t\": {\"en\": 1}}\n";
        let (dir, at) = folder(&[
            ("j", text),
            ("k", "{\"t\": {\"en\": \"a\"}}"),
            ("l", "{"),
            ("m", " \n{\"t\": {\"en\": \"a\"}}"),
        ]);
        let keys = ["t.en".to_owned(), "t.de".to_owned()];
        assert_eq!(
            told(&dir, jsonl(&at("j"), &keys)),
            "j line 3: found something else than text at `t.en`, expected text at `t.en`"
        );
        assert_eq!(
            told(&dir, jsonl(&at("k"), &keys)),
            "k line 1: found no key `t.de`, expected text at `t.de`"
        );
        assert!(told(&dir, jsonl(&at("l"), &keys)).contains("expected a JSON object"));
        let same = ["t.en".to_owned(), "t.en".to_owned()];
        assert_eq!(told(&dir, jsonl(&at("k"), &same)), "1 a=a");
        assert_eq!(told(&dir, jsonl(&at("m"), &same)), "1 =; 2 a=a");
    }
}

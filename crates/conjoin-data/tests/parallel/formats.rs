//! The formats of a file of pairs, through the options of a recipe: JSON lines, gettext catalogues in both
//! forms.

use super::{Folder, tokens};
use conjoin_data::{Sample, Source};
use serde_json::json;

/// Source and target of every row, from the tokens and as they stand in the file.
fn rows(source: &dyn Source) -> Vec<(String, String, String)> {
    let text = |sample: &Sample, column: &str| {
        let tokens = tokens(sample, column);
        source.detokenise(column, &tokens).unwrap()
    };
    let row = |index| {
        let sample = source.sample(index).unwrap();
        let raw = source.reference_texts(index).remove(0);
        (text(&sample, "source"), text(&sample, "target_out"), raw)
    };
    (0..source.len()).map(row).collect()
}

fn row(source: &str, target: &str, raw: &str) -> (String, String, String) {
    (source.to_owned(), target.to_owned(), raw.to_owned())
}

#[test]
fn json_lines_give_their_keys() {
    let folder = Folder::new();
    let lines = concat!(
        "{\"source\": \"The cell.\", \"target\": \"Die  Zelle.\"}\n\n",
        "{\"source\": \"Two\\nwords\", \"target\": \"Zwei W\\u00f6rter\", \"by\": 3}\n",
    );
    folder.write("t.jsonl", lines);
    let source = folder.open(json!({"path": "t.jsonl", "empty": "skip"}));
    let first = row("The cell.", "Die Zelle.", "Die  Zelle.");
    let second = row("Two words", "Zwei Wörter", "Zwei Wörter");
    assert_eq!(rows(source.as_ref()), [first, second]);
    assert!(source.location(1).ends_with("t.jsonl line 3"));
    let nested = "{\"translation\": {\"en\": \"The cell.\", \"de\": \"Die Zelle.\"}}";
    folder.write("nested", nested);
    let keys = json!(["translation.en", "translation.de"]);
    let source = folder.open(json!({"path": "nested", "format": "jsonl", "keys": keys}));
    let whole = row("The cell.", "Die Zelle.", "Die Zelle.");
    assert_eq!(rows(source.as_ref()), [whole]);
    assert_eq!(
        folder.refusal(json!({"path": "t.jsonl", "keys": ["source", "by"]})),
        "t.jsonl line 1: found no key `by`, expected text at `by`"
    );
}

const CATALOGUE: &str = r#"
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#, fuzzy
msgid "Two words"
msgstr "Kurz"

msgctxt "table"
msgid "The cell."
msgstr "Die "
"Zelle."

msgid "word"
msgid_plural "words"
msgstr[0] "Wort"
msgstr[1] "Wörter"

msgid "A very long"
msgstr ""
"#;

#[test]
fn catalogues_give_what_is_translated() {
    let folder = Folder::new();
    folder.write("t.po", CATALOGUE);
    let source = folder.open(json!({"path": "t.po"}));
    let told = |source: &dyn Source| {
        let pairs = rows(source)
            .into_iter()
            .map(|(source, target, _)| format!("{source}={target}"));
        pairs.collect::<Vec<_>>()
    };
    let sure = ["The cell.=Die Zelle.", "word=Wort", "words=Wörter"];
    assert_eq!(told(source.as_ref()), sure);
    let fuzzy = folder.open(json!({"path": "t.po", "fuzzy": true}));
    assert_eq!(told(fuzzy.as_ref())[0], "Two words=Kurz");
    let swapped = folder.open(json!({"path": "t.po", "swap": true, "limit": 1}));
    assert_eq!(swapped.len(), 1);
    assert!(sure.contains(&format!("{}={}", rows(swapped.as_ref())[0].1, swapped.key(0)).as_str()));

    // The same catalogue compiled.
    let entries = [
        ("", "Content-Type: text/plain; charset=UTF-8\n"),
        ("table\u{4}The cell.", "Die Zelle."),
        ("word\0words", "Wort\0Wörter"),
    ];
    folder.write("t.mo", compiled(&entries));
    let source = folder.open(json!({"path": "t.mo"}));
    assert_eq!(told(source.as_ref()), sure);
    assert!(source.location(0).ends_with("t.mo entry 2"));
    folder.write("broken.mo", &compiled(&entries)[..90]);
    let refusal = folder.refusal(json!({"path": "broken.mo"}));
    assert!(refusal.starts_with("broken.mo"), "{refusal}");
}

#[test]
fn messages_name_lines_of_text_and_entries_of_what_is_compiled() {
    let folder = Folder::new();
    let long = "The cell. ".repeat(3);
    for (name, place) in [("a.mo", "entry 2"), ("b.po", "line 4")] {
        let write = |id: &str, translation: &str| {
            let whole = [("word", "Wort"), (id, translation)];
            let entry = |(id, translation)| format!("msgid \"{id}\"\nmsgstr \"{translation}\"\n");
            match name {
                "a.mo" => folder.write(name, compiled(&whole)),
                _ => folder.write(name, whole.map(entry).join("\n")),
            }
        };
        write("cell", " ");
        let refusal = folder.refusal(json!({ "path": name }));
        let expected = format!("{name} {place}: found an empty target");
        assert!(refusal.starts_with(&expected), "{refusal}");
        write(&long, "Zelle");
        let refusal = folder.refusal(json!({"path": name, "max_length": 12}));
        let expected = format!("{name} {place}: found a text of ");
        assert!(refusal.starts_with(&expected), "{refusal}");
        let cut = json!({"path": name, "max_length": 12, "too_long": "truncate"});
        let note = folder.open(cut).notes().remove(0);
        assert!(note.ends_with(&format!("the first at {place}")), "{note}");
    }
}

#[test]
fn an_entry_without_a_translation_is_refused_at_its_line() {
    let folder = Folder::new();
    folder.write("t.po", format!("{CATALOGUE}\nmsgid \"The end\"\n"));
    let line = CATALOGUE.lines().count() + 2;
    assert_eq!(
        folder.refusal(json!({"path": "t.po"})),
        format!(
            "t.po line {line}: found msgid without msgstr, expected msgstr behind it, before the \
             entry ends"
        )
    );
}

/// A `.mo` file as `msgfmt` lays it out without a hash table: a header of seven words, two tables of
/// lengths and offsets, then the texts, each with a zero behind it.
fn compiled(entries: &[(&str, &str)]) -> Vec<u8> {
    let tables = 28 + 16 * entries.len();
    let head = [
        0x9504_12de,
        0,
        entries.len(),
        28,
        28 + 8 * entries.len(),
        0,
        tables,
    ];
    let word = |n: usize| (n as u32).to_le_bytes();
    let mut bytes: Vec<u8> = head.into_iter().flat_map(word).collect();
    let mut texts = Vec::new();
    let originals = entries.iter().map(|entry| entry.0);
    for text in originals.chain(entries.iter().map(|entry| entry.1)) {
        bytes.extend(word(text.len()));
        bytes.extend(word(tables + texts.len()));
        texts.extend(text.bytes());
        texts.push(0);
    }
    bytes.extend(texts);
    bytes
}

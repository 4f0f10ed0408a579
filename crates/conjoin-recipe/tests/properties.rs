//! Whatever bytes a recipe has, checking ends with a plan or with messages, never with a panic.

use proptest::prelude::*;

const SMALL: &str = include_str!("small.toml");

fn check(text: &str, sets: &[String]) {
    match conjoin_recipe::check(text, "recipe.toml", sets, &[], None) {
        Ok(_) => {}
        Err(found) => {
            assert!(found.has_errors());
            assert!(!found.to_string().is_empty());
            assert!(!found.draw(true, 80).is_empty());
            assert_eq!(found.reports().len(), found.len());
        }
    }
}

/// One change of the text.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, char),
    Delete(usize, usize),
    Replace(usize, String),
    SwapLines(usize, usize),
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = 0..4096usize;
    let words = prop::sample::select(vec![
        "1",
        "-1",
        "nan",
        "\"data\"",
        "\"a.b\"",
        "{}",
        "[]",
        "[[stages]]",
        "true",
        "in",
        "kind",
        "\"\"",
        "data.letters",
        "1979-05-27",
        "'''",
        "é",
        "9223372036854775807",
        "[nodes.x]",
    ]);
    prop_oneof![
        (at.clone(), any::<char>()).prop_map(|(at, c)| Edit::Insert(at, c)),
        (at.clone(), 1..40usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        (at.clone(), words).prop_map(|(at, word)| Edit::Replace(at, word.to_owned())),
        (at.clone(), at.clone()).prop_map(|(a, b)| Edit::SwapLines(a, b)),
        at.prop_map(Edit::Repeat),
    ]
}

fn apply(text: &mut String, edit: &Edit) {
    let place = |text: &str, at: usize| {
        let count = text.chars().count().max(1);
        text.char_indices()
            .nth(at % count)
            .map_or(0, |(byte, _)| byte)
    };
    match edit {
        Edit::Insert(at, c) => {
            let at = place(text, *at);
            text.insert(at, *c);
        }
        Edit::Delete(at, count) => {
            let from = place(text, *at);
            let to = text[from..]
                .char_indices()
                .nth(*count)
                .map_or(text.len(), |(b, _)| from + b);
            text.replace_range(from..to, "");
        }
        Edit::Replace(at, word) => {
            // A whole value after `=`, so that the text mostly stays TOML.
            let values: Vec<usize> = text.match_indices("= ").map(|(byte, _)| byte + 2).collect();
            if let Some(&from) = values.get(at % values.len().max(1)) {
                let to = text[from..].find('\n').map_or(text.len(), |end| from + end);
                text.replace_range(from..to, word);
            }
        }
        Edit::SwapLines(a, b) => {
            let mut lines: Vec<&str> = text.lines().collect();
            let count = lines.len().max(1);
            if !lines.is_empty() {
                lines.swap(a % count, b % count);
            }
            *text = lines.join("\n");
        }
        Edit::Repeat(at) => {
            let lines: Vec<&str> = text.lines().collect();
            if let Some(line) = lines.get(at % lines.len().max(1)) {
                *text = format!("{text}\n{line}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn edited_recipes_never_panic(edits in prop::collection::vec(edit(), 1..6)) {
        let mut text = SMALL.to_owned();
        for edit in &edits {
            apply(&mut text, edit);
        }
        check(&text, &[]);
    }

    #[test]
    fn strange_overrides_never_panic(
        key in "[a-z.\"'=\\[\\]{} 0-9]{0,24}",
        value in "\\PC{0,24}",
    ) {
        check(SMALL, &[format!("{key}={value}")]);
        check(SMALL, &[key]);
    }

    #[test]
    fn overrides_of_real_keys_never_panic(
        key in prop::sample::select(vec![
            "seed", "stages", "stages.0", "stages.joint", "stages.joint.lr", "nodes", "data.train",
            "nodes.encoder.hidden", "objectives.spell.loss.smoothing", "arms.default", "task.beam",
            "stages.joint.train.0", "stages.joint.train", "nodes.encoder.in.sequence",
        ]),
        value in "\\PC{0,12}|[0-9]{1,20}|true|\\[\\]|\\{\\}",
    ) {
        check(SMALL, &[format!("{key}={value}")]);
    }
}

//! Sentences of a block of text, by marks and capitals; no dictionary.

/// Abbreviations, in lower case, whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 34] = [
    "abb", "bspw", "bzw", "ca", "cf", "dr", "e.g", "etc", "evtl", "fig", "ggf", "i.e", "inkl",
    "max", "min", "mr", "mrs", "no", "nr", "od", "p.ex", "prof", "resp", "s", "sog", "st", "str",
    "u.a", "usw", "v", "vgl", "vs", "z.b", "zzgl",
];

/// Cuts behind `.`, `!` or `?` (with closing quotes and brackets) where a space and a capital, a
/// digit, an opening mark or a letter without case follow, and behind the full stops of Chinese and
/// Japanese. Abbreviations, initials and numbers do not end a sentence.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let (mut cut, mut begin) = (Vec::new(), 0);
    let mut i = 0;
    while i < chars.len() {
        let mark = chars[i].1;
        let wide = matches!(mark, '。' | '！' | '？');
        if !wide && !matches!(mark, '.' | '!' | '?') {
            i += 1;
            continue;
        }
        let stop = chars[i].0;
        let mut next = i + 1;
        while next < chars.len() && closes(chars[next].1) {
            next += 1;
        }
        let end = chars.get(next).map_or(text.len(), |c| c.0);
        let goes_on = if wide {
            false
        } else {
            let spaced = chars.get(next).is_some_and(|c| c.1 == ' ');
            let follows = chars.get(next + 1).is_some_and(|c| starts(c.1));
            !(spaced && follows) || (mark == '.' && abbreviated(&text[begin..stop]))
        };
        if !goes_on {
            cut.push(text[begin..end].trim());
            begin = end;
        }
        i = next;
    }
    cut.push(text[begin..].trim());
    cut.retain(|sentence| !sentence.is_empty());
    cut
}

/// Marks that belong to the sentence before them.
fn closes(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '。'
            | '！'
            | '？'
            | '"'
            | '\''
            | ')'
            | ']'
            | '“'
            | '”'
            | '’'
            | '»'
            | '」'
            | '』'
            | '）'
    )
}

/// What a sentence may begin with.
fn starts(c: char) -> bool {
    c.is_uppercase()
        || c.is_ascii_digit()
        || (c.is_alphabetic() && !c.is_lowercase())
        || matches!(
            c,
            '"' | '\'' | '(' | '[' | '„' | '“' | '‘' | '«' | '»' | '¿' | '¡'
        )
}

/// Whether a full stop behind this text is that of an abbreviation, an initial or a number.
fn abbreviated(text: &str) -> bool {
    let last = text.rsplit([' ', '(', '/']).next().unwrap_or_default();
    let word = last.trim_start_matches(|c: char| !c.is_alphanumeric());
    let lower = word.to_lowercase();
    let one_letter = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    one_letter || number || ABBREVIATIONS.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_before_capitals_end_sentences() {
        for (text, wanted) in [
            (
                "One. Two! Three? (Four.) Five",
                &["One.", "Two!", "Three?", "(Four.)", "Five"][..],
            ),
            (
                "Siehe z. B. Abb. 3. Dann \"Ende.\" „Neu“.",
                &["Siehe z. B. Abb. 3. Dann \"Ende.\"", "„Neu“."],
            ),
            (
                "Use e.g. Writer vs. Calc. OK",
                &["Use e.g. Writer vs. Calc.", "OK"],
            ),
            (
                "Version 7.4 of file.odt. it goes on",
                &["Version 7.4 of file.odt. it goes on"],
            ),
            (
                "打开文件。单击“确定”。结束",
                &["打开文件。", "单击“确定”。", "结束"],
            ),
            ("Wait... What?! Yes", &["Wait...", "What?!", "Yes"]),
            ("", &[]),
        ] {
            assert_eq!(sentences(text), wanted, "{text}");
        }
    }

    #[test]
    fn nothing_but_spaces_is_lost() {
        let text = "A b. C (d. E) f! \"G?\" 3. H。I";
        let whole: String = sentences(text).concat();
        assert_eq!(whole.replace(' ', ""), text.replace(' ', ""));
    }
}

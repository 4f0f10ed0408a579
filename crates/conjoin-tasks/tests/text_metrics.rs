//! BLEU, chrF and TER equal sacreBLEU's: on 504 sentences in three languages, by groups and as a
//! whole, with one reference, with two, and with a second one for some sentences.

use conjoin_tasks::text_metrics::Printed;
use conjoin_tasks::text_metrics::bleu::{self, BleuOptions};
use conjoin_tasks::text_metrics::chrf::{self, ChrfOptions};
use conjoin_tasks::text_metrics::ter::{self, TerOptions};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    /// Hypothesis, reference, second reference.
    lines: BTreeMap<String, Vec<[String; 3]>>,
    groups: Vec<Group>,
    /// BLEU of single sentences against the first reference, with effective order.
    sentences: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Group {
    language: String,
    begin: usize,
    end: usize,
    one: BTreeMap<String, Value>,
    two: BTreeMap<String, Value>,
    some: BTreeMap<String, Value>,
}

/// Score, what is printed of it with its signature.
type Found = (f64, Printed);

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/text_metrics.json")).unwrap()
}

fn compute(metric: &str, hypotheses: &[&str], references: &[Vec<&str>]) -> Found {
    let (name, option) = metric.split_once(' ').unwrap_or((metric, ""));
    let counts = references.iter().map(Vec::len);
    match name {
        "bleu" => {
            let (tokeniser, case) = option.split_once(' ').unwrap_or((option, ""));
            let options = BleuOptions {
                tokenise: serde_json::from_value(tokeniser.into()).unwrap(),
                lowercase: case == "lc",
                effective_order: false,
            };
            let found = bleu::corpus(hypotheses, references, &options).unwrap();
            let signature = options.signature(counts);
            (found.score, Printed::new("bleu", &found, signature))
        }
        "chrf" | "chrf++" => {
            let mut options = match name {
                "chrf" => ChrfOptions::default(),
                _ => ChrfOptions::plus_plus(),
            };
            options.lowercase = option == "lc";
            if option == "space" {
                (options.whitespace, options.beta) = (true, 3);
            }
            let found = chrf::corpus(hypotheses, references, &options).unwrap();
            let signature = options.signature(counts);
            (found.score, Printed::new("chrf", &found, signature))
        }
        "ter" => {
            let options = TerOptions {
                case_sensitive: option == "case",
            };
            let found = ter::corpus(hypotheses, references, &options).unwrap();
            let signature = options.signature(counts);
            (found.score, Printed::new("ter", &found, signature))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_group_scores_as_with_sacrebleu() {
    let golden = golden();
    let (mut compared, mut printed) = (0, 0);
    for group in &golden.groups {
        let lines = &golden.lines[&group.language][group.begin..group.end];
        let hypotheses: Vec<&str> = lines.iter().map(|line| line[0].as_str()).collect();
        let references = |second: fn(usize) -> bool| -> Vec<Vec<&str>> {
            let known = (0..lines.len()).map(|i| if second(i) { 3 } else { 2 });
            lines
                .iter()
                .zip(known)
                .map(|(line, end)| line[1..end].iter().map(String::as_str).collect())
                .collect()
        };
        for (kind, wanted, references) in [
            ("one", &group.one, references(|_| false)),
            ("two", &group.two, references(|_| true)),
            ("some", &group.some, references(|i| i % 2 == 1)),
        ] {
            for (metric, wanted) in wanted {
                let found = compute(metric, &hypotheses, &references);
                let place = format!(
                    "{metric} of {} {}..{}, {kind}",
                    group.language, group.begin, group.end
                );
                let score = wanted.get(0).unwrap_or(wanted).as_f64().unwrap();
                assert!(
                    (found.0 - score).abs() < 1e-9,
                    "{place}: {} instead of {score}",
                    found.0
                );
                if let Some(texts) = wanted.as_array() {
                    assert_eq!(found.1.line, texts[1], "{place}");
                    assert_eq!(found.1.signature, texts[2], "{place}");
                    printed += 1;
                }
                compared += 1;
            }
        }
    }
    assert_eq!((compared, printed), (570, 114));
}

#[test]
fn single_sentences_score_as_with_sacrebleu() {
    let golden = golden();
    let options = BleuOptions {
        effective_order: true,
        ..BleuOptions::default()
    };
    for (language, scores) in &golden.sentences {
        for (line, wanted) in golden.lines[language].iter().zip(scores) {
            let found = bleu::statistics(&line[0], &line[1..2], &options).score(&options);
            assert!(
                (found.score - wanted).abs() < 1e-8,
                "{line:?}: {}",
                found.score
            );
        }
    }
}

#[test]
fn statistics_of_parts_add_up() {
    let golden = golden();
    let lines = &golden.lines["de"];
    let options = ChrfOptions::plus_plus();
    let of = |lines: &[[String; 3]]| -> chrf::ChrfStatistics {
        let one = |line: &[String; 3]| chrf::statistics(&line[0], &line[1..], &options);
        lines.iter().map(one).sum()
    };
    let mut sum = of(&lines[..70]);
    sum += &of(&lines[70..]);
    assert_eq!(sum, of(lines));
    assert_ne!(sum, of(&lines[1..]));
}

//! A small translation system from its text to its report: stopped by the BLEU of the validation part,
//! scored as sacreBLEU prints it, decoded by beams, asked for translations line by line.

use conjoin::tasks::Printed;
use conjoin::tasks::text_metrics::bleu::{self, BleuOptions};
use conjoin::tasks::text_metrics::chrf::{self, ChrfOptions};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

const RECIPE: &str = include_str!("support/translate.toml");

/// Evaluations without improvement that the recipe waits for.
const PATIENCE: usize = 3;

/// Articles with nouns, attributes and verbs, each with its translation.
const NOUNS: [(&str, &str); 6] = [
    ("the file", "die Datei"),
    ("the cell", "die Zelle"),
    ("the row", "die Zeile"),
    ("a page", "eine Seite"),
    ("a table", "eine Tabelle"),
    ("a form", "eine Form"),
];
const VERBS: [(&str, &str); 4] = [
    ("opens", "öffnet"),
    ("shows", "zeigt"),
    ("moves", "bewegt"),
    ("holds", "enthält"),
];
const ENDS: [(&str, &str); 3] = [("now", "jetzt"), ("again", "erneut"), ("here", "hier")];

/// What is drawn from: a linear congruential generator, whose upper bits are good enough here.
struct Draw(u64);

impl Draw {
    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        choices[(self.0 >> 33) as usize % choices.len()]
    }
}

/// Sentences of 2 to 15 words with their translations, a pair a line.
fn pairs(count: usize, seed: u64) -> String {
    let mut draw = Draw(seed);
    let mut text = String::new();
    for _ in 0..count {
        let mut parts = vec![draw.of(&NOUNS)];
        for _ in 0..draw.of(&[0, 1, 1, 2, 3]) {
            parts.push(draw.of(&VERBS));
            parts.push(draw.of(&NOUNS));
        }
        if draw.of(&[true, false]) {
            parts.push(draw.of(&ENDS));
        }
        let side = |of: fn(&(&'static str, &'static str)) -> &'static str| {
            parts.iter().map(of).collect::<Vec<_>>().join(" ")
        };
        let sides = [side(|part| part.0), side(|part| part.1)];
        text.push_str(&sides.join(".\t"));
        text.push_str(".\n");
    }
    text
}

fn conjoin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conjoin"));
    command.args(arguments);
    command
}

fn done(arguments: &[&str]) -> String {
    let output = conjoin(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A trained run, and the sides of its test part.
struct Trained {
    _dir: tempfile::TempDir,
    run: PathBuf,
    sources: Vec<String>,
    references: Vec<Vec<String>>,
}

static TRAINED: LazyLock<Trained> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let test = pairs(160, 3);
    let parts = [
        ("train", pairs(500, 1)),
        ("valid", pairs(40, 2)),
        ("test", test.clone()),
    ];
    for (name, text) in parts {
        std::fs::write(at(&format!("{name}.tsv")), text).unwrap();
    }
    let train = at("train.tsv");
    let vocabulary = [
        "data",
        "vocabulary",
        &train,
        "--kind",
        "bpe",
        "--size",
        "300",
    ];
    done(&[&vocabulary[..], &["--out", &at("bpe.json")]].concat());
    let recipe = at("tiny.toml");
    std::fs::write(
        &recipe,
        RECIPE.replace("DIR", &dir.path().display().to_string()),
    )
    .unwrap();
    done(&["train", &recipe, "--out", &at("run")]);
    let lines = test.lines().map(|line| line.split_once('\t').unwrap());
    Trained {
        run: dir.path().join("run"),
        sources: lines.clone().map(|(source, _)| source.to_owned()).collect(),
        references: lines.map(|(_, target)| vec![target.to_owned()]).collect(),
        _dir: dir,
    }
});

fn run() -> &'static str {
    TRAINED.run.to_str().unwrap()
}

fn predict(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = conjoin(&[&["predict", run()], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output by lines, and standard error.
fn told(output: &Output) -> (Vec<String>, String) {
    let lines = std::str::from_utf8(&output.stdout).unwrap();
    let lines = lines.strip_suffix('\n').unwrap_or(lines).split('\n');
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (lines.map(str::to_owned).collect(), errors)
}

/// The lines of sacreBLEU for what `predict` says of all test sentences.
fn printed(set: &[&str]) -> [Printed; 2] {
    let input = TRAINED.sources.join("\n");
    let arguments = [&["--output-only"], set].concat();
    let (hypotheses, _) = told(&predict(&arguments, input.as_bytes()));
    let references = &TRAINED.references;
    let counts = || references.iter().map(Vec::len);
    let (options, characters) = (BleuOptions::default(), ChrfOptions::default());
    let bleu = bleu::corpus(&hypotheses, references, &options).unwrap();
    let chrf = chrf::corpus(&hypotheses, references, &characters).unwrap();
    [
        Printed::new("bleu", &bleu, options.signature(counts())),
        Printed::new("chrf", &chrf, characters.signature(counts())),
    ]
}

#[test]
fn eval_prints_the_lines_of_sacrebleu() {
    let beam = ["--set", "task.beam=4"];
    let [bleu, chrf] = printed(&beam);
    let begin = "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = ";
    assert!(bleu.line.starts_with(begin), "{}", bleu.line);
    let text = done(&[&["eval", run()], &beam[..]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("160 items: bleu "), "{text}");
    assert_eq!(lines[1..3], [bleu.line.as_str(), chrf.line.as_str()]);
    assert!(lines[3].starts_with("TER|nrefs:1|case:mixed|tok:tercom|norm:no|punct:yes|asian:no|"));
    let text = done(&[&["eval", run(), "--json"], &beam[..]].concat());
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["signatures"]["bleu"], bleu.signature);
    assert_eq!(told["signatures"]["chrf"], chrf.signature);
    assert_eq!(told["printed"]["bleu"], bleu.line);
    // It has learnt the language.
    assert!(told["scores"]["bleu"].as_f64().unwrap() > 80.0, "{told}");
    assert!(
        told["scores"]["perplexity"].as_f64().unwrap() < 2.0,
        "{told}"
    );
}

/// The counts that a run keeps of every sentence give the scores of the whole.
#[test]
fn compare_finds_the_scores_that_eval_prints() {
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&done(&[arguments, &["--json"]].concat())).unwrap()
    };
    let compared = json(&["compare", run(), "--also", "beam:task.beam=4"]);
    let beam = ["eval", run(), "--set", "task.beam=4"];
    for (row, eval) in [json(&beam[..2]), json(&beam)].iter().enumerate() {
        for metric in ["bleu", "chrf", "ter"] {
            let mut tables = items(&compared["metrics"]).iter();
            let table = tables.find(|table| table["metric"] == metric).unwrap();
            let score = |name: &str| table["arms"][row]["score"][name].as_f64().unwrap();
            let (found, told) = (score("value"), eval["scores"][metric].as_f64().unwrap());
            assert!((found - told).abs() < 1e-9, "{metric}: {found} {told}");
            assert!(score("low") <= found && found <= score("high"), "{table}");
            let line = eval["printed"][metric].as_str().unwrap();
            assert!(metric == "ter" || line.contains(&format!(" = {found:.2}")));
        }
    }
}

#[test]
fn training_ends_where_the_bleu_of_the_validation_part_stands_still() {
    let metrics = std::fs::read_to_string(TRAINED.run.join("metrics.jsonl")).unwrap();
    let events: Vec<Value> = metrics
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let evaluated = of("evaluated").filter(|event| event["data"] == "valid");
    let bleu: Vec<(u64, f64)> = evaluated
        .map(|event| {
            let score = event["scores"]["bleu"].as_f64().unwrap();
            (event["global_step"].as_u64().unwrap(), score)
        })
        .collect();
    // The rule, worked out from what was measured.
    let (mut best, mut stale) = ((0, f64::NEG_INFINITY), 0);
    for (place, &(step, score)) in bleu.iter().enumerate() {
        assert!(stale < PATIENCE, "it went on: {bleu:?}");
        if score > best.1 {
            (best, stale) = ((step, score), 0);
        } else {
            stale += 1;
        }
        assert_eq!(stale == PATIENCE, place + 1 == bleu.len(), "{bleu:?}");
    }
    let finished = of("stage-finished").next().unwrap();
    assert_eq!(finished["early"], "bleu did not improve in 3 evaluations");
    let last = bleu.last().unwrap().0;
    assert!(last < 3000 && best.0 < last, "{bleu:?}");
    // What is handed on, and what the commands take, are the weights of the best evaluation.
    let told: Value = serde_json::from_str(&done(&["eval", run(), "--json"])).unwrap();
    assert_eq!(told["step"], best.0);
    let told = done(&["eval", run(), "--json", "--data", "valid"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let again = told["scores"]["bleu"].as_f64().unwrap();
    assert!((again - best.1).abs() < 1e-9, "{again} {best:?}");
}

#[test]
fn the_report_shows_translations_attention_and_bleu_by_length() {
    let report = std::fs::read_to_string(TRAINED.run.join("report.html")).unwrap();
    let [bleu, chrf] = printed(&[]);
    for wanted in [bleu.line.as_str(), chrf.line.as_str(), "BLEU by length"] {
        assert!(report.contains(wanted), "{wanted}");
    }
    for section in ["sequences", "attention", "lengths", "curves"] {
        assert!(report.contains(&format!("id=\"{section}\"")), "{section}");
    }
    // Translations of the test part, and heat maps with its subwords.
    let shown = TRAINED
        .sources
        .iter()
        .filter(|source| report.contains(source.as_str()));
    assert!(shown.count() >= 12);
    assert!(report.contains(">▁öffnet<") || report.contains(">▁die<"));
}

#[test]
fn n_best_lists_stand_in_columns_with_the_input_or_alone() {
    let three = ["--set", "task.beam=4", "--n-best", "3"];
    let source = "the file opens a page.";
    let (lines, _) = told(&predict(&three, source.as_bytes()));
    let columns: Vec<&str> = lines[0].split('\t').collect();
    assert_eq!((lines.len(), columns.len(), columns[0]), (1, 4, source));
    assert_eq!(columns[1], "die Datei öffnet eine Seite.");
    // Without the input nothing that stands in it can be taken for a column.
    let tabs = "the\tfile opens\ta page.\n\n";
    let alone = [&three[..], &["--output-only"]].concat();
    let (lines, _) = told(&predict(&alone, tabs.as_bytes()));
    assert_eq!(lines.len(), 2);
    let found: Vec<&str> = lines[0].split('\t').collect();
    assert_eq!(
        (found.len(), found[0], lines[1].as_str()),
        (3, columns[1], "")
    );
    let both = predict(&["--output-only", "--json"], b"");
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn attention_is_drawn_for_a_translation() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().display().to_string();
    let output = predict(&["--explain", &pictures], b"the file opens a page.");
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(Path::new(&pictures).join("000001.svg")).unwrap();
    for symbol in ["▁file", "▁Datei"] {
        assert!(svg.contains(&format!(">{symbol}</text>")), "{symbol}");
    }
}

/// What `predict --json --alignments` says of some sentences.
fn aligned(set: &[&str], sentences: &[&str]) -> Vec<Value> {
    let arguments = [&["--json", "--alignments"], set].concat();
    let output = predict(&arguments, sentences.join("\n").as_bytes());
    assert!(output.status.success(), "{output:?}");
    let (lines, _) = told(&output);
    let read = |line: &String| serde_json::from_str(line).unwrap();
    lines.iter().map(read).collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = items(value).iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn alignments_have_a_row_an_output_symbol_and_a_column_a_source_symbol() {
    let beam = ["--set", "task.beam=3"];
    let short = "the file opens a page.";
    let long = "the cell shows a table moves the row holds a form again.";
    let together = aligned(&beam, &[short, long]);
    let alone = aligned(&beam, &[short]);
    let widths: Vec<usize> = together
        .iter()
        .map(|answer| {
            let source = items(&answer["source"]);
            assert_eq!(source.last().unwrap(), "<eos>");
            let hypotheses = items(&answer["hypotheses"]);
            assert_eq!(hypotheses.len(), 3);
            for hypothesis in hypotheses {
                let rows = items(&hypothesis["alignment"]);
                let end = usize::from(hypothesis["finished"] == true);
                assert_eq!(rows.len(), items(&hypothesis["output"]).len() + end);
                for row in rows.iter().map(numbers) {
                    assert_eq!(row.len(), source.len());
                    let sum: f64 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-4, "{sum}: {row:?}");
                }
            }
            source.len()
        })
        .collect();
    // What pads the short source in the batch is not told.
    assert!(widths[0] < widths[1], "{widths:?}");
    assert_eq!(together[0]["source"], alone[0]["source"]);
    let best = |answers: &[Value]| answers[0]["hypotheses"][0].clone();
    let (batched, single) = (best(&together), best(&alone));
    assert_eq!(batched["output"], single["output"]);
    let weights = |hypothesis: &Value| -> Vec<f64> {
        let rows = items(&hypothesis["alignment"]).iter();
        rows.flat_map(numbers).collect()
    };
    let (batched, single) = (weights(&batched), weights(&single));
    assert_eq!(batched.len(), single.len());
    for (one, other) in batched.iter().zip(&single) {
        assert!((one - other).abs() < 1e-4, "{one} {other}");
    }
}

#[test]
fn alignments_are_told_only_where_they_are_asked_for_and_there() {
    let source = b"the file opens a page.";
    let (plain, _) = told(&predict(&["--json"], source));
    let plain: Value = serde_json::from_str(&plain[0]).unwrap();
    let keys: Vec<&String> = plain.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["input", "hypotheses"]);
    assert!(plain["hypotheses"][0].get("alignment").is_none());
    // Everything else is as it is without them.
    let mut more = aligned(&[], &["the file opens a page."]).remove(0);
    more.as_object_mut().unwrap().remove("source").unwrap();
    let best = more["hypotheses"][0].as_object_mut().unwrap();
    best.remove("alignment").unwrap();
    assert_eq!(more, plain);
    // In text there is no place for them.
    assert_eq!(predict(&["--alignments"], source).status.code(), Some(2));
}

#[test]
fn what_is_cut_or_replaced_is_told_and_the_stream_goes_on() {
    let good = "the file opens a page.";
    let words = "the cell ".repeat(11_112);
    let letters = "x".repeat(100_000);
    let mut input = format!("{good}\n{words}\n{letters}\n\n").into_bytes();
    input.extend(b"the f\xffile\n");
    input.extend(format!("{good}\n").bytes());
    let output = predict(&["--longest", "200000", "--output-only"], &input);
    let (lines, errors) = told(&output);
    assert!(output.status.success(), "{errors}");
    assert_eq!(
        (lines.len(), &lines[0], &lines[3]),
        (6, &lines[5], &String::new())
    );
    assert_eq!(lines[0], "die Datei öffnet eine Seite.");
    let warned = |input: usize| {
        let begin = format!("warning: standard input, input {input}: ");
        let warnings = errors.lines().filter_map(|line| line.strip_prefix(&begin));
        warnings.map(str::to_owned).collect::<Vec<String>>()
    };
    for (input, least) in [(2, 22_000), (3, 50_000)] {
        let warnings = warned(input);
        let cut = warnings[0].strip_prefix("the input is cut from ").unwrap();
        let from = cut.strip_suffix(" tokens to 32").unwrap();
        assert!(from.parse::<usize>().unwrap() > least, "{errors}");
    }
    let replaced = "what is no UTF-8 is replaced by U+FFFD, from byte 6 on";
    assert_eq!(warned(5)[0], replaced);
    assert!(warned(1).is_empty() && warned(4).is_empty() && warned(6).is_empty());

    let short = ["--set", "task.max_length=3"];
    let (lines, errors) = told(&predict(&short, good.as_bytes()));
    assert!(lines[0].ends_with("\tdie Datei öffnet"), "{lines:?}");
    let cut = "input 1: an output is cut at 3 tokens (task.max_length = 3)";
    assert!(errors.contains(cut), "{errors}");
    // Without the option a text that is too long has no output, and says so.
    let refused = [
        "--longest",
        "200000",
        "--set",
        "data.test.source.too_long=error",
    ];
    let output = predict(&refused, format!("{words}\n{good}\n").as_bytes());
    let (lines, errors) = told(&output);
    assert_eq!((output.status.code(), lines.len()), (Some(2), 2));
    let refusal = "error: standard input, input 1: found a text of ";
    assert!(errors.contains(refusal), "{errors}");
    assert!(lines[1].ends_with("\tdie Datei öffnet eine Seite."));
}

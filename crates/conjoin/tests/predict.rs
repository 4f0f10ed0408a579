//! `conjoin predict` as a stream: a line out for each line in, as they come, whatever is in them, also over
//! TCP; n-best lists, samples, pictures of attention. On a system with tied tables that has hardly been
//! trained.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::LazyLock;

const RECIPE: &str = include_str!("support/small.toml");

fn conjoin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conjoin"));
    command.args(arguments);
    command
}

/// A run that all tests read.
static RUN: LazyLock<(tempfile::TempDir, String)> = LazyLock::new(|| trained(RECIPE));

fn trained(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("recipe.toml");
    std::fs::write(&recipe, text).unwrap();
    let run = dir.path().join("run").display().to_string();
    let recipe = recipe.display().to_string();
    let output = conjoin(&["train", &recipe, "--out", &run, "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    for score in ["per", "wer", "perplexity", "token_accuracy"] {
        assert!(told["scores"][score].is_f64(), "{told}");
    }
    (dir, run)
}

fn predict(arguments: &[&str]) -> Output {
    let all = [&["predict", RUN.1.as_str()], arguments].concat();
    conjoin(&all).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_classifier_has_no_table_of_its_own() {
    let checkpoints = Path::new(&RUN.1).join("checkpoints");
    let keys = |file: &str| {
        let bytes = std::fs::read(checkpoints.join("step-4").join(file)).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let names = header.as_object().unwrap().keys().cloned();
        names
            .filter(|key| key != "__metadata__")
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("output.safetensors"), ["tied.bias"]);
    assert_eq!(keys("phonemes.safetensors"), ["table.weight"]);
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let mut child = conjoin(&["predict", &RUN.1])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let long = "a".repeat(30_000);
    // The encoder has 40 positions; a line of 30,000 bytes is refused before it is read.
    let bad = "pneumonoultramicroscopicsilicovolcanoconiosis";
    for word in ["one", bad, "", "two", &long, "ünï\u{1f600}"] {
        writeln!(input, "{word}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (said, answer) = line.trim_end_matches('\n').split_once('\t').unwrap();
        assert!(word.starts_with(said) && said.len() == word.len().min(10_000));
        let is_bad = word == bad || word == long;
        assert!(!(is_bad || word.is_empty()) || answer.is_empty(), "{line}");
    }
    drop(input);
    let rest = child.wait_with_output().unwrap();
    assert_eq!(rest.status.code(), Some(2));
    let errors = String::from_utf8(rest.stderr).unwrap();
    assert!(errors.contains("standard input, input 2: "), "{errors}");
    assert!(
        errors.contains("at most max_length = 40 positions, found 46"),
        "{errors}"
    );
    let longest = "input 5: expected at most 10000 bytes (--longest), found 30000";
    assert!(errors.contains(longest), "{errors}");
    assert!(errors.contains("inputs without an output: 2"), "{errors}");
}

#[test]
fn many_lines_at_once_come_out_in_order_and_as_they_do_alone() {
    let bad = "pneumonoultramicroscopicsilicovolcanoconiosis";
    let words: Vec<String> = (0..300)
        .map(|i| match i {
            7 => String::new(),
            130 => bad.to_owned(),
            _ => format!("w{}", "ord".repeat(1 + i % 5)),
        })
        .collect();
    let mut child = conjoin(&["predict", &RUN.1])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = words.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let found = lines(&output);
    assert_eq!(found.len(), 300);
    for (line, word) in found.iter().zip(&words) {
        assert_eq!(line.split('\t').next().unwrap(), word);
    }
    assert!(found[130].ends_with('\t') && found[7] == "\t");
    assert_eq!(found[12], lines(&predict(&[&words[12]]))[0]);
}

#[test]
fn the_best_and_the_drawn_outputs_in_columns_and_as_json() {
    let output = predict(&["--set", "task.beam=4", "--n-best", "3", "tessellate", "ox"]);
    assert!(output.status.success(), "{output:?}");
    let found = lines(&output);
    assert_eq!(found.len(), 2);
    assert!(
        found.iter().all(|line| line.split('\t').count() == 4),
        "{found:?}"
    );

    let sampling = "task.search={sampling={samples=5,seed=3}}";
    let draw = || predict(&["--set", sampling, "--n-best", "4", "--json", "tessellate"]);
    let told: Value = serde_json::from_str(&lines(&draw())[0]).unwrap();
    let hypotheses = told["hypotheses"].as_array().unwrap();
    assert_eq!(hypotheses.len(), 4);
    let scores: Vec<f64> = hypotheses
        .iter()
        .map(|h| h["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert_eq!(lines(&draw()), lines(&draw()));

    let refused = predict(&["--n-best", "2", "ox"]);
    assert_eq!(refused.status.code(), Some(2));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(
        error.contains("--n-best 2: the task gives 1 for an input"),
        "{error}"
    );
}

#[test]
fn attention_is_drawn_an_input_with_symbols_at_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures").display().to_string();
    let output = predict(&["--explain", &pictures, "conjoin", "ox"]);
    assert!(output.status.success(), "{output:?}");
    for (file, word) in [("000001.svg", "conjoin"), ("000002.svg", "ox")] {
        let svg = std::fs::read_to_string(Path::new(&pictures).join(file)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<style>"));
        for letter in word.chars() {
            assert!(
                svg.contains(&format!(">{letter}</text>")),
                "{file}: {letter}"
            );
        }
    }
}

#[test]
fn attention_is_refused_where_the_task_has_none() {
    let line = "alignment = \"decoder.weights\"\n";
    assert!(RECIPE.contains(line));
    let (_dir, run) = trained(&RECIPE.replace(line, ""));
    let pictures = Path::new(&run).join("pictures").display().to_string();
    for (options, what) in [
        (["--explain", &pictures], "--explain"),
        (["--alignments", "--json"], "--alignments"),
    ] {
        let all = [&["predict", run.as_str(), "ox"], &options[..]].concat();
        let refused = conjoin(&all).output().unwrap();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
        let error = String::from_utf8(refused.stderr).unwrap();
        let expected = format!("{what}: expected a task with \"alignment\"");
        assert!(error.contains(&expected), "{error}");
    }
    assert!(!Path::new(&pictures).exists());
}

/// A process that answers over TCP, with what it has not yet said of it.
struct Listening {
    child: Child,
    address: String,
    said: BufReader<ChildStderr>,
}

impl Listening {
    fn begin(arguments: &[&str]) -> Self {
        let all = [
            &["predict", RUN.1.as_str(), "--listen", "127.0.0.1:0"],
            arguments,
        ];
        let mut child = conjoin(&all.concat())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("listening on ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self {
            child,
            address,
            said,
        }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(&self.address).unwrap())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn ask(connection: &mut BufReader<TcpStream>, line: &str) -> String {
    connection.get_mut().write_all(line.as_bytes()).unwrap();
    connection.get_mut().write_all(b"\n").unwrap();
    let mut answer = String::new();
    connection.read_line(&mut answer).unwrap();
    answer.trim_end_matches('\n').to_owned()
}

#[test]
fn connections_are_streams_and_wrong_lines_do_not_end_them() {
    let mut server = Listening::begin(&[]);
    let (mut first, mut second) = (server.connect(), server.connect());
    let alone = lines(&predict(&["one", "two"]));
    assert_eq!(ask(&mut first, "one"), alone[0]);
    let bad = "pneumonoultramicroscopicsilicovolcanoconiosis";
    assert_eq!(ask(&mut second, bad), format!("{bad}\t"));
    assert_eq!(ask(&mut second, ""), "\t");
    assert_eq!(ask(&mut second, "two"), alone[1]);
    assert_eq!(ask(&mut first, "two"), alone[1]);
    // Inputs are counted by connection, and what is wrong is told on standard error too.
    let place = second.get_ref().local_addr().unwrap();
    let mut line = String::new();
    // Besides, outputs of a system that has learnt nothing seldom end.
    while line.is_empty() || line.starts_with("warning: ") {
        line.clear();
        server.said.read_line(&mut line).unwrap();
    }
    assert!(
        line.starts_with(&format!("error: {place}, input 1: ")),
        "{line}"
    );
    drop(first);
    assert_eq!(ask(&mut server.connect(), "one"), alone[0]);
}

#[test]
fn with_json_a_wrong_line_is_answered_by_why() {
    let server = Listening::begin(&["--json", "--longest", "9"]);
    let mut connection = server.connect();
    let answer: Value = serde_json::from_str(&ask(&mut connection, "tessellation")).unwrap();
    let error = answer["error"].as_str().unwrap();
    assert!(
        error.ends_with("input 1: expected at most 9 bytes (--longest), found 12"),
        "{error}"
    );
    let answer: Value = serde_json::from_str(&ask(&mut connection, "tessera")).unwrap();
    assert_eq!(answer["input"], "tessera");
    assert!(answer["hypotheses"].is_array());
}

#[test]
fn an_address_that_cannot_be_listened_at_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = predict(&["--listen", &address]);
    assert_eq!(refused.status.code(), Some(2));
    let error = String::from_utf8(refused.stderr).unwrap();
    let expected = format!("error: --listen {address}: ");
    assert!(error.contains(&expected), "{error}");
    let both = predict(&["--listen", "127.0.0.1:0", "ox"]);
    assert_eq!(both.status.code(), Some(2));
}

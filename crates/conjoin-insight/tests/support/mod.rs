//! A report with something in every section. All of it is made up.

use conjoin_insight::report::{
    Attention, ClassResults, ComparedRun, EpisodeSample, Headline, ImageSample, SequenceSample,
    StageScores,
};
use conjoin_insight::{
    ArmResult, Bootstrap, Comparison, DrawEdge, DrawNode, DrawState, Drawing, EdgeStyle, Outcomes,
    Report, RunLog,
};

/// Multiplicative noise in `0..1` that depends on its arguments alone.
fn noise(a: usize, b: usize) -> f64 {
    let mixed = (a * 7919 + b * 104_729 + 17).wrapping_mul(2_654_435_761) % 1_000_003;
    mixed as f64 / 1_000_003.0
}

pub fn log() -> RunLog {
    RunLog::from_lines(
        &include_bytes!("../fixtures/metrics.jsonl")[..],
        "metrics.jsonl",
    )
    .unwrap()
}

/// The graph of a grapheme-to-phoneme system.
pub fn drawing() -> Drawing {
    use DrawState::{Column, Frozen, Objective, Trained};
    let node = |name: &str, kind: &str, params: Option<usize>, state| DrawNode {
        name: name.to_owned(),
        kind: kind.to_owned(),
        params,
        state,
    };
    let edge = |from: &str, to: &str, label: &str| DrawEdge {
        from: from.to_owned(),
        to: to.to_owned(),
        label: label.to_owned(),
        style: EdgeStyle::default(),
    };
    let mut edges = vec![
        edge("data.letters", "letters", "tokens [B, T]"),
        edge(
            "letters",
            "encoder",
            "features → sequence\nfeatures [B, T, 64]",
        ),
        edge(
            "encoder",
            "letter_head",
            "states → features\nfeatures [B, T, 384]",
        ),
        edge("encoder", "bridge", "final → features\nfeatures [B, 384]"),
        edge(
            "encoder",
            "attention",
            "states → memory\nfeatures [B, T, 384]",
        ),
        edge("data.phonemes_in", "phonemes", "tokens [B, U]"),
        edge(
            "phonemes",
            "decoder",
            "features → sequence\nfeatures [B, U, 64]",
        ),
        edge("bridge", "decoder", "features → initial\nfeatures [B, 256]"),
        edge(
            "decoder",
            "attention",
            "states → queries\nfeatures [B, U, 256]",
        ),
        edge(
            "attention",
            "output",
            "attended → features\nfeatures [B, U, 256]",
        ),
        edge(
            "letter_head",
            "letters objective",
            "logits\nlogits [B, T, 30]",
        ),
        edge("data.letters_target", "letters objective", "tokens [B, T]"),
        edge("output", "phonemes objective", "logits\nlogits [B, U, 43]"),
        edge("data.phonemes_out", "phonemes objective", "tokens [B, U]"),
        edge("output", "phonemes", "logits → tokens\nlogits [B, U, 43]"),
    ];
    edges[14].style.scheduled = true;
    edges[2].style.stop_gradient = true;
    Drawing {
        title: "The graph of g2p".to_owned(),
        nodes: vec![
            node("letters", "embedding", Some(1920), Trained),
            node("encoder", "recurrent", Some(395_000), Trained),
            node("letter_head", "classifier", Some(11_200), Frozen),
            node("phonemes", "embedding", Some(2752), Trained),
            node("bridge", "linear", Some(98_560), Trained),
            node("decoder", "recurrent", Some(329_728), Trained),
            node("attention", "attention", Some(262_144), Trained),
            node("output", "classifier", Some(19_051), Trained),
            node("data.letters", "30 letters", None, Column),
            node("data.letters_target", "30 letters", None, Column),
            node("data.phonemes_in", "43 phonemes", None, Column),
            node("data.phonemes_out", "43 phonemes", None, Column),
            node("letters objective", "cross-entropy", None, Objective),
            node("phonemes objective", "cross-entropy", None, Objective),
        ],
        edges,
    }
}

pub fn comparison() -> Comparison {
    let mut results = Vec::new();
    for (a, (arm, rate)) in [("staged", 0.16), ("joined", 0.09), ("scratch", 0.10)]
        .into_iter()
        .enumerate()
    {
        for seed in 0..3 {
            let phonemes: Vec<(u32, u32)> = (0..400)
                .map(|word| {
                    let length = 3 + word % 9;
                    let hardness = 2.0 * noise(word, 1) * rate * (0.94 + 0.06 * seed as f64);
                    let wrong = (0..length)
                        .filter(|&t| noise(word * 31 + t, a * 7 + seed) < hardness)
                        .count();
                    (wrong as u32, length as u32)
                })
                .collect();
            let words = phonemes
                .iter()
                .map(|&(wrong, _)| (u32::from(wrong > 0), 1))
                .collect();
            results.push(ArmResult {
                arm: arm.to_owned(),
                seed: seed as u64,
                metrics: [
                    ("per".to_owned(), Outcomes::Errors(phonemes)),
                    ("wer".to_owned(), Outcomes::Errors(words)),
                ]
                .into(),
                lengths: (0..400).map(|word| 3 + word % 9).collect(),
                scored: String::new(),
            });
        }
    }
    let bootstrap = Bootstrap {
        replicates: 1000,
        ..Bootstrap::default()
    };
    Comparison::new(&results, &bootstrap).unwrap()
}

fn tokens(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn attention(word: &str, phonemes: &str) -> Attention {
    let inputs: Vec<String> = word.chars().map(String::from).collect();
    let outputs = tokens(phonemes);
    let weights = (0..outputs.len())
        .map(|row| {
            let centre = (row as f64 + 0.5) / outputs.len() as f64 * inputs.len() as f64;
            let raw: Vec<f64> = (0..inputs.len())
                .map(|column| {
                    (-(column as f64 + 0.5 - centre).powi(2) * (0.5 + noise(row, 3))).exp() + 0.004
                })
                .collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|weight| weight / sum).collect()
        })
        .collect();
    Attention {
        title: word.to_owned(),
        inputs,
        outputs,
        weights,
    }
}

pub const CLASSES: [&str; 10] = [
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

fn image(index: usize) -> ImageSample {
    let truth = index % 10;
    let wrong = index.is_multiple_of(3);
    let top = if wrong { (truth + 4) % 10 } else { truth };
    let (second, third) = ((truth + if wrong { 0 } else { 2 }) % 10, (truth + 7) % 10);
    let pixels = (0..28 * 28)
        .map(|p| {
            let (x, y) = ((p % 28) as f64 - 13.5, (p / 28) as f64 - 13.5);
            let (wide, tall) = (5.0 + truth as f64 * 0.8, 12.0 - truth as f64 * 0.6);
            let inside = (x / wide).powi(4) + (y / tall).powi(4) < 1.0;
            if inside {
                (120.0 + 120.0 * noise(p, index)) as u8
            } else {
                0
            }
        })
        .collect();
    ImageSample {
        size: (28, 28),
        channels: 1,
        pixels,
        truth: CLASSES[truth].to_owned(),
        probabilities: vec![
            (CLASSES[third].to_owned(), 0.04),
            (CLASSES[top].to_owned(), 0.71),
            (CLASSES[second].to_owned(), 0.21),
        ],
    }
}

fn classes() -> ClassResults {
    let row = |truth: usize| {
        let errors = |class: usize| match (truth, class) {
            (0 | 2 | 4, 6) | (6, 0 | 2 | 4) => 60 + (noise(truth, class) * 60.0) as u64,
            (5 | 9, 7) | (7, 9) => 25,
            _ => (noise(truth, class) * 4.0) as u64,
        };
        let wrong: u64 = (0..10).filter(|&class| class != truth).map(errors).sum();
        (0..10)
            .map(|class| {
                if class == truth {
                    1000 - wrong
                } else {
                    errors(class)
                }
            })
            .collect()
    };
    ClassResults {
        classes: CLASSES.map(str::to_owned).to_vec(),
        confusion: (0..10).map(row).collect(),
    }
}

/// A report with every section.
pub fn report() -> Report {
    let sample = |input: &str, reference: &str, predicted: &str| SequenceSample {
        input: input.to_owned(),
        predicted: tokens(predicted),
        reference: tokens(reference),
    };
    let headline = |label: &str, value: &str, note: &str| Headline {
        label: label.to_owned(),
        value: value.to_owned(),
        note: note.to_owned(),
        printed: Vec::new(),
    };
    let log = log();
    Report {
        episodes: vec![EpisodeSample {
            name: "curve-3 seed 4".to_owned(),
            ending: "collision, at fault".to_owned(),
            driving_score: 0.4,
            completion: 0.7,
            infractions: vec!["hit a vehicle".to_owned()],
            seconds: 21.4,
            interventions: 3,
            ..EpisodeSample::default()
        }],
        name: String::new(),
        date: "2026-01-02 15:04".to_owned(),
        headlines: vec![
            headline("WER, test", "37.42 %", "after joint, greedy"),
            headline("PER, test", "9.14 %", ""),
        ],
        stage_scores: Some(StageScores {
            data: "test".to_owned(),
            stages: log.stage_scores("test"),
        }),
        log: log.clone(),
        lengths: comparison().lengths,
        comparison: Some(comparison()),
        runs: vec![ComparedRun {
            arm: "joined".to_owned(),
            seed: 7,
            log,
            report: "joined-7/report.html".to_owned(),
        }],
        graph: Some(drawing()),
        attention: vec![
            attention("tessellation", "T EH S AH L EY SH AH N"),
            attention("conjoin", "K AH N JH OY N"),
            attention("knight", "N AY T"),
        ],
        sequences: vec![
            sample("conjoin", "K AH N JH OY N", "K AH N JH OY N"),
            sample("tessellation", "T EH S AH L EY SH AH N", "T EH S EH L EY SH AH N"),
            sample("knight", "N AY T", "K N AY T"),
            sample("subtle", "S AH T AH L", "S AH B T L"),
            sample("antidisestablishment", "AE N T IY D IH S IH S T AE B L IH SH M AH N T", "AE N T IY D IH S T AE B L IH SH M AH N T S"),
        ],
        images: (0..18).map(image).collect(),
        classes: Some(classes()),
        recipe: "name = \"g2p\"\nseed = 7\n\n[nodes.encoder]\nkind = \"recurrent\"\ncell = \"lstm\"\nhidden = 192\n".to_owned(),
        command: "conjoin train recipes/g2p.toml --set seed=7 --out runs/g2p".to_owned(),
    }
}

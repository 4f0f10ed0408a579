//! The diagnosis as a page, as text and as JSON: well-formed, self-contained, safe, and with every
//! part that was computed.

use conjoin_insight::diagnosis::{
    CosineRow, GateInput, GateReport, GradientReport, LossRow, ModuleCell, OracleInput,
    OracleReport, Outcome, ProbeInput, ProbeReport, Spread, Untold, Wire, scores,
};
use conjoin_insight::{Bootstrap, Diagnosis, Outcomes};
use roxmltree::Document;

/// A name that wants to be markup.
const HOSTILE: &str = "</code><script>alert(1)</script>\"'&";

fn outcome(wrong: usize) -> Outcome {
    let errors = (0..200u32).map(|i| (u32::from((i as usize) < wrong), 1));
    [("wer".to_owned(), Outcomes::Errors(errors.collect()))].into()
}

fn wire(to: &str) -> Wire {
    Wire {
        to: to.to_owned(),
        from: "eye.features".to_owned(),
    }
}

fn diagnosis() -> Diagnosis {
    let bootstrap = Bootstrap {
        replicates: 200,
        ..Bootstrap::default()
    };
    let order = ["wer".to_owned()];
    let base = outcome(60);
    let oracle = |to: &str, alone, together| OracleInput {
        wire: wire(to),
        truth: "data.boxes".to_owned(),
        told_by: "stage planner".to_owned(),
        alone: outcome(alone),
        together: outcome(together),
    };
    let inputs = vec![oracle("planner.boxes", 10, 10), oracle(HOSTILE, 70, 5)];
    let untold = vec![Untold {
        wire: wire("head.features"),
        why: Some("data set test has no data.heads".to_owned()),
    }];
    let probe = |to: &str, wrong| ProbeInput {
        wire: wire(to),
        outcomes: ["zero", "shuffle", "noise"]
            .map(|name| (name.to_owned(), outcome(wrong)))
            .into(),
    };
    let probes = vec![probe("planner.boxes", 160), probe("planner.history", 60)];
    let norm = |values: &[f64]| ModuleCell::Norm(Spread::of(values).unwrap());
    let nothing = |why: &str| ModuleCell::Nothing(why.to_owned());
    let loss = |name: &str, cells| LossRow {
        objective: name.to_owned(),
        stage: "joint".to_owned(),
        data: "train".to_owned(),
        weight: 0.5,
        loss: Spread::of(&[1.0, 1.2]),
        cells,
    };
    let gate = |stage: &str, then| GateInput {
        stage: stage.to_owned(),
        objective: "boxes".to_owned(),
        modules: vec!["eye".to_owned()],
        data: "valid".to_owned(),
        now: vec![(2.0, 2.0), (3.5, 3.0)],
        then,
    };
    let gates = vec![
        gate("apart", Some(Ok((7, vec![(1.0, 2.0), (1.5, 3.0)])))),
        gate("gone", Some(Err("the run keeps no checkpoint".to_owned()))),
        gate("joint", None),
    ];
    Diagnosis {
        name: "driving <&>".to_owned(),
        run: "runs/driving".to_owned(),
        step: 1234,
        date: "2026-11-24".to_owned(),
        command: "conjoin diagnose runs/driving".to_owned(),
        data: "test".to_owned(),
        items: 200,
        items_in_data: 6199,
        level: bootstrap.level,
        replicates: bootstrap.replicates,
        scores: scores(&base, &order, &bootstrap).unwrap(),
        oracle: Some(OracleReport::new(&base, inputs, untold, &order, &bootstrap).unwrap()),
        probes: Some(ProbeReport::new(&base, probes, &order, &bootstrap).unwrap()),
        gradients: Some(GradientReport {
            modules: ["eye", "head"].map(str::to_owned).into(),
            losses: vec![
                loss(
                    "boxes",
                    vec![norm(&[1.0, 2.0]), nothing("frozen in stage joint")],
                ),
                loss(
                    "plan",
                    vec![norm(&[0.5, 0.7]), nothing("no route in stage joint")],
                ),
            ],
            cosines: vec![CosineRow {
                module: "eye".to_owned(),
                first: "boxes".to_owned(),
                second: "plan".to_owned(),
                cosine: Spread::of(&[-0.5, -0.6]).unwrap(),
            }],
        }),
        gates: Some(GateReport::new(gates, &bootstrap).unwrap()),
    }
}

/// The tree of the page, which is well-formed XML after its first line.
fn parse(html: &str) -> Document<'_> {
    let body = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
    Document::parse(body).unwrap()
}

#[test]
fn the_page_has_every_part_and_asks_for_nothing_from_outside() {
    let html = diagnosis().html();
    let page = parse(&html);
    let ids: Vec<&str> = page
        .descendants()
        .filter(|node| node.has_tag_name("section"))
        .filter_map(|node| node.attribute("id"))
        .collect();
    let expected = [
        "findings",
        "oracle",
        "shortcuts",
        "gradients",
        "gates",
        "again",
    ];
    assert_eq!(ids, expected);
    for node in page.descendants() {
        assert!(!node.has_tag_name("script") && !node.has_tag_name("link"));
        let src = node.attribute("src").or(node.attribute("href"));
        assert!(src.is_none_or(|src| src.starts_with('#')), "{src:?}");
    }
    assert!(html.contains("&lt;/code&gt;&lt;script&gt;"));
    assert!(!html.contains("NaN"));
    for words in ["not read", "used", "conflict", "worse", "last stage"] {
        assert!(html.contains(&format!(">{words}<")), "{words}");
    }
}

#[test]
fn what_was_not_computed_has_no_section() {
    let some = Diagnosis {
        oracle: None,
        gradients: None,
        ..diagnosis()
    };
    let html = some.html();
    assert!(!html.contains("id=\"oracle\"") && !html.contains("id=\"gradients\""));
    assert!(html.contains("id=\"shortcuts\""));
    let text = some.text();
    assert!(
        !text.contains("Oracle:") && text.contains("Shortcuts:"),
        "{text}"
    );
}

#[test]
fn text_and_json_say_what_was_found() {
    let found = diagnosis();
    let text = found.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "driving <&>, step 1234, test, 200 of 6,199 items: WER 30.00 %"
    );
    assert!(
        lines[1].starts_with("- Most is lost at planner.boxes: with data.boxes in place of"),
        "{text}"
    );
    for words in [
        "- Not read: planner.history (from eye.features). Not one of 200 items",
        "- No loss moves head (boxes: frozen in stage joint; plan: no route in stage joint).",
        "- At eye the losses boxes and plan pull against each other: cosine −0.550",
        "- Since stage apart its loss boxes rose from 0.5000 to 1.100: what eye does apart got worse.",
        "- Stage gone cannot be compared: the run keeps no checkpoint.",
        "No ground truth: head.features (from eye.features): data set test has no data.heads",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let json = found.json();
    assert_eq!(json["oracle"]["rows"][0]["to"], "planner.boxes");
    assert_eq!(json["probes"]["rows"][1]["verdict"], "untouched");
    assert_eq!(
        json["findings"].as_array().unwrap().len(),
        found.findings().len()
    );
    let mut plain = json.clone();
    plain.as_object_mut().unwrap().remove("findings");
    let back: Diagnosis = serde_json::from_value(plain).unwrap();
    assert_eq!(back.text(), text);
}

//! Beam search finds what Hugging Face's `generate` finds, with the same weights: all hypotheses, in the
//! same order, with the same scores (`golden/beam.py`). And decoding by steps is what whole passes give.

mod marian;

use conjoin_graph::{Pass, PortRef};
use conjoin_tasks::decode::{
    BeamConfig, DecoderSetup, EarlyStopping, Hypothesis, SearchConfig, beam_search, greedy, sample,
    stream_of,
};
use marian::Marian;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    symbols: usize,
    longest: usize,
    inputs: Vec<Vec<i64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    beam: usize,
    length_penalty: f64,
    search: SearchConfig,
    found: Vec<Vec<(Vec<i64>, f64)>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/beam.json")).unwrap()
}

#[test]
fn hypotheses_and_scores_of_50_inputs_in_every_case() {
    let golden = golden();
    assert_eq!((golden.inputs.len(), golden.cases.len()), (50, 5));
    let marian = Marian::read(golden.symbols, golden.longest);
    let batch = marian.batch(&golden.inputs);
    for case in &golden.cases {
        let config = BeamConfig {
            width: case.beam,
            length_penalty: case.length_penalty,
            search: case.search.clone(),
        };
        let (graph, route) = (&marian.graph, &marian.route);
        let found = beam_search(
            graph,
            route,
            &batch,
            50,
            &marian.setup,
            &config,
            &marian.device,
        );
        for (row, (found, expected)) in found.unwrap().iter().zip(&case.found).enumerate() {
            assert_eq!(found.len(), expected.len());
            for (one, (tokens, score)) in found.iter().zip(expected) {
                assert_eq!(one.tokens, *tokens, "input {row}: {found:?} {expected:?}");
                assert!(one.finished);
                assert!((one.score - score).abs() < 1e-3, "{} {score}", one.score);
            }
        }
    }
}

#[test]
fn neither_batching_nor_order_matters() {
    let golden = golden();
    let marian = Marian::read(golden.symbols, golden.longest);
    let search = SearchConfig {
        sampling: Some(
            serde_json::from_str(r#"{"temperature": 1.5, "top_k": 9, "samples": 3}"#).unwrap(),
        ),
        ..SearchConfig::default()
    };
    let decoded = |inputs: &[Vec<i64>]| {
        let batch = marian.batch(inputs);
        let (graph, route, device) = (&marian.graph, &marian.route, &marian.device);
        let (rows, setup) = (inputs.len(), &marian.setup);
        let config = BeamConfig {
            width: 3,
            length_penalty: 1.0,
            search: SearchConfig::default(),
        };
        let streams: Vec<u64> = inputs
            .iter()
            .map(|i| stream_of(4, &format!("{i:?}")))
            .collect();
        let beam = beam_search(graph, route, &batch, rows, setup, &config, device).unwrap();
        let drawn = sample(graph, route, &batch, &streams, setup, &search, device).unwrap();
        let plain = SearchConfig::default();
        let best = greedy(graph, route, &batch, rows, setup, &plain, device).unwrap();
        let tokens = |h: &[Hypothesis]| h.iter().map(|h| h.tokens.clone()).collect::<Vec<_>>();
        let all = beam.iter().zip(&drawn).zip(best);
        all.map(|((beam, drawn), best)| [tokens(beam), tokens(drawn), tokens(&[best])])
            .collect::<Vec<_>>()
    };
    let together = decoded(&golden.inputs[..9]);
    let apart = decoded(&golden.inputs[4..9]);
    assert_eq!(together[4..], apart);
    let alone = decoded(&golden.inputs[7..8]);
    assert_eq!(together[7], alone[0]);
    // The samples of an input are not all the same.
    assert!(together.iter().any(|[_, drawn, _]| drawn[0] != drawn[1]));
}

/// What pads a source costs no coverage.
#[test]
fn coverage_counts_the_same_alone_and_beside_a_longer_source() {
    let golden = golden();
    let marian = Marian::read(golden.symbols, golden.longest);
    let config = BeamConfig {
        width: 3,
        length_penalty: 1.0,
        search: SearchConfig {
            coverage_penalty: 0.2,
            ..SearchConfig::default()
        },
    };
    let decoded = |inputs: &[Vec<i64>]| -> Vec<Vec<Hypothesis>> {
        let (graph, route, device) = (&marian.graph, &marian.route, &marian.device);
        let (batch, setup) = (marian.batch(inputs), &marian.setup);
        beam_search(graph, route, &batch, inputs.len(), setup, &config, device).unwrap()
    };
    let inputs = &golden.inputs[..12];
    let longest = inputs.iter().map(Vec::len).max();
    let together = decoded(inputs);
    let (mut padded, mut penalised) = (0, 0);
    for (input, together) in inputs.iter().zip(&together) {
        padded += usize::from(Some(input.len()) < longest);
        let alone = decoded(std::slice::from_ref(input)).remove(0);
        assert_eq!(together.len(), alone.len());
        for (one, other) in together.iter().zip(&alone) {
            assert_eq!(one.tokens, other.tokens, "{input:?}");
            let length = one.tokens.len() + usize::from(one.finished);
            let plain = one.log_probability / length as f64;
            penalised += usize::from(one.score < plain - 1e-3);
            let (one, other) = (one.score, other.score);
            assert!((one - other).abs() < 1e-3, "{input:?}: {one} {other}");
        }
    }
    assert!(padded > 6 && penalised > 0, "{padded} {penalised}");
}

#[test]
fn a_length_limit_leaves_lists_full_and_what_ended_in_front() {
    let golden = golden();
    let marian = Marian::read(golden.symbols, golden.longest);
    // A search that stops at once goes on as long as too few have ended, whatever the limit.
    let mut cases = golden.cases.iter();
    let case = cases.find(|case| case.search.early_stopping == EarlyStopping::First);
    let case = case.unwrap();
    let config = BeamConfig {
        width: case.beam,
        length_penalty: case.length_penalty,
        search: case.search.clone(),
    };
    let limit = 4;
    let setup = DecoderSetup {
        max_length: limit,
        ..marian.setup.clone()
    };
    let (graph, route, device) = (&marian.graph, &marian.route, &marian.device);
    let batch = marian.batch(&golden.inputs);
    let found = beam_search(graph, route, &batch, 50, &setup, &config, device).unwrap();
    let mut mixed = 0;
    for (found, all) in found.iter().zip(&case.found) {
        assert_eq!(found.len(), case.beam);
        assert!(found.is_sorted_by_key(|one| !one.finished), "{found:?}");
        for one in found.iter().filter(|one| !one.finished) {
            assert_eq!((one.tokens.len(), one.alignment.len()), (limit, limit));
        }
        // What is found within the limit is found with it, in the same order.
        let short = |tokens: &Vec<i64>| tokens.len() < limit;
        let early: Vec<&Vec<i64>> = all.iter().map(|(t, _)| t).filter(|t| short(t)).collect();
        let ended = found
            .iter()
            .filter(|one| one.finished)
            .map(|one| &one.tokens);
        let ended: Vec<&Vec<i64>> = ended.filter(|tokens| early.contains(tokens)).collect();
        assert_eq!(ended, early);
        mixed += usize::from(found[0].finished && !found[case.beam - 1].finished);
    }
    assert!(mixed >= 10, "{mixed}");
}

#[test]
fn the_probability_of_a_hypothesis_is_that_of_a_whole_pass() {
    let golden = golden();
    let marian = Marian::read(golden.symbols, golden.longest);
    let inputs = &golden.inputs[..6];
    let batch = marian.batch(inputs);
    let plain = SearchConfig::default();
    let (graph, route, device) = (&marian.graph, &marian.route, &marian.device);
    let best = greedy(graph, route, &batch, 6, &marian.setup, &plain, device).unwrap();
    let said: Vec<Vec<i64>> = best.iter().map(|h| h.tokens.clone()).collect();
    let columns = marian.with_targets(&batch, &said);
    let trace = graph.forward(route, &columns, &Pass::default()).unwrap();
    let logits = trace.get(&PortRef::new("output", "logits")).unwrap();
    for (hypothesis, expected) in best.iter().zip(marian.log_probabilities(logits, &said)) {
        let found = hypothesis.log_probability;
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
}

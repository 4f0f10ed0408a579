//! Node kind `attention`: queries `[B, U, Q]` over a memory `[B, T, M]` to attended features
//! `[B, U, size]` and weights `[B, U, T]`.

use super::shared::{at_least_one, contract, extent, init, known, with_last};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, State, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::{Attention, AttentionOptions, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Attention from each query over all valid positions of the memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionConfig {
    /// How well a query and a memory position match.
    #[serde(default)]
    pub score: Score,
    /// Additive score only: features of the space in which queries and memory are compared
    /// (default: those of a query).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<usize>,
    /// Merge the attended memory with the query, `tanh(W [c; q])`; otherwise the attended memory
    /// itself comes out.
    #[serde(default = "super::shared::yes")]
    pub merge: bool,
    /// Features of the merged output (default: those of a query).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
}

impl AttentionConfig {
    /// The module's options for the inputs at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<AttentionOptions, NodeError> {
        let (query, memory) = (known(inputs, "Q")?, known(inputs, "M")?);
        let looked = Looked {
            score: self.score,
            common: self.common,
            merge: self.merge,
            size: self.size,
        };
        looked.options(query, memory)
    }
}

/// What a recipe says about attention, here or inside another kind of node.
pub(super) struct Looked {
    pub score: Score,
    pub common: Option<usize>,
    pub merge: bool,
    pub size: Option<usize>,
}

impl Looked {
    /// The module's options for queries and a memory of these sizes, or what does not fit.
    pub fn options(self, query: usize, memory: usize) -> Result<AttentionOptions, NodeError> {
        at_least_one("common", self.common.unwrap_or(query))?;
        at_least_one("size", self.size.unwrap_or(query))?;
        let refuse = |message: String| Err(NodeError::Options(message));
        if matches!(self.score, Score::Dot | Score::ScaledDot) && query != memory {
            return refuse(format!(
                "score: \"dot\" and \"scaled-dot\" expect queries and memory of one size, found \
                 {query} and {memory}; \"general\" and \"additive\" take any"
            ));
        }
        if self.score != Score::Additive && self.common.is_some() {
            return refuse("common: expected only with score = \"additive\"".to_owned());
        }
        if !self.merge && self.size.is_some() {
            return refuse("size: expected only with merge = true".to_owned());
        }
        Ok(AttentionOptions {
            score: self.score,
            query,
            memory,
            common: self.common.unwrap_or(query),
            merge: self.merge.then_some(self.size.unwrap_or(query)),
        })
    }
}

#[derive(Module, Debug)]
struct AttentionNode {
    attention: Attention,
}

impl NodeConfig for AttentionConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::new(
                "queries",
                "what looks for something, such as a decoder's states",
                &[Meaning::Features],
                &[Want::Any("B"), Want::Any("U"), Want::Known("Q")],
            ),
            InputPort::new(
                "memory",
                "what is looked at, such as an encoder's states",
                &[Meaning::Features],
                &[Want::Any("B"), Want::Any("T"), Want::Known("M")],
            ),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        let queries = contract(inputs, "queries")?;
        let size = options.merge.unwrap_or(options.memory);
        let attended = with_last(queries, Meaning::Features, size);
        let dims = [inputs.dim("B"), inputs.dim("U"), inputs.dim("T")];
        let weights = Contract::new(Meaning::Weights, dims).with_ragged(queries.ragged);
        Ok(vec![
            OutputPort::new("attended", "what each query found", attended),
            OutputPort::new("weights", "share of each memory position", weights),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("attention");
        Ok(Box::new(AttentionNode {
            attention: Attention::new(&init, &self.options(inputs)?),
        }))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let queries = extent(&inputs.dim("U"), size);
        let memory = extent(&inputs.dim("T"), size);
        self.options(inputs)
            .map_or(0.0, |options| Attention::flops(&options, queries, memory))
    }

    /// The additive score projects the memory, which a decoder does once; the other scores project
    /// the query or nothing.
    fn stepping(&self) -> Stepping {
        match self.score {
            Score::Additive => Stepping::Stateful,
            Score::Dot | Score::ScaledDot | Score::General => Stepping::Pointwise,
        }
    }
}

impl AttentionNode {
    fn run(&self, inputs: &Inputs, keys: Option<Tensor<3>>) -> Result<Outputs, NodeError> {
        let memory = inputs.get("memory")?;
        let lengths = inputs.get("queries")?.lengths.clone();
        let found = self.attention.forward(
            inputs.tensor("queries")?,
            inputs.tensor("memory")?,
            keys,
            &memory.row_lengths(),
        );
        let attended = Value::with_lengths(found.attended, lengths.clone());
        let weights = Value::with_lengths(found.weights, lengths);
        Ok(Outputs::one("attended", attended).and("weights", weights))
    }
}

impl Forward for AttentionNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        self.run(inputs, None)
    }

    /// The state holds the projected memory, `keys` `[B, T, common]`, from the first step on.
    fn step(
        &self,
        inputs: &Inputs,
        state: &mut State,
        _: &mut Context,
    ) -> Result<Outputs, NodeError> {
        let keys = match state.source.get("keys") {
            Some(keys) => Some(keys.tensor().map_err(|source| NodeError::Input {
                port: "memory".to_owned(),
                source,
            })?),
            None => self.attention.keys(&inputs.tensor("memory")?),
        };
        if let Some(keys) = &keys {
            state.source.insert("keys".to_owned(), keys.clone().into());
        }
        self.run(inputs, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{
        assert_close, bind, build, inputs, options, position, random, refusal,
    };

    fn bound(config: &AttentionConfig, query: usize, memory: usize) -> Bound {
        let contract = |time: &str, size: usize| {
            let dims = ["B".into(), time.into(), size.into()];
            Contract::new(Meaning::Features, dims).with_ragged(true)
        };
        let contracts = [
            ("queries", contract("U", query)),
            ("memory", contract("T", memory)),
        ];
        bind(config, &contracts)
    }

    #[test]
    fn weights_sum_to_one_over_the_valid_memory() {
        let config: AttentionConfig = options(r#"{"score": "dot", "merge": false}"#);
        let bound = bound(&config, 3, 3);
        let outputs = config.outputs(&bound).unwrap();
        assert_eq!(outputs[0].contract.shape_text(), "[B, U, 3]");
        assert_eq!(outputs[1].contract.shape_text(), "[B, U, T]");
        assert_eq!(outputs[1].contract.meaning, Meaning::Weights);

        let lengths = Some([2, 1].into());
        let queries = Value::with_lengths(random([2, 2, 3]), lengths.clone());
        let memory = Value::with_lengths(random([2, 4, 3]), Some([4, 2].into()));
        let given = inputs([("queries", queries), ("memory", memory)]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        assert_eq!(out.0["attended"].shape(), [2, 2, 3]);
        assert_eq!(out.0["attended"].lengths, lengths);
        let weights = out.0["weights"].to_f32();
        for row in weights.chunks(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert_eq!(weights[10..12], [0.0; 2]);
        assert_eq!(weights[14..], [0.0; 2]);
    }

    #[test]
    fn steps_equal_one_pass() {
        for score in ["general", "additive"] {
            let text = format!(r#"{{"score": "{score}", "size": 6}}"#);
            let config: AttentionConfig = options(&text);
            let node = build(&config, &bound(&config, 3, 4));
            let queries: Value = random([2, 3, 3]).into();
            let memory = Value::with_lengths(random([2, 5, 4]), Some([5, 2].into()));
            let given = |queries: Value| inputs([("queries", queries), ("memory", memory.clone())]);
            let mut context = Context::evaluation();
            let whole = node.forward(&given(queries.clone()), &mut context).unwrap();
            let mut state = State::default();
            for t in 0..3 {
                let step = node
                    .step(&given(position(&queries, t)), &mut state, &mut context)
                    .unwrap();
                for port in ["attended", "weights"] {
                    assert_close(&step.0[port], &position(&whole.0[port], t));
                }
            }
            // Only the additive score has something to keep.
            let stateful = config.stepping() == Stepping::Stateful;
            assert_eq!(stateful, score == "additive");
            assert_eq!(state.source.contains_key("keys"), stateful);
        }
    }

    #[test]
    fn flops_of_every_score() {
        let flops = |text: &str, query: usize, memory: usize| {
            let config: AttentionConfig = options(text);
            let size = |name: &str| if name == "U" { 2 } else { 7 };
            config.flops(&bound(&config, query, memory), &size)
        };
        // 2 queries of 3 over 7 memory positions of 3: scores, context.
        let pairs = 2.0 * 7.0;
        let dot = 2.0 * (pairs * 3.0 + pairs * 3.0);
        assert_eq!(flops(r#"{"score": "dot", "merge": false}"#, 3, 3), dot);
        // Merging maps 3 + 3 features to 5 for each query.
        let merge = 2.0 * (2.0 * 6.0 * 5.0);
        assert_eq!(
            flops(r#"{"score": "scaled-dot", "size": 5}"#, 3, 3),
            dot + merge
        );
        // The general score maps each query from 3 to 4 features.
        let general = 2.0 * (2.0 * 12.0 + pairs * 4.0 + pairs * 4.0);
        assert_eq!(
            flops(r#"{"score": "general", "merge": false}"#, 3, 4),
            general
        );
        // The additive one maps queries (3) and memory (4) to 6, then takes a product with v.
        let additive = 2.0 * (2.0 * 18.0 + 7.0 * 24.0 + pairs * 6.0 + pairs * 4.0);
        assert_eq!(
            flops(
                r#"{"score": "additive", "common": 6, "merge": false}"#,
                3,
                4
            ),
            additive
        );
    }

    #[test]
    fn refuses_options_that_do_not_fit() {
        let refused = |text: &str, query: usize, memory: usize| {
            let config: AttentionConfig = options(text);
            refusal(&config, &bound(&config, query, memory))
        };
        assert_eq!(
            refused(r#"{"score": "dot"}"#, 3, 4),
            "score: \"dot\" and \"scaled-dot\" expect queries and memory of one size, found 3 and 4; \
             \"general\" and \"additive\" take any"
        );
        assert_eq!(
            refused(r#"{"common": 6}"#, 3, 4),
            "common: expected only with score = \"additive\""
        );
        assert_eq!(
            refused(r#"{"merge": false, "size": 6}"#, 3, 4),
            "size: expected only with merge = true"
        );
        assert!(refused(r#"{"size": 0}"#, 3, 4).starts_with("size:"));
    }
}

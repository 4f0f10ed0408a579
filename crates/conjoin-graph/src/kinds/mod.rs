//! The kinds of node there are: one closed list of built-in kinds, and one open variant through
//! which an outside crate adds its own by a typed constructor.

use crate::node::{Node, NodeConfig, NodeError, Scope, Stepping};
use crate::port::{Bound, InputPort, OutputPort};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use std::sync::Arc;

mod agent_prediction;
mod attention;
mod attentive_decoder;
mod box_decoder;
mod calibration;
mod classifier;
mod conv_decoder;
mod conv_encoder;
mod driving;
mod embedding;
mod grid;
mod grid_head;
mod light_head;
mod linear;
mod match_agents;
mod patch_embedding;
mod planning_transformer;
mod pooling;
mod qp_planner;
mod recurrent;
mod shared;
mod transformer;
mod transformer_decoder;
mod transformer_encoder;
mod view_to_bev;

conjoin_data::closed_kinds! {
    /// Built-in node kinds.
    pub enum BuiltinNode {
        /// A trained vector for each symbol of a vocabulary.
        Embedding(embedding::EmbeddingConfig) = "embedding",
        /// LSTM, GRU or RNN over a sequence, one or both directions, one or more layers.
        Recurrent(recurrent::RecurrentConfig) = "recurrent",
        /// Attention from queries over a memory, merged with the queries.
        Attention(attention::AttentionConfig) = "attention",
        /// LSTM or GRU over a sequence that attends over a memory before each step and reads what it found.
        AttentiveDecoder(attentive_decoder::AttentiveDecoderConfig) = "attentive-decoder",
        /// Transformer layers over a sequence whose positions all see each other.
        TransformerEncoder(transformer_encoder::TransformerEncoderConfig) = "transformer-encoder",
        /// Transformer layers over a sequence whose positions see those before them, and a memory.
        TransformerDecoder(transformer_decoder::TransformerDecoderConfig) = "transformer-decoder",
        /// Affine map of the last dimension with an activation.
        Linear(linear::LinearConfig) = "linear",
        /// Affine map of features to logits over the vocabulary of a column.
        Classifier(classifier::ClassifierConfig) = "classifier",
        /// Convolutional feature extractor for images, plain or residual.
        ConvEncoder(conv_encoder::ConvEncoderConfig) = "conv-encoder",
        /// From a small map to a larger one, with skips from the encoder: the right half of U-Net.
        ConvDecoder(conv_decoder::ConvDecoderConfig) = "conv-decoder",
        /// Square patches of an image as a sequence.
        PatchEmbedding(patch_embedding::PatchEmbeddingConfig) = "patch-embedding",
        /// One vector of a sequence: the mean, the largest values, the first or last position.
        Pooling(pooling::PoolingConfig) = "pooling",
        /// Features of calibrated cameras on the ground around the vehicle: a bird's-eye view by unprojection.
        ViewToBev(view_to_bev::ViewToBevConfig) = "view-to-bev",
        /// Numbers for each cell of a map, and their sigmoids.
        GridHead(grid_head::GridHeadConfig) = "grid-head",
        /// Boxes of road users from maps of what lies where.
        BoxDecoder(box_decoder::BoxDecoderConfig) = "box-decoder",
        /// The state of the traffic light that counts, and the distance to its stop line.
        LightHead(light_head::LightHeadConfig) = "light-head",
        /// The true futures of predicted road users; no weights, no gradient.
        MatchAgents(match_agents::MatchAgentsConfig) = "match-agents",
        /// A vehicle's plan as the solution of a quadratic program, between goals, limits and predicted agents.
        QpPlanner(qp_planner::QpPlannerConfig) = "qp-planner",
        /// Where the agents around a vehicle will go, in several ways each.
        AgentPrediction(agent_prediction::AgentPredictionConfig) = "agent-prediction",
        /// Goals along the route, how firmly to hold on to them, and the gaps to keep to agents.
        PlanningTransformer(planning_transformer::PlanningTransformerConfig) = "planning-transformer",
    }
}

impl BuiltinNode {
    fn config(&self) -> &dyn NodeConfig {
        match self {
            Self::Embedding(config) => config,
            Self::Recurrent(config) => config,
            Self::Attention(config) => config,
            Self::AttentiveDecoder(config) => config,
            Self::TransformerEncoder(config) => config,
            Self::TransformerDecoder(config) => config,
            Self::Linear(config) => config,
            Self::Classifier(config) => config,
            Self::ConvEncoder(config) => config,
            Self::ConvDecoder(config) => config,
            Self::PatchEmbedding(config) => config,
            Self::Pooling(config) => config,
            Self::ViewToBev(config) => config,
            Self::GridHead(config) => config,
            Self::BoxDecoder(config) => config,
            Self::LightHead(config) => config,
            Self::MatchAgents(config) => config,
            Self::QpPlanner(config) => config,
            Self::AgentPrediction(config) => config,
            Self::PlanningTransformer(config) => config,
        }
    }
}

/// A node's kind with its options.
#[derive(Debug, Clone)]
pub enum NodeKind {
    Builtin(BuiltinNode),
    /// A kind that an outside crate brought along.
    Outside(OutsideNode),
}

impl NodeKind {
    /// The name that `kind` has in a recipe.
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin(node) => node.kind(),
            Self::Outside(node) => node.kind,
        }
    }

    fn config(&self) -> &dyn NodeConfig {
        match self {
            Self::Builtin(node) => node.config(),
            Self::Outside(node) => node.config.as_ref(),
        }
    }
}

impl Serialize for NodeKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Builtin(node) => node.serialize(serializer),
            Self::Outside(node) => node.options.serialize(serializer),
        }
    }
}

impl NodeConfig for NodeKind {
    fn inputs(&self) -> Vec<InputPort> {
        self.config().inputs()
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        self.config().outputs(inputs)
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        self.config().init(inputs, scope)
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        self.config().flops(inputs, size)
    }

    fn stepping(&self) -> Stepping {
        self.config().stepping()
    }
}

/// A node of a kind that the workspace does not know.
#[derive(Debug, Clone)]
pub struct OutsideNode {
    kind: &'static str,
    config: Arc<dyn NodeConfig + Send + Sync>,
    options: serde_json::Value,
}

impl OutsideNode {
    /// A node that no recipe can name.
    pub(crate) fn hidden(
        kind: &'static str,
        config: impl NodeConfig + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            config: Arc::new(config),
            options: serde_json::Value::Null,
        }
    }
}

/// A kind of node that an outside crate adds.
///
/// ```ignore
/// let gate = NodeExtension::new::<GateConfig>("gate", "Multiplies features by a trained gate.");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NodeExtension {
    pub kind: &'static str,
    pub about: &'static str,
    schema: fn() -> schemars::Schema,
    read: fn(&'static str, serde_json::Value) -> Result<OutsideNode, serde_json::Error>,
}

impl NodeExtension {
    /// Declares a kind whose options are read into `C`.
    pub fn new<C>(kind: &'static str, about: &'static str) -> Self
    where
        C: NodeConfig + DeserializeOwned + schemars::JsonSchema + Send + Sync + 'static,
    {
        Self {
            kind,
            about,
            schema: || schemars::schema_for!(C),
            read: |kind, mut options| {
                let config: C = serde_json::from_value(options.clone())?;
                if let Some(table) = options.as_object_mut() {
                    table.insert("kind".to_owned(), kind.into());
                }
                Ok(OutsideNode {
                    kind,
                    config: Arc::new(config),
                    options,
                })
            },
        }
    }

    /// The options as a JSON schema.
    pub fn schema(&self) -> schemars::Schema {
        (self.schema)()
    }

    /// Reads the options, without the `kind` key.
    pub fn read(&self, options: serde_json::Value) -> Result<NodeKind, serde_json::Error> {
        (self.read)(self.kind, options).map(NodeKind::Outside)
    }
}

//! Where agents will go: several ways for each, as displacements from driving on as they do.
//!
//! Shapes: agents `[B, N, 12]`, map `[B, X, Y, C]`, state `[B, 4]`; modal `[B, N, M, 1 + 2 F]`: a mode's
//! logit, then x, y at each step, m; likely `[B, N, F, 4]`: how much the agent is there, x, y (m), heading
//! (rad) of its most probable mode.
//!
//! A token an agent, layers in which agents attend to each other, and a head that gives all modes at once,
//! as in MultiPath (Chai et al. 2019) and Wayformer (Nayakanti et al. 2022). The head speaks in the axes
//! of each agent: a way to the left is the same whichever way the agent points.

use super::grid_sample::grid_sample;
use super::perceptron::Perceptron;
use super::{
    AGENT_FEATURES, STATE, STEP, agent_features, column, constant, presence, state_features,
    transformer, visibility,
};
use crate::init::{Fill, Init};
use crate::mode::Mode;
use crate::multi_head::Visible;
use crate::position::PositionKind;
use crate::transformer_encoder::TransformerEncoder;
use burn::module::Module;
use burn::tensor::Tensor;

/// An agent that moves less than this in two steps points where it pointed rather than where it goes, m.
const STANDING: f32 = 0.05;

/// Standard deviation of the head's weights: untrained, agents drive on as they do.
const HEAD: f32 = 0.001;

/// Where along the steps, as shares, the map is read beside now: where the agent would then be.
const AHEAD: [f32; 2] = [0.5, 1.0];

/// Sizes and behaviour of an [`AgentPrediction`].
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionOptions {
    /// Channels of the map, where there is one, and what it covers: x from and to, y from and to, m.
    pub map: Option<(usize, [f64; 4])>,
    /// The own vehicle's state is given.
    pub state: bool,
    pub modes: usize,
    pub steps: usize,
    /// Features of a token, a multiple of `heads`.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// Probability of dropping in the transformer's layers.
    pub dropout: f64,
}

impl PredictionOptions {
    fn embedding(&self) -> [usize; 3] {
        let map = self.map.map_or(0, |(channels, _)| channels);
        let input = AGENT_FEATURES + map * (1 + AHEAD.len());
        [input, self.hidden, self.hidden]
    }

    fn head(&self) -> [usize; 3] {
        [self.hidden, self.hidden, self.modes * (1 + 2 * self.steps)]
    }

    /// Multiply-adds for a sample with `agents`, times two.
    pub fn flops(&self, agents: f64) -> f64 {
        let tokens = agents + f64::from(u8::from(self.state));
        let each = Perceptron::flops(self.embedding()) + Perceptron::flops(self.head());
        let layers = transformer(
            self.hidden,
            self.layers,
            self.heads,
            0.0,
            PositionKind::None,
        );
        agents * each + layers.flops(tokens, tokens * tokens, None)
    }
}

/// What is predicted.
#[derive(Debug, Clone)]
pub struct Predicted {
    /// `[B, N, M, 1 + 2 F]`
    pub modal: Tensor<4>,
    /// `[B, N, F, 4]`
    pub likely: Tensor<4>,
}

/// Agents' tokens, their layers, and the head of all modes.
#[derive(Module, Debug)]
pub struct AgentPrediction {
    agent: Perceptron,
    ego: Option<Perceptron>,
    encoder: TransformerEncoder,
    head: Perceptron,
    #[module(skip)]
    extent: Option<[f64; 4]>,
    modes: usize,
    steps: usize,
}

impl AgentPrediction {
    pub fn new(init: &Init, options: &PredictionOptions) -> Self {
        let PredictionOptions {
            hidden,
            layers,
            heads,
            dropout,
            ..
        } = *options;
        let ego = || Perceptron::new(&init.child("ego"), [STATE, hidden, hidden]);
        let layers = transformer(hidden, layers, heads, dropout, PositionKind::None);
        let fill = Fill::Normal { std: HEAD };
        Self {
            agent: Perceptron::new(&init.child("agent"), options.embedding()),
            ego: options.state.then(ego),
            encoder: TransformerEncoder::new(&init.child("encoder"), &layers),
            head: Perceptron::filled(&init.child("head"), options.head(), fill),
            extent: options.map.map(|(_, extent)| extent),
            modes: options.modes,
            steps: options.steps,
        }
    }

    /// Predicts all agents. An agent that is not there is seen by no other; what is said about it means
    /// nothing, and is finite.
    pub fn forward(
        &self,
        agents: Tensor<3>,
        map: Option<Tensor<4>>,
        state: Option<Tensor<2>>,
        mode: &mut Mode,
    ) -> Predicted {
        let [batch, count, _] = agents.dims();
        let present = presence(&agents);
        let tokens = self.tokens(&agents, map, state, present.clone(), mode);
        let said = self.head.forward(tokens.narrow(1, 0, count));
        let said = said.reshape([batch, count, self.modes, 1 + 2 * self.steps]);
        let logits = said.clone().narrow(3, 0, 1);
        let [x, y] = self.ways(&agents, said.narrow(3, 1, 2 * self.steps));

        let chosen = logits.clone().argmax(2);
        let pick = |from: &Tensor<4>| -> Tensor<3> {
            let index = chosen.clone().expand([batch, count, 1, self.steps]);
            from.clone().gather(2, index).squeeze_dim(2)
        };
        let likely = self.likely(&agents, present, [pick(&x), pick(&y)]);
        let places: Tensor<5> = Tensor::stack(vec![x, y], 4);
        let places = places.reshape([batch, count, self.modes, 2 * self.steps]);
        Predicted {
            modal: Tensor::cat(vec![logits, places], 3),
            likely,
        }
    }

    /// What the agents, and the own vehicle behind them, make of each other, `[B, N (+ 1), D]`.
    fn tokens(
        &self,
        agents: &Tensor<3>,
        map: Option<Tensor<4>>,
        state: Option<Tensor<2>>,
        present: Tensor<3>,
        mode: &mut Mode,
    ) -> Tensor<3> {
        let [batch, count, _] = agents.dims();
        let mut features = agent_features(agents);
        if let (Some(extent), Some(map)) = (self.extent, map) {
            let here = agents.clone().narrow(2, 1, 2);
            let velocity = agents.clone().narrow(2, 7, 2);
            let horizon = self.steps as f32 * STEP;
            let ahead = AHEAD.map(|share| here.clone() + velocity.clone() * (share * horizon));
            let places = std::iter::once(here).chain(ahead).collect();
            let found = grid_sample(map, Tensor::cat(places, 1), extent);
            let [.., channels] = found.dims();
            let found = found.reshape([batch, 1 + AHEAD.len(), count, channels]);
            let found = found
                .swap_dims(1, 2)
                .reshape([batch, count, (1 + AHEAD.len()) * channels]);
            features = Tensor::cat(vec![features, found], 2);
        }
        let mut tokens = self.agent.forward(features);
        let mut mask = visibility(present);
        if let (Some(ego), Some(state)) = (&self.ego, state) {
            let ego = ego.forward(state_features(&state)).unsqueeze_dim(1);
            tokens = Tensor::cat(vec![tokens, ego], 1);
            let seen = Tensor::zeros([batch, 1, 1, 1], &mask.device());
            mask = Tensor::cat(vec![mask, seen], 3);
        }
        let lengths = vec![tokens.dims()[1]; batch];
        let visible = Visible {
            lengths: &lengths,
            causal: false,
            mask: Some(&mask),
        };
        self.encoder.seeing(tokens, visible, mode)
    }

    /// Places of all modes, x and y `[B, N, M, F]`: driving on, and the offsets `[B, N, M, 2 F]`, first
    /// those along the agent's heading, then those to its left.
    fn ways(&self, agents: &Tensor<3>, offsets: Tensor<4>) -> [Tensor<4>; 2] {
        let device = agents.device();
        let times: Vec<f32> = (1..=self.steps).map(|step| step as f32 * STEP).collect();
        // Later steps are farther away: a number of 1 means half a metre and two more each second.
        let scales: Vec<f32> = times.iter().map(|time| 0.5 + 2.0 * time).collect();
        let (times, scales) = (constant(&times, &device), constant(&scales, &device));
        let scales: Tensor<4> = scales.unsqueeze();
        let [along, across] = [0, 1]
            .map(|part| offsets.clone().narrow(3, part * self.steps, self.steps) * scales.clone());
        let [cos, sin] = heading(agents).map(|part| part.unsqueeze_dim::<4>(3));
        let on = |place: usize, velocity: usize| -> Tensor<4> {
            let way = column(agents, place) + column(agents, velocity) * times.clone().unsqueeze();
            way.unsqueeze_dim(2)
        };
        [
            on(1, 7) + along.clone() * cos.clone() - across.clone() * sin.clone(),
            on(2, 8) + along * sin + across * cos,
        ]
    }

    /// `[B, N, F, 4]` from the places `[B, N, F]` of one mode: headings are those of the way from the
    /// step before to the step behind.
    fn likely(&self, agents: &Tensor<3>, present: Tensor<3>, [x, y]: [Tensor<3>; 2]) -> Tensor<4> {
        let steps = self.steps;
        let moved = |place: usize, along: &Tensor<3>| {
            let before = vec![column(agents, place), along.clone().narrow(2, 0, steps - 1)];
            let behind = vec![
                along.clone().narrow(2, 1, steps - 1),
                along.clone().narrow(2, steps - 1, 1),
            ];
            Tensor::cat(behind, 2) - Tensor::cat(before, 2)
        };
        let [cos, sin] = heading(agents);
        let heading = (moved(2, &y) + sin * STANDING).atan2(moved(1, &x) + cos * STANDING);
        let present = present.expand(x.dims());
        Tensor::stack(vec![present, x, y, heading], 3)
    }
}

/// Cosine and sine of agents' headings, each `[B, N, 1]`, of length 1 whatever a network said; straight
/// ahead where both are 0, as for agents that are not there: an angle of nothing has no gradient.
fn heading(agents: &Tensor<3>) -> [Tensor<3>; 2] {
    let [cos, sin] = [3, 4].map(|index| column(agents, index));
    let square = cos.clone() * cos.clone() + sin.clone() * sin.clone() + 1e-6;
    let length = square.clone().sqrt();
    [cos / length.clone() + square.recip() * 1e-6, sin / length]
}

//! A plan from everything that is known of the scene, and how firmly to hold on to it.
//!
//! Shapes: inputs as in [`PlanningInputs`]; goals `[B, S, 4]`: x, y (m), heading (rad), speed (m/s) at
//! the end of each step; state weights `[B, S, 4]` and control weights `[B, S, 2]` (acceleration,
//! curvature), raw: they count as their softplus; margins `[B, N]` (m), the gap to keep to each agent.
//!
//! A token for the own vehicle, for each two points of the route, each agent with its future, each patch
//! of the grids and the light; decoder layers (Vaswani et al. 2017) with a query a step, which all see
//! each other, over these tokens. A goal is what the route has where the vehicle comes by accelerations
//! that the network says, and an offset: untrained, constant speed along the route.
//!
//! With several modes `M` there are as many plans, each with a logit (Cui et al. 2019, "Multimodal Trajectory
//! Predictions for Autonomous Driving using Deep Convolutional Networks"): between the ways round to the left, to
//! the right and staying where it is, the mean is none of them.

use super::grid_tokens::{GridOptions, GridTokens};
use super::perceptron::Perceptron;
use super::route::travel;
use super::{
    AGENT_FEATURES, STATE, STEP, agent_features, constant, presence, state_features, transformer,
    visibility,
};
use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use crate::mode::Mode;
use crate::multi_head::Visible;
use crate::position::PositionKind;
use crate::rng::Stream;
use crate::transformer_decoder::{Memory, TransformerDecoder};
use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use conjoin_kernels::activation::relu;
use std::f32::consts::TAU;

/// Numbers of the light: four states, and the distance to the stop line, m.
const LIGHT: usize = 5;

/// Numbers of one step of an agent's future as features: known, x, y, cosine and sine of the heading.
const FUTURE: usize = 5;

/// Metres that become 1 in what the network reads.
const FAR: f32 = 20.0;

/// Radians of heading's offset for an output of 1.
const TURN: f32 = 0.2;

/// Of what a speed below 0 would be this share remains, so that a standing vehicle's plan has a gradient.
const BACKWARD: f32 = 0.1;

/// Standard deviation of the heads' weights.
const HEAD: f32 = 0.003;

/// What the softplus of the outputs is at first: weights of x, y, heading, speed; of acceleration,
/// curvature; the margin, m.
const STATE_WEIGHTS: [f32; 4] = [1.0, 1.0, 1.0, 0.5];
const CONTROL_WEIGHTS: [f32; 2] = [0.1, 1.0];
const MARGIN: f32 = 0.5;

/// Sizes and behaviour of a [`PlanningTransformer`].
#[derive(Debug, Clone, PartialEq)]
pub struct PlanningOptions {
    /// Points of the route, an even number.
    pub route_points: usize,
    /// Agents are given.
    pub agents: bool,
    /// Steps of the agents' futures, or 0 without.
    pub futures: usize,
    pub grid: Option<GridOptions>,
    /// The light is given.
    pub light: bool,
    pub steps: usize,
    /// Features of a token, a multiple of `heads`.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// Probability of dropping in the transformer's layers.
    pub dropout: f64,
    /// Probability, in training, that the tokens of a sample know nothing of the vehicle's state.
    pub state_dropout: f64,
    /// Plans among which one is chosen.
    pub modes: usize,
}

impl PlanningOptions {
    fn agent(&self) -> [usize; 3] {
        let input = AGENT_FEATURES + FUTURE * self.futures;
        [input, self.hidden, self.hidden]
    }

    fn margins(&self) -> [usize; 3] {
        [2 * self.hidden, self.hidden, 1]
    }

    /// Multiply-adds for a sample with `agents`, times two.
    pub fn flops(&self, agents: f64) -> f64 {
        let hidden = self.hidden;
        let agents = if self.agents { agents } else { 0.0 };
        let embed = |input| Perceptron::flops([input, hidden, hidden]);
        let pairs = (self.route_points / 2) as f64;
        let (patches, cut) = self
            .grid
            .map_or((0, 0.0), |grid| (grid.tokens(), grid.flops(hidden)));
        let light = if self.light { 1.0 } else { 0.0 };
        let tokens = 1.0 + pairs + agents + patches as f64 + light;
        let each_agent = Perceptron::flops(self.agent()) + Perceptron::flops(self.margins());
        let steps = self.steps as f64;
        let layers = transformer(
            hidden,
            self.layers,
            self.heads,
            0.0,
            PositionKind::Sinusoidal,
        );
        embed(STATE + 1)
            + pairs * embed(4)
            + agents * each_agent
            + cut
            + light * embed(LIGHT)
            + layers.flops(steps, steps * steps, Some((tokens, hidden)))
            + steps * Linear::flops(hidden, 3 * self.modes)
            + steps * Linear::flops(hidden, STATE_WEIGHTS.len() + CONTROL_WEIGHTS.len())
    }
}

/// What is known; what was promised in the options must be there.
#[derive(Debug, Clone)]
pub struct PlanningInputs {
    /// `[B, 4]`
    pub state: Tensor<2>,
    /// `[B, P, 2]`: x, y ahead, m.
    pub route: Tensor<3>,
    /// `[B, N, 12]`
    pub agents: Option<Tensor<3>>,
    /// `[B, N, F, 4]`: known, x, y (m), heading (rad).
    pub futures: Option<Tensor<4>>,
    /// `[B, X, Y, T]`, 0..1.
    pub occupancy: Option<Tensor<4>>,
    /// `[B, X, Y, C]`
    pub map: Option<Tensor<4>>,
    /// `[B, 5]`: none, green, yellow, red, distance to the stop line, m.
    pub light: Option<Tensor<2>>,
    /// `[B, S, 4]`: what should be planned. In training the mode nearest to it is chosen.
    pub target: Option<Tensor<3>>,
}

/// A plan.
#[derive(Debug, Clone)]
pub struct Planned {
    /// `[B, S, 4]`: those of the mode that is chosen.
    pub goals: Tensor<3>,
    /// `[B, M, 1 + 2 S]`: of each mode its logit, then x, y at each step; where there are several.
    pub modal: Option<Tensor<3>>,
    /// `[B, S, 4]`, raw.
    pub state_weights: Tensor<3>,
    /// `[B, S, 2]`, raw.
    pub control_weights: Tensor<3>,
    /// `[B, N]`, m, above 0; where agents are given.
    pub margins: Option<Tensor<2>>,
}

/// Tokens, decoder and heads.
#[derive(Module, Debug)]
pub struct PlanningTransformer {
    ego: Perceptron,
    route: Perceptron,
    agent: Option<Perceptron>,
    grid: Option<GridTokens>,
    light: Option<Perceptron>,
    decoder: TransformerDecoder,
    motion: Linear,
    choice: Option<Linear>,
    state_weights: Linear,
    control_weights: Linear,
    margin: Option<Perceptron>,
    steps: usize,
    modes: usize,
    state_dropout: f64,
}

impl PlanningTransformer {
    pub fn new(init: &Init, options: &PlanningOptions) -> Self {
        let hidden = options.hidden;
        let embed = |name: &str, input| Perceptron::new(&init.child(name), [input, hidden, hidden]);
        let fill = Fill::Normal { std: HEAD };
        let head = |name: &str, output| {
            let init = init.child(name);
            Linear::filled(&init, hidden, output, true, Activation::None, fill)
        };
        let layers = transformer(
            hidden,
            options.layers,
            options.heads,
            options.dropout,
            PositionKind::Sinusoidal,
        );
        let grid = |grid| GridTokens::new(&init.child("grid"), &grid, hidden);
        let agent = || Perceptron::new(&init.child("agent"), options.agent());
        let margin = || Perceptron::filled(&init.child("margin"), options.margins(), fill);
        let decoder = init.child("decoder");
        Self {
            ego: embed("ego", STATE + 1),
            route: embed("route", 4),
            agent: options.agents.then(agent),
            grid: options.grid.map(grid),
            light: options.light.then(|| embed("light", LIGHT)),
            decoder: TransformerDecoder::new(&decoder, &layers, Some(hidden), false),
            motion: head("motion", 3 * options.modes),
            choice: (options.modes > 1).then(|| head("choice", options.modes)),
            state_weights: head("state_weights", STATE_WEIGHTS.len()),
            control_weights: head("control_weights", CONTROL_WEIGHTS.len()),
            margin: options.agents.then(margin),
            steps: options.steps,
            modes: options.modes,
            state_dropout: options.state_dropout,
        }
    }

    /// Plans for all samples.
    pub fn forward(&self, inputs: &PlanningInputs, mode: &mut Mode) -> Planned {
        let ego = self.ego(&inputs.state, mode);
        let [batch, _, hidden] = ego.dims();
        let agents = self.agents(inputs);
        let (memory, mask) = self.memory(inputs, ego.clone(), agents.clone());
        let tokens = vec![memory.dims()[1]; batch];
        let steps = vec![self.steps; batch];
        let decoded = self.decoder.seeing(
            ego.expand([batch, self.steps, hidden]),
            Visible {
                lengths: &steps,
                causal: false,
                mask: None,
            },
            Some(Memory {
                states: &memory,
                lengths: &tokens,
                mask: mask.as_ref(),
            }),
            mode,
        );
        let states = decoded.states;
        let margins = match (&self.margin, agents) {
            (Some(margin), Some((agents, _))) => {
                let intent = states.clone().mean_dim(1).expand(agents.dims());
                let raw = margin.forward(Tensor::cat(vec![agents, intent], 2));
                Some(softplus(raw + softplus_inverse(MARGIN), 1.0).squeeze_dim(2))
            }
            _ => None,
        };
        let motion = self.motion.forward(states.clone());
        let logits = (self.choice.as_ref())
            .map(|choice| choice.forward(states.clone().mean_dim(1)).squeeze_dim(1));
        let (goals, modal) = match logits {
            None => (goals(&inputs.state, inputs.route.clone(), motion), None),
            Some(logits) => {
                let motions = motion.chunk(self.modes, 2).into_iter().enumerate();
                let plans: Vec<Tensor<3>> = motions
                    .map(|(mode, motion)| {
                        let motion = motion + self.apart(mode, &inputs.state.device());
                        goals(&inputs.state, inputs.route.clone(), motion)
                    })
                    .collect();
                let target = inputs.target.as_ref().filter(|_| mode.is_training());
                choose(plans, &logits, target)
            }
        };
        Planned {
            goals,
            modal,
            state_weights: raised(self.state_weights.forward(states.clone()), &STATE_WEIGHTS),
            control_weights: raised(self.control_weights.forward(states), &CONTROL_WEIGHTS),
            margins,
        }
    }

    /// What is added to the motions of a mode so that modes begin apart, `[1, 1, 3]`: from those that brake and
    /// those that speed up to those that pass on the left or the right.
    fn apart(&self, mode: usize, device: &Device) -> Tensor<3> {
        const ACCELERATION: f32 = 1.5;
        const OFFSET: f32 = 1.0;
        let (sin, cos) = (TAU * mode as f32 / self.modes as f32).sin_cos();
        constant(&[ACCELERATION * cos, OFFSET * sin, 0.0], device).unsqueeze()
    }

    /// The own vehicle's token, `[B, 1, D]`. In training some do not know the state, so that the plan is
    /// not only what the vehicle does already (Codevilla et al. 2019; Cheng et al. 2023, PlanTF).
    fn ego(&self, state: &Tensor<2>, mode: &mut Mode) -> Tensor<3> {
        let [batch, _] = state.dims();
        let hidden: Vec<f32> = match mode.draw(self.state_dropout) {
            None => vec![0.0; batch],
            Some(seed) => {
                let draws = Stream::new(seed);
                let hide = |row| draws.uniform(row) < self.state_dropout;
                (0..batch as u64)
                    .map(|row| f32::from(u8::from(hide(row))))
                    .collect()
            }
        };
        let hidden = Tensor::from_data(TensorData::new(hidden, [batch, 1]), &state.device());
        let known = state_features(state) * (hidden.clone().neg() + 1.0);
        self.ego
            .forward(Tensor::cat(vec![known, hidden], 1))
            .unsqueeze_dim(1)
    }

    /// Tokens of the agents `[B, N, D]`, and what is added to scores for them, `[B, 1, 1, N]`.
    fn agents(&self, inputs: &PlanningInputs) -> Option<(Tensor<3>, Tensor<4>)> {
        let (embed, agents) = (self.agent.as_ref()?, inputs.agents.as_ref()?);
        let mut features = agent_features(agents);
        if let Some(futures) = &inputs.futures {
            features = Tensor::cat(vec![features, future_features(futures)], 2);
        }
        Some((embed.forward(features), visibility(presence(agents))))
    }

    /// All tokens `[B, K, D]`, and what is added to scores, `[B, 1, 1, K]`, where not all are seen.
    fn memory(
        &self,
        inputs: &PlanningInputs,
        ego: Tensor<3>,
        agents: Option<(Tensor<3>, Tensor<4>)>,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let [batch, points, _] = inputs.route.dims();
        let pairs = inputs.route.clone().reshape([batch, points / 2, 4]) / FAR;
        let mut tokens = vec![ego, self.route.forward(pairs)];
        if let Some(grid) = &self.grid {
            tokens.push(grid.forward(inputs.occupancy.as_ref(), inputs.map.as_ref()));
        }
        if let (Some(embed), Some(light)) = (&self.light, &inputs.light) {
            let scales = constant(&[1.0, 1.0, 1.0, 1.0, FAR.recip()], &light.device());
            let light = embed.forward(light.clone() * scales.unsqueeze());
            tokens.push(light.unsqueeze_dim(1));
        }
        let mut mask = None;
        if let Some((agents, visibility)) = agents {
            let others = tokens.iter().map(|tokens| tokens.dims()[1]).sum();
            let seen = Tensor::zeros([batch, 1, 1, others], &agents.device());
            mask = Some(Tensor::cat(vec![seen, visibility], 3));
            tokens.push(agents);
        }
        (Tensor::cat(tokens, 1), mask)
    }
}

/// The goals of one of some plans `[B, S, 4]`, and all as `[B, M, 1 + 2 S]`: of the mode nearest to the target at
/// all steps, or of that with the greatest logit `[B, M]`.
fn choose(
    plans: Vec<Tensor<3>>,
    logits: &Tensor<2>,
    target: Option<&Tensor<3>>,
) -> (Tensor<3>, Option<Tensor<3>>) {
    let [batch, modes] = logits.dims();
    let steps = plans[0].dims()[1];
    let plans: Tensor<4> = Tensor::stack(plans, 1);
    let places = plans.clone().narrow(3, 0, 2);
    let value = match target {
        Some(target) => {
            let target: Tensor<4> = target.clone().narrow(2, 0, 2).unsqueeze_dim(1);
            let apart = (places.clone().detach() - target).powi_scalar(2).sum_dim(3);
            let apart = apart.sqrt().mean_dim(2);
            -apart.reshape([batch, modes])
        }
        None => logits.clone().detach(),
    };
    let chosen = value.argmax(1).reshape([batch, 1, 1, 1]);
    let goals = plans.gather(1, chosen.expand([batch, 1, steps, 4]));
    let ways = places.reshape([batch, modes, 2 * steps]);
    let modal = Tensor::cat(vec![logits.clone().unsqueeze_dim(2), ways], 2);
    (goals.squeeze_dim(1), Some(modal))
}

/// Futures `[B, N, F, 4]` as features `[B, N, 5 F]`; steps that are not known are zero.
fn future_features(futures: &Tensor<4>) -> Tensor<3> {
    let [batch, count, steps, _] = futures.dims();
    let part = |index| futures.clone().narrow(3, index, 1);
    let (known, heading) = (part(0), part(3));
    let rest = Tensor::cat(
        vec![
            part(1) / FAR,
            part(2) / FAR,
            heading.clone().cos(),
            heading.sin(),
        ],
        3,
    );
    let rest = rest * known.clone();
    Tensor::cat(vec![known, rest], 3).reshape([batch, count, steps * FUTURE])
}

/// Goals from motions `[B, S, 3]`: acceleration (m/s²), offset to the left (m), offset of the heading.
fn goals(state: &Tensor<2>, route: Tensor<3>, motion: Tensor<3>) -> Tensor<3> {
    let [_, steps, _] = motion.dims();
    let part = |index| -> Tensor<2> { motion.clone().narrow(2, index, 1).squeeze_dim(2) };
    let now = state.clone().narrow(1, 0, 1);
    let wanted = now.clone() + part(0).cumsum(1) * STEP;
    let speeds = relu(wanted.clone()) - relu(wanted.neg()) * BACKWARD;
    let before = Tensor::cat(vec![now, speeds.clone().narrow(1, 0, steps - 1)], 1);
    let distances = (before + speeds.clone()).cumsum(1) * (STEP / 2.0);
    let (places, directions) = travel(route, distances);
    let axis =
        |of: &Tensor<3>, index| -> Tensor<2> { of.clone().narrow(2, index, 1).squeeze_dim(2) };
    let [x, y] = [0, 1].map(|index| axis(&places, index));
    let [cos, sin] = [0, 1].map(|index| axis(&directions, index));
    let left = part(1);
    Tensor::stack(
        vec![
            x - left.clone() * sin.clone(),
            y + left * cos.clone(),
            // A route that leads nowhere leads ahead.
            sin.atan2(cos + 1e-4) + part(2) * TURN,
            speeds,
        ],
        2,
    )
}

/// Raw numbers whose softplus is `first` where the network says 0.
fn raised(raw: Tensor<3>, first: &[f32]) -> Tensor<3> {
    let first: Vec<f32> = first.iter().map(|first| softplus_inverse(*first)).collect();
    let device = raw.device();
    raw + constant(&first, &device).unsqueeze()
}

/// The number whose softplus is `y`.
fn softplus_inverse(y: f32) -> f32 {
    y.exp_m1().ln()
}

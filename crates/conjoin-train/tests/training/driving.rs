//! That prediction and planning learn: agents that turn are predicted better than by driving on, and a
//! plan stops before a red light.

use burn::tensor::{Device, Tensor, TensorData};
use conjoin_data::{Contract, Meaning};
use conjoin_graph::value::Payload;
use conjoin_graph::{
    Bound, BuiltinNode, Context, Inputs, Node, NodeConfig, NodeKind, Outputs, Scope, Value,
};
use conjoin_kernels::optim::{Rule, State, update};
use conjoin_train::LossConfig;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const AGENTS: usize = 4;
const STEPS: usize = 20;
const CELLS: usize = 4;

/// Numbers in 0..1 from a counter.
struct Noise(u64);

impl Noise {
    fn draw(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.draw()
    }
}

const ADAM: Rule = Rule::Adam {
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 0.0,
};

type Batch = BTreeMap<&'static str, (Vec<usize>, Vec<f32>)>;

fn tensor<const D: usize>(batch: &Batch, name: &str, device: &Device) -> Tensor<D> {
    let (shape, values) = batch[name].clone();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn value(batch: &Batch, name: &str, device: &Device) -> Value {
    match batch[name].0.len() {
        2 => tensor::<2>(batch, name, device).into(),
        3 => tensor::<3>(batch, name, device).into(),
        _ => tensor::<4>(batch, name, device).into(),
    }
}

/// A node that is trained alone with Adam.
struct Learner {
    node: Option<Box<dyn Node>>,
    states: BTreeMap<String, State>,
    device: Device,
    step: u64,
}

impl Learner {
    fn new(config: Json, inputs: &[&'static str], batch: &Batch) -> Self {
        let config: BuiltinNode = serde_json::from_value(config).unwrap();
        let config = NodeKind::Builtin(config);
        let mut bound = Bound::default();
        for port in config.inputs() {
            if inputs.contains(&port.name) {
                let sizes = batch[port.name].0[1..].iter().map(|&size| size.into());
                let dims = std::iter::once("B".into()).chain(sizes);
                let contract = Contract::new(Meaning::Quantity, dims);
                bound.bind(&port, &contract, "data").unwrap();
            }
        }
        config.outputs(&bound).unwrap();
        let device = Device::flex().autodiff();
        let scope = Scope {
            device: device.clone(),
            seed: 5,
        };
        Self {
            node: Some(config.init(&bound, &scope).unwrap()),
            states: BTreeMap::new(),
            device,
            step: 0,
        }
    }

    fn run(&self, batch: &Batch, inputs: &[&'static str], context: &mut Context) -> Outputs {
        let mut given = Inputs::default();
        for name in inputs {
            given.insert(*name, value(batch, name, &self.device));
        }
        self.node
            .as_ref()
            .unwrap()
            .forward(&given, context)
            .unwrap()
    }

    /// One step of Adam; gives the loss.
    fn learn(
        &mut self,
        batch: &Batch,
        inputs: &[&'static str],
        loss: &LossConfig,
        [port, target]: [&'static str; 2],
        rate: f64,
    ) -> f32 {
        self.step += 1;
        let outputs = self.run(batch, inputs, &mut Context::training(self.step));
        let target = value(batch, target, &self.device);
        let loss = loss.evaluate(&outputs.0[port], &target).unwrap();
        let said: f32 = loss.mean.to_data().iter().next().unwrap();
        let gradients = loss.mean.backward();
        let mut found = BTreeMap::new();
        let node = self.node.take().unwrap();
        node.visit(&mut |param| {
            let gradient = match param.value().payload {
                Payload::F1(t) => t.grad(&gradients).map(Payload::erase),
                Payload::F2(t) => t.grad(&gradients).map(Payload::erase),
                Payload::F4(t) => t.grad(&gradients).map(Payload::erase),
                other => panic!("a parameter of shape {:?}", other.shape()),
            };
            if let Some(gradient) = gradient {
                found.insert(param.path.to_owned(), gradient);
            }
        });
        let states = &mut self.states;
        let node = node.map(&mut |slot| {
            let Some(gradient) = found.remove(slot.path) else {
                return slot.value;
            };
            macro_rules! step {
                ($tensor:expr) => {{
                    let gradient = gradient.restore($tensor.dims());
                    let state = states
                        .entry(slot.path.to_owned())
                        .or_insert_with(|| State::new(&ADAM, &$tensor));
                    update(&ADAM, $tensor, gradient, state, rate, 1.0).into()
                }};
            }
            match slot.value.payload {
                Payload::F1(t) => step!(t),
                Payload::F2(t) => step!(t),
                Payload::F4(t) => step!(t),
                other => panic!("a parameter of shape {:?}", other.shape()),
            }
        });
        self.node = Some(node);
        said
    }
}

/// Agents that turn as the map says where they are, `turn` rad/s; pedestrians turn to either side.
fn turning(rows: usize, noise: &mut Noise) -> Batch {
    let (mut agents, mut map, mut futures) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let turn = noise.between(-0.8, 0.8);
        map.extend(std::iter::repeat_n(turn, CELLS * CELLS));
        for index in 0..AGENTS {
            let (x, y) = (noise.between(-10.0, 10.0), noise.between(-10.0, 10.0));
            let heading = noise.between(-3.0, 3.0);
            let walks = index == AGENTS - 1;
            let speed = if walks { 2.0 } else { noise.between(3.0, 8.0) };
            let side = if noise.draw() < 0.5 { 1.5 } else { -1.5 };
            let turn = if walks { side } else { turn };
            let (cos, sin) = (heading.cos(), heading.sin());
            let kind = [f32::from(u8::from(!walks)), f32::from(u8::from(walks)), 0.0];
            agents.extend([1.0, x, y, cos, sin, 4.5, 1.9, speed * cos, speed * sin]);
            agents.extend(kind);
            for step in 1..=STEPS {
                // A circle: how far along and to the left of where the agent points now.
                let angle = turn * 0.1 * step as f32;
                let radius = speed / turn;
                let (along, left) = (radius * angle.sin(), radius * (1.0 - angle.cos()));
                let at = [x + along * cos - left * sin, y + along * sin + left * cos];
                futures.extend([1.0, at[0], at[1], heading + angle]);
            }
        }
    }
    Batch::from([
        ("agents", (vec![rows, AGENTS, 12], agents)),
        ("map", (vec![rows, CELLS, CELLS, 1], map)),
        ("futures", (vec![rows, AGENTS, STEPS, 4], futures)),
    ])
}

/// Mean distance from the truth over steps and over vehicles or pedestrians: of driving on, of the likely
/// way, of the best way.
fn displacements(batch: &Batch, found: &Outputs, vehicles: bool) -> [f32; 3] {
    let (agents, truth) = (&batch["agents"].1, &batch["futures"].1);
    let (modal, likely) = (found.0["modal"].to_f32(), found.0["likely"].to_f32());
    let modes = 3;
    let mut sums = [0.0; 3];
    let mut count = 0.0;
    for (index, agent) in agents.chunks(12).enumerate() {
        if (agent[9] > 0.5) != vehicles {
            continue;
        }
        count += 1.0;
        let truth = &truth[index * STEPS * 4..][..STEPS * 4];
        let mean = |at: &dyn Fn(usize) -> [f32; 2]| -> f32 {
            let distance = |step: usize| {
                let at = at(step);
                (at[0] - truth[4 * step + 1]).hypot(at[1] - truth[4 * step + 2])
            };
            (0..STEPS).map(distance).sum::<f32>() / STEPS as f32
        };
        sums[0] += mean(&|step| {
            let time = 0.1 * (step + 1) as f32;
            [agent[1] + agent[7] * time, agent[2] + agent[8] * time]
        });
        let likely = &likely[index * STEPS * 4..];
        sums[1] += mean(&|step| [likely[4 * step + 1], likely[4 * step + 2]]);
        let width = 1 + 2 * STEPS;
        let way = |mode: usize| &modal[(index * modes + mode) * width + 1..];
        let best = (0..modes)
            .map(|mode| mean(&|step| [way(mode)[2 * step], way(mode)[2 * step + 1]]))
            .fold(f32::INFINITY, f32::min);
        sums[2] += best;
    }
    sums.map(|sum| sum / count)
}

#[test]
fn agents_that_turn_are_predicted() {
    const INPUTS: [&str; 2] = ["agents", "map"];
    let mut noise = Noise(1);
    let config = json!({
        "kind": "agent-prediction", "modes": 3, "steps": STEPS, "hidden": 32, "layers": 1,
        "extent": [-32.0, 32.0, -32.0, 32.0],
    });
    let loss: LossConfig = serde_json::from_value(json!({"kind": "multi-modal"})).unwrap();
    let held_out = turning(64, &mut noise);
    let mut learner = Learner::new(config, &INPUTS, &held_out);
    for step in 0..600 {
        let batch = turning(32, &mut noise);
        let rate = 3e-3 * (1.0 - step as f64 / 600.0);
        learner.learn(&batch, &INPUTS, &loss, ["modal", "futures"], rate);
    }
    let found = learner.run(&held_out, &INPUTS, &mut Context::evaluation());
    let vehicles = displacements(&held_out, &found, true);
    let pedestrians = displacements(&held_out, &found, false);
    println!("vehicles {vehicles:?}, pedestrians {pedestrians:?}");
    // Where they turn is known from the map.
    assert!(vehicles[1] < 0.3 * vehicles[0], "{vehicles:?}");
    // To which side pedestrians turn is not known: one of the ways must be right.
    assert!(pedestrians[2] < 0.3 * pedestrians[0], "{pedestrians:?}");
}

/// A vehicle on a straight road before a light: red asks to stop at the line, green to go on at 8 m/s.
fn lights(rows: usize, noise: &mut Noise) -> Batch {
    let [mut states, mut routes, mut lights, mut plans] = [const { Vec::<f32>::new() }; 4];
    for _ in 0..rows {
        let red = noise.draw() < 0.5;
        let (speed, distance) = (noise.between(0.0, 9.0), noise.between(2.0, 25.0));
        let (state, route, light, plan) = approach(red, speed, distance);
        states.extend(state);
        routes.extend(route);
        lights.extend(light);
        plans.extend(plan);
    }
    Batch::from([
        ("state", (vec![rows, 4], states)),
        ("route", (vec![rows, 10, 2], routes)),
        ("light", (vec![rows, 5], lights)),
        ("plan", (vec![rows, STEPS, 4], plans)),
    ])
}

type Approach = ([f32; 4], Vec<f32>, [f32; 5], Vec<f32>);

fn approach(red: bool, speed: f32, distance: f32) -> Approach {
    let [green, red_is] = [!red, red].map(|is| f32::from(u8::from(is)));
    let route = (1..=10)
        .flat_map(|point| [2.0 * point as f32, 0.0])
        .collect();
    let (mut x, mut v) = (0.0, speed);
    let mut plan = Vec::new();
    for _ in 0..STEPS {
        let left = (distance - x).max(0.1);
        let wanted = (8.0 - v).clamp(-1.0, 1.5);
        // Brake as firmly as the line asks for, once that is more than a little.
        let asked = v * v / (2.0 * left);
        let acceleration = if red && asked > 1.0 {
            -asked.min(8.0)
        } else if red {
            wanted.min(0.5 * (left - 2.0) - 0.5 * v)
        } else {
            wanted
        };
        let next = (v + 0.1 * acceleration).max(0.0);
        x += 0.05 * (v + next);
        v = next;
        plan.extend([x, 0.0, 0.0, v]);
    }
    (
        [speed, 0.0, 0.0, 0.0],
        route,
        [0.0, green, 0.0, red_is, distance],
        plan,
    )
}

#[test]
fn plans_stop_before_a_red_light() {
    const INPUTS: [&str; 3] = ["state", "route", "light"];
    let mut noise = Noise(2);
    let config = json!({
        "kind": "planning-transformer", "steps": STEPS, "hidden": 32, "layers": 1,
    });
    let loss: LossConfig = serde_json::from_value(json!({"kind": "plan"})).unwrap();
    let mut learner = Learner::new(config, &INPUTS, &lights(2, &mut noise));
    let mut losses = Vec::new();
    for step in 0..600 {
        let batch = lights(32, &mut noise);
        let rate = 3e-3 * (1.0 - step as f64 / 600.0);
        losses.push(learner.learn(&batch, &INPUTS, &loss, ["goals", "plan"], rate));
    }
    let end = |red: bool| {
        let (state, route, light, plan) = approach(red, 6.0, 7.0);
        let batch = Batch::from([
            ("state", (vec![1, 4], state.to_vec())),
            ("route", (vec![1, 10, 2], route)),
            ("light", (vec![1, 5], light.to_vec())),
        ]);
        let found = learner.run(&batch, &INPUTS, &mut Context::evaluation());
        let goals = found.0["goals"].to_f32();
        let last = 4 * (STEPS - 1);
        ([goals[last], goals[last + 3]], [plan[last], plan[last + 3]])
    };
    let (red, green) = (end(true), end(false));
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..10]), mean(&losses[590..]));
    println!("red {red:?}, green {green:?}, loss {first} to {last}");
    assert!(last < 0.15 * first, "{first} {last}");
    // Place and speed after two seconds: before the line and almost standing, or through.
    let ([x, speed], _) = red;
    assert!(x < 7.0 && speed < 2.0, "{red:?}");
    let ([x, speed], _) = green;
    assert!(x > 12.0 && speed > 6.0, "{green:?}");
}

//! L1 and L2 penalties on weights: terms of the loss with gradients known in closed form.

use super::gradients::GradientStore;
use crate::parameters::{flat, parameter_name};
use crate::stage::PenaltyConfig;
use conjoin_graph::graph::Graph;
use conjoin_kernels::optim::{absolute_sum, squared_norm};
use std::collections::BTreeMap;

/// Adds the penalties' gradients and gives their values as `l1.<node>` and `l2.<node>`.
pub fn apply(
    graph: &Graph,
    penalties: &BTreeMap<String, PenaltyConfig>,
    gradients: &mut GradientStore,
) -> Vec<(String, f64)> {
    let mut terms = Vec::new();
    for (name, config) in penalties {
        let Some(node) = graph.node(name) else {
            continue;
        };
        let (mut absolute, mut squared) = (0.0, 0.0);
        node.visit(&mut |param| {
            if param.statistic {
                return;
            }
            let weight = flat(param.value());
            let key = parameter_name(name, param.path);
            if config.l1 != 0.0 {
                absolute += absolute_sum(&weight);
                gradients.add(key.clone(), weight.clone().sign() * config.l1);
            }
            if config.l2 != 0.0 {
                squared += squared_norm(&weight);
                gradients.add(key, weight * config.l2);
            }
        });
        if config.l1 != 0.0 {
            terms.push((format!("l1.{name}"), config.l1 * absolute));
        }
        if config.l2 != 0.0 {
            terms.push((format!("l2.{name}"), config.l2 / 2.0 * squared));
        }
    }
    terms
}

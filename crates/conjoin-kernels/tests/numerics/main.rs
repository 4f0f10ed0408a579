//! The kernels' numbers: against PyTorch, against Burn's operations, at the edges, on any number of threads.
//!
//! One program, as each takes seconds to build; the test that counts memory is another, so that it is alone.

mod attention;
mod attentive;
mod conv;
mod loss;
mod operations;
mod optim;
mod precision;
mod prepared;
mod pytorch;
mod rnn;
mod rotary;
mod sparse;
mod support;
mod transformer;
mod transformer_edges;
mod transformer_properties;
mod vision;
mod vision_properties;

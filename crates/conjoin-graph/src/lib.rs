//! Named nodes and wires with contracts: the graph of differentiable modules.
//!
//! [`spec`] checks wiring before weights exist, [`graph`] runs it and keeps a trace, [`weights`]
//! saves and loads one file a node.

pub mod blend;
pub mod graph;
pub mod kinds;
pub mod node;
pub mod port;
pub mod probe;
pub mod route;
pub mod spec;
pub mod value;
pub mod weights;

pub use conjoin_data::{Contract, Dim, Dtype, Meaning, Vocabulary};
pub use graph::{Graph, Pass, Trace};
pub use kinds::{BuiltinNode, NodeExtension, NodeKind};
pub use node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping};
pub use port::{Bound, InputPort, OutputPort, PortError, Want, WantFrame};
pub use route::Route;
pub use spec::{Blend, NodeSpec, PortRef, Problem, ProblemKind, Resolution, Wire, Wiring};
pub use value::{Payload, Value, ValueError};

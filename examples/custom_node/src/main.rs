//! conjoin's command line with one more node kind.

mod highway;

use conjoin::Toolkit;
use conjoin::graph::NodeExtension;
use highway::HighwayConfig;
use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Maps features and lets some of them pass, as a trained gate decides.";
    Toolkit::new()
        .with_node(NodeExtension::new::<HighwayConfig>("highway", about))
        .run(std::env::args_os())
}

//! `conjoin predict`: outputs for raw inputs, one line out for one line in.

mod aligned;
mod answer;
mod listen;

use crate::cli::PredictArgs;
use crate::error::CliError;
use crate::lines::{Line, Lines};
use crate::output;
use crate::system::LoadedRun;
use answer::{Answerer, TOGETHER};
use conjoin_graph::NodeExtension;
use conjoin_tasks::TaskConfig;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &PredictArgs) -> Result<(), CliError> {
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let task = &loaded.checked.task;
    let count = arguments.n_best.map(usize::from);
    check(task, count, arguments)?;
    let answerer = Answerer::new(loaded, arguments)?;
    if let Some(address) = &arguments.listen {
        return listen::run(answerer, address);
    }
    let longest = answerer.longest();
    let mut say = output::line;
    let failed = if arguments.inputs.is_empty() {
        let mut stream = answerer.stream("standard input");
        let mut lines = Lines::new(std::io::BufReader::new(std::io::stdin()), longest);
        let unread = |error: std::io::Error| CliError::failed(format!("standard input: {error}"));
        while let Some(waiting) = lines.waiting(TOGETHER).map_err(unread)? {
            answerer.answer(&mut stream, &waiting, &mut say)?;
        }
        stream.failed()
    } else {
        let mut stream = answerer.stream("arguments");
        let inputs = arguments.inputs.iter();
        let inputs: Vec<Line> = inputs.map(|input| Line::new(input, longest)).collect();
        answerer.answer(&mut stream, &inputs, &mut say)?;
        stream.failed()
    };
    match failed {
        0 => Ok(()),
        count => Err(CliError::input(format!(
            "inputs without an output: {count}"
        ))),
    }
}

/// What is asked for must be there before anything is read.
fn check(task: &TaskConfig, count: Option<usize>, arguments: &PredictArgs) -> Result<(), CliError> {
    let most = task.outputs_an_input();
    if let (Some(count), Some(most)) = (count, most)
        && count > most
    {
        return Err(CliError::input(format!(
            "--n-best {count}: the task gives {most} for an input; --set task.beam={count} looks for \
             more, or task.search.sampling.samples={count} draws them"
        )));
    }
    let wanting = [
        ("--explain", "drawn", arguments.explain.is_some()),
        ("--alignments", "told", arguments.alignments),
    ];
    let asked = wanting.into_iter().find(|(_, _, is)| *is);
    if let Some((option, what, _)) = asked
        && !task.ports().contains_key("alignment")
    {
        return Err(CliError::input(format!(
            "{option}: expected a task with \"alignment\", the attention weights that are {what}"
        )));
    }
    let Some(dir) = &arguments.explain else {
        return Ok(());
    };
    std::fs::create_dir_all(dir).map_err(|error| CliError::unwritable(dir, &error))
}

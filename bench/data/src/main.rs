//! Gives another program the very batches and splits that conjoin trains on.
//!
//! ```text
//! bench-data batches RECIPE DATA SEED COUNT FILE
//! bench-data entries RECIPE DATA
//! ```
//!
//! `batches` writes the first COUNT batches of a recipe's data set as safetensors: `7.letters` is
//! column `letters` of batch 7, `7.letters.lengths` the valid lengths of its rows, where it has
//! them, and `7.rows` their positions in the source. `vocabulary.letters` in the file's metadata
//! holds the symbols of the column's vocabulary, separated by line feeds.
//!
//! `entries` prints one line a word: its spelling, then every pronunciation, separated by tabs.

use conjoin_data::{ArrayData, Batch, Columns, DataSetConfig, Loader, Source, dataset};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str =
    "usage: bench-data batches RECIPE DATA SEED COUNT FILE | bench-data entries RECIPE DATA";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["batches", recipe, data, seed, count, file] => {
            let loader = open(recipe, data, seed.parse()?)?;
            let batches = first_batches(&loader, count.parse()?)?;
            write(&batches, loader.columns(), Path::new(file))
        }
        ["entries", recipe, data] => entries(open(recipe, data, 0)?.source().as_ref()),
        _ => Err(USAGE.into()),
    }
}

/// The loader of one data set of a recipe.
fn open(recipe: &str, data: &str, seed: u64) -> Result<Loader> {
    let mut table: toml::Table = fs::read_to_string(recipe)?.parse()?;
    let sets = table
        .remove("data")
        .ok_or("the recipe has no table `data`")?;
    let sets: BTreeMap<String, DataSetConfig> = sets.try_into()?;
    let config = sets.get(data).ok_or("the recipe has no such data set")?;
    Ok(config.loader(dataset::open(data, &sets)?, seed)?)
}

/// Batches from epoch 0 on.
fn first_batches(loader: &Loader, count: usize) -> Result<Vec<Batch>> {
    let epochs = (0..).flat_map(|epoch| loader.epoch(epoch, 0));
    let batches: std::result::Result<Vec<Batch>, _> = epochs.take(count).collect();
    Ok(batches?)
}

fn write(batches: &[Batch], columns: &Columns, file: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        for (name, column) in &batch.columns {
            let (dtype, bytes) = match &column.array.data {
                ArrayData::F32(reals) => (
                    Dtype::F32,
                    reals.iter().flat_map(|x| x.to_le_bytes()).collect(),
                ),
                ArrayData::I64(integers) => (
                    Dtype::I64,
                    integers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                ),
            };
            tensors.push((
                format!("{number}.{name}"),
                dtype,
                column.array.shape.clone(),
                bytes,
            ));
            if let Some(lengths) = &column.lengths {
                let bytes = lengths
                    .iter()
                    .flat_map(|&n| (n as i64).to_le_bytes())
                    .collect();
                let name = format!("{number}.{name}.lengths");
                tensors.push((name, Dtype::I64, vec![lengths.len()], bytes));
            }
        }
        let rows = batch
            .indices
            .iter()
            .flat_map(|&row| (row as i64).to_le_bytes())
            .collect();
        tensors.push((
            format!("{number}.rows"),
            Dtype::I64,
            vec![batch.size()],
            rows,
        ));
    }
    let views: std::result::Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        })
        .collect();
    let vocabularies = columns.iter().filter_map(|(name, contract)| {
        let symbols = contract.vocabulary.as_ref()?.symbols.join("\n");
        Some((format!("vocabulary.{name}"), symbols))
    });
    let metadata: HashMap<String, String> = vocabularies.collect();
    Ok(serialize_to_file(views?, Some(metadata), file)?)
}

fn entries(source: &dyn Source) -> Result<()> {
    let columns = source.columns();
    let contract = columns
        .get("phonemes_out")
        .ok_or("the data set has no pronunciations")?;
    let vocabulary = contract
        .vocabulary
        .as_ref()
        .ok_or("the phonemes have no vocabulary")?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for index in 0..source.len() {
        write!(out, "{}", source.key(index))?;
        for answer in source.references(index) {
            let symbols: Vec<&str> = answer
                .iter()
                .filter_map(|&p| vocabulary.symbol(p))
                .collect();
            write!(out, "\t{}", symbols.join(" "))?;
        }
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

//! Embeds the CMU Pronouncing Dictionary, which travels inside the package of `cmudict-fast`.
//!
//! That crate reads a dictionary from a path and exports neither its text nor its place, so cargo
//! is asked where the package lies. The question is put about a throw-away package that depends on
//! nothing else: everything it needs was fetched before this script ran, so the answer needs no
//! network, whatever other members, features or platforms the workspace has, and it follows the
//! caller's source replacement (vendoring). `CONJOIN_CMUDICT=FILE` names a dictionary instead, with its
//! `LICENSE-CMUDICT` in the same folder.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PACKAGE: &str = "cmudict-fast";
const VERSION: &str = "0.8.0";
/// The dictionary's own terms, which whatever carries it has to carry too.
const LICENCE: &str = "LICENSE-CMUDICT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CONJOIN_CMUDICT");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let named = env::var_os("CONJOIN_CMUDICT").map(PathBuf::from);
    let (dictionary, licence) = if let Some(path) = named {
        (path.clone(), path.with_file_name(LICENCE))
    } else {
        let folder = package_folder(&out.join("probe"))?;
        (folder.join("resources/cmudict.dict"), folder.join(LICENCE))
    };
    for (file, name) in [(dictionary, "cmudict.dict"), (licence, LICENCE)] {
        let text = fs::read(&file).map_err(|e| {
            format!(
                "{}: {e}; set CONJOIN_CMUDICT to a copy of cmudict.dict with {LICENCE} beside it",
                file.display()
            )
        })?;
        fs::write(out.join(name), text)?;
    }
    Ok(())
}

/// The folder of the dictionary's package, found through a package at `probe` that needs it.
fn package_folder(probe: &Path) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(probe)?;
    // The empty workspace table keeps cargo from taking the probe for a member of an outer one.
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n\
         [dependencies]\n{PACKAGE} = \"={VERSION}\"\n\n[workspace]\n"
    );
    fs::write(probe.join("Cargo.toml"), manifest)?;
    fs::write(probe.join("lib.rs"), "")?;

    // Cargo reads its configuration (vendored sources) upwards from the working directory.
    let output = Command::new(env::var("CARGO")?)
        .args([
            "metadata",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(probe.join("Cargo.toml"))
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
        .output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo metadata cannot find the package {PACKAGE} {VERSION}; \
             set CONJOIN_CMUDICT to a copy of its resources/cmudict.dict\n{why}"
        )
        .into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == PACKAGE)
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|manifest| Path::new(manifest).parent())
        .map(Path::to_owned)
        .ok_or_else(|| format!("cargo metadata does not list {PACKAGE} {VERSION}").into())
}

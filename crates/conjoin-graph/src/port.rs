//! Ports: what a node wants at an input, what it promises at an output, and how the two are
//! matched before any weight exists.

use conjoin_data::{Contract, Dim, Meaning};
use std::collections::BTreeMap;

/// One wanted dimension of an input port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Any size; ports of one node that use the same name must agree.
    Any(&'static str),
    /// A size that must be known before data arrives, because weights depend on it.
    Known(&'static str),
    /// Exactly this size.
    Exactly(usize),
    /// Any number of dimensions, including none.
    Rest,
}

/// The coordinate frame that an input port wants. A contract that names none fits everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantFrame {
    /// This one.
    Exactly(String),
    /// Any; ports of one node that use the same name must agree.
    Same(&'static str),
}

/// An input of a node.
#[derive(Debug, Clone)]
pub struct InputPort {
    pub name: &'static str,
    pub about: &'static str,
    pub meanings: Vec<Meaning>,
    pub dims: Vec<Want>,
    pub frame: Option<WantFrame>,
    /// Physical units; a contract that names none fits.
    pub units: Option<&'static str>,
    pub optional: bool,
    /// Only the contract is read (a vocabulary, say); no value arrives at run time.
    pub contract_only: bool,
    /// Whether it is wired decides which weights the node has.
    pub decides_weights: bool,
}

impl InputPort {
    pub fn new(
        name: &'static str,
        about: &'static str,
        meanings: &[Meaning],
        dims: &[Want],
    ) -> Self {
        Self {
            name,
            about,
            meanings: meanings.to_vec(),
            dims: dims.to_vec(),
            frame: None,
            units: None,
            optional: false,
            contract_only: false,
            decides_weights: false,
        }
    }

    /// An optional input for the weights of another node, `[V, D]`, which this one uses instead of
    /// its own.
    pub fn parameters(about: &'static str) -> Self {
        Self {
            decides_weights: true,
            ..Self::new(
                "weight",
                about,
                &[Meaning::Parameters],
                &[Want::Known("V"), Want::Known("D")],
            )
            .optional()
        }
    }

    /// The node reads the contract (its vocabulary, say) and never a value.
    #[must_use]
    pub fn contract_only(mut self) -> Self {
        self.contract_only = true;
        self
    }

    /// What arrives lies in this frame.
    #[must_use]
    pub fn in_frame(mut self, frame: WantFrame) -> Self {
        self.frame = Some(frame);
        self
    }

    /// What arrives is in these units.
    #[must_use]
    pub fn in_units(mut self, units: &'static str) -> Self {
        self.units = Some(units);
        self
    }

    /// The node also works without this input.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The node also works without this input, but with other weights.
    #[must_use]
    pub fn optional_part(mut self) -> Self {
        self.decides_weights = true;
        self.optional()
    }

    /// `[B, T, D]`, for messages.
    pub fn shape_text(&self) -> String {
        let dims: Vec<String> = self
            .dims
            .iter()
            .map(|want| match want {
                Want::Any(name) | Want::Known(name) => (*name).to_owned(),
                Want::Exactly(size) => size.to_string(),
                Want::Rest => "..".to_owned(),
            })
            .collect();
        format!("[{}]", dims.join(", "))
    }

    /// The meanings it accepts, for messages: `features or image`.
    pub fn meaning_text(&self) -> String {
        let names: Vec<String> = self.meanings.iter().map(ToString::to_string).collect();
        names.join(" or ")
    }
}

/// An output of a node with the contract that holds for the inputs at hand.
#[derive(Debug, Clone)]
pub struct OutputPort {
    pub name: &'static str,
    pub about: &'static str,
    pub contract: Contract,
}

impl OutputPort {
    pub fn new(name: &'static str, about: &'static str, contract: Contract) -> Self {
        Self {
            name,
            about,
            contract,
        }
    }
}

/// The contracts that arrived at a node's inputs, checked against what the node wants.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    contracts: BTreeMap<&'static str, Contract>,
    dims: BTreeMap<&'static str, Dim>,
    /// The frame of each name of [`WantFrame::Same`], and who brought it.
    frames: BTreeMap<&'static str, (String, String)>,
}

/// Why a contract does not fit a port. The recipe adds where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    #[error("wants {wanted}, but {source_port} carries {found}")]
    Meaning {
        wanted: String,
        source_port: String,
        found: String,
    },
    #[error("wants shape {wanted}, but {source_port} has shape {found}")]
    Rank {
        wanted: String,
        source_port: String,
        found: String,
    },
    #[error(
        "wants dimension {dim} of {wanted} to be {expected}, but {source_port} with shape {found} has {got}"
    )]
    Size {
        dim: &'static str,
        wanted: String,
        source_port: String,
        found: String,
        expected: String,
        got: String,
    },
    #[error("wants frame \"{wanted}\", but {source_port} is in frame \"{found}\"")]
    Frame {
        wanted: String,
        source_port: String,
        found: String,
    },
    #[error(
        "wants the frame of {other_port}, \"{wanted}\", but {source_port} is in frame \"{found}\""
    )]
    OtherFrame {
        other_port: String,
        wanted: String,
        source_port: String,
        found: String,
    },
    #[error("wants {wanted}, but {source_port} is in {found}")]
    Units {
        wanted: String,
        source_port: String,
        found: String,
    },
    #[error(
        "needs the size of dimension {dim} before data arrives, but in {source_port} with shape {found} it varies"
    )]
    Unknown {
        dim: &'static str,
        source_port: String,
        found: String,
    },
}

impl Bound {
    /// Matches one arriving contract with its port; `source_port` is for the message.
    pub fn bind(
        &mut self,
        port: &InputPort,
        contract: &Contract,
        source_port: &str,
    ) -> Result<(), Box<PortError>> {
        if !port.meanings.contains(&contract.meaning) {
            return Err(Box::new(PortError::Meaning {
                wanted: port.meaning_text(),
                source_port: source_port.to_owned(),
                found: contract.to_string(),
            }));
        }
        let rest = port.dims.iter().position(|want| *want == Want::Rest);
        let fits = match rest {
            Some(_) => contract.dims.len() + 1 >= port.dims.len(),
            None => contract.dims.len() == port.dims.len(),
        };
        if !fits {
            return Err(Box::new(PortError::Rank {
                wanted: port.shape_text(),
                source_port: source_port.to_owned(),
                found: contract.shape_text(),
            }));
        }
        // Dimensions after `..` are matched from the end.
        let head = rest.unwrap_or(port.dims.len());
        let tail = port.dims.len() - head - usize::from(rest.is_some());
        let pairs = port.dims[..head].iter().zip(&contract.dims).chain(
            port.dims[port.dims.len() - tail..]
                .iter()
                .zip(&contract.dims[contract.dims.len() - tail..]),
        );
        for (want, dim) in pairs {
            self.bind_dim(*want, dim, port, contract, source_port)?;
        }
        self.bind_frame(port, contract, source_port)?;
        if let (Some(wanted), Some(found)) = (port.units, &contract.units)
            && wanted != found
        {
            return Err(Box::new(PortError::Units {
                wanted: wanted.to_owned(),
                source_port: source_port.to_owned(),
                found: found.clone(),
            }));
        }
        self.contracts.insert(port.name, contract.clone());
        Ok(())
    }

    fn bind_frame(
        &mut self,
        port: &InputPort,
        contract: &Contract,
        source_port: &str,
    ) -> Result<(), Box<PortError>> {
        let (Some(wanted), Some(found)) = (&port.frame, &contract.frame) else {
            return Ok(());
        };
        let source_port = source_port.to_owned();
        match wanted {
            WantFrame::Exactly(wanted) if wanted != found => Err(Box::new(PortError::Frame {
                wanted: wanted.clone(),
                source_port,
                found: found.clone(),
            })),
            WantFrame::Exactly(_) => Ok(()),
            WantFrame::Same(name) => match self.frames.get(name) {
                Some((wanted, other_port)) if wanted != found => {
                    Err(Box::new(PortError::OtherFrame {
                        other_port: other_port.clone(),
                        wanted: wanted.clone(),
                        source_port,
                        found: found.clone(),
                    }))
                }
                Some(_) => Ok(()),
                None => {
                    self.frames.insert(name, (found.clone(), source_port));
                    Ok(())
                }
            },
        }
    }

    fn bind_dim(
        &mut self,
        want: Want,
        dim: &Dim,
        port: &InputPort,
        contract: &Contract,
        source_port: &str,
    ) -> Result<(), Box<PortError>> {
        let mismatch = |name: &'static str, expected: String| {
            Box::new(PortError::Size {
                dim: name,
                wanted: port.shape_text(),
                source_port: source_port.to_owned(),
                found: contract.shape_text(),
                expected,
                got: dim.to_string(),
            })
        };
        let name = match want {
            Want::Rest => return Ok(()),
            Want::Exactly(size) => {
                return if dim.size() == Some(size) {
                    Ok(())
                } else {
                    Err(mismatch("size", size.to_string()))
                };
            }
            Want::Known(name) if dim.size().is_none() => {
                return Err(Box::new(PortError::Unknown {
                    dim: name,
                    source_port: source_port.to_owned(),
                    found: contract.shape_text(),
                }));
            }
            Want::Any(name) | Want::Known(name) => name,
        };
        match self.dims.get(name) {
            Some(bound) if bound != dim => Err(mismatch(name, bound.to_string())),
            Some(_) => Ok(()),
            None => {
                self.dims.insert(name, dim.clone());
                Ok(())
            }
        }
    }

    /// The contract at an input; `None` where an optional input is not wired.
    pub fn contract(&self, port: &str) -> Option<&Contract> {
        self.contracts.get(port)
    }

    /// Inputs that are wired.
    pub fn wired(&self) -> usize {
        self.contracts.len()
    }

    /// The dimension bound to a name of the node's ports; the name itself where nothing bound it.
    pub fn dim(&self, name: &'static str) -> Dim {
        self.dims
            .get(name)
            .cloned()
            .unwrap_or_else(|| Dim::symbol(name))
    }

    /// The frame that ports share by a name of [`WantFrame::Same`], where any contract names one.
    pub fn frame(&self, name: &str) -> Option<&str> {
        self.frames.get(name).map(|(frame, _)| frame.as_str())
    }

    /// The size bound to a name, where it is known before data arrives.
    pub fn size(&self, name: &str) -> Option<usize> {
        self.dims.get(name).and_then(Dim::size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(ports: &[(InputPort, Contract)]) -> Result<Bound, String> {
        let mut bound = Bound::default();
        for (port, contract) in ports {
            let source = format!("data.{}", port.name);
            bound
                .bind(port, contract, &source)
                .map_err(|error| error.to_string())?;
        }
        Ok(bound)
    }

    fn port(name: &'static str) -> InputPort {
        InputPort::new(name, "", &[Meaning::Quantity], &[Want::Any("B")])
    }

    fn contract() -> Contract {
        Contract::new(Meaning::Quantity, ["B".into()])
    }

    #[test]
    fn frames_and_units_that_both_sides_name_must_agree() {
        let ego = || port("x").in_frame(WantFrame::Exactly("ego".to_owned()));
        assert!(bind(&[(ego(), contract())]).is_ok());
        assert!(bind(&[(ego(), contract().with_frame("ego"))]).is_ok());
        assert_eq!(
            bind(&[(ego(), contract().with_frame("world"))]).unwrap_err(),
            "wants frame \"ego\", but data.x is in frame \"world\""
        );
        let metres = || port("x").in_units("m");
        let mut feet = contract();
        assert!(bind(&[(metres(), feet.clone())]).is_ok());
        feet.units = Some("ft".to_owned());
        assert_eq!(
            bind(&[(metres(), feet)]).unwrap_err(),
            "wants m, but data.x is in ft"
        );
    }

    #[test]
    fn ports_of_one_grid_share_its_frame() {
        let on = |name: &'static str| port(name).in_frame(WantFrame::Same("grid"));
        let (small, large) = (
            contract().with_frame("small"),
            contract().with_frame("large"),
        );
        let bound = bind(&[
            (on("x"), contract()),
            (on("y"), small.clone()),
            (on("z"), small.clone()),
        ]);
        assert_eq!(bound.unwrap().frame("grid"), Some("small"));
        assert_eq!(
            bind(&[(on("x"), small), (on("y"), large)]).unwrap_err(),
            "wants the frame of data.x, \"small\", but data.y is in frame \"large\""
        );
    }
}
